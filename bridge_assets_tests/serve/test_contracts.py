"""The request and response formats of each provider, tested with a real server over HTTP."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any, cast

import httpx
import polars as pl
import pytest
from support.deployment.answers import error_of
from support.deployment.local_endpoint import FEATURES
from support.deployment.server_process import serving

from bridge_assets.runtime.package import Package
from bridge_assets.runtime.probe import compare_answers
from bridge_assets.serve.contracts import (
    AZUREML,
    INSTANCES,
    SAGEMAKER,
    VERTEX,
    Contract,
    kserve_contract,
    kserve_metadata,
)
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.requests.request_rows import RequestError


@pytest.fixture
def rows(bundle):
    return bundle.probe.request_rows()


@pytest.fixture
def split(bundle):
    return {"columns": list(bundle.probe.features), "data": [list(row) for row in bundle.probe.rows]}


def response_json(reply, bundle):
    """The JSON of a successful response, after checking its version headers."""
    assert reply.status_code == 200, reply.text
    assert (reply.headers["X-Model-Version"], reply.headers["X-Model-Slot"]) == (bundle.version, bundle.slot)
    return reply.json()


def test_predict_and_health(client, bundle, rows):
    response = response_json(client.post("/predict", json={"instances": rows}), bundle)
    assert response.keys() == {"predictions", "model_version"}
    assert response["model_version"] == bundle.version
    compare_answers(response["predictions"], bundle.probe, "/predict")
    health = client.get("/health")
    assert health.status_code == 200
    assert health.json() == {"status": "ok", "version": bundle.version, "slot": bundle.slot}


def test_predictions_equal_those_of_batch_scoring_to_the_last_bit(client, bundle, tmp_path):
    scored = Package(bundle.unpack(tmp_path / "package")).load_model().fall_probability(bundle.probe.table())
    response = client.post("/predict", json={"instances": bundle.probe.request_rows()}).json()["predictions"]
    assert pl.Series(response, dtype=pl.Float32).to_list() == scored.to_list() == response


def test_sagemaker(client, bundle, rows, split):
    ping = client.get("/ping")
    assert (ping.status_code, ping.content) == (200, b"")
    response = response_json(client.post("/invocations", json={"instances": rows}), bundle)
    compare_answers(response["predictions"], bundle.probe, "/invocations")
    table = io.BytesIO()
    pl.DataFrame(split["data"], schema=split["columns"], orient="row").write_csv(table)
    for media_type in ("text/csv", "text/csv; charset=utf-8"):
        reply = client.post("/invocations", content=table.getvalue(), headers={"Content-Type": media_type})
        assert response_json(reply, bundle) == response
    shuffled = bundle.probe.table().select(reversed(FEATURES)).write_csv(line_terminator="\r\n")
    reply = client.post("/invocations", content=shuffled, headers={"Content-Type": "text/csv"})
    assert response_json(reply, bundle) == response


@pytest.mark.parametrize(
    ("media_type", "body", "status", "message"),
    [
        ("application/x-npy", b"\x93NUMPY", 415, "application/x-npy is not supported"),
        ("text/csv", b"", 422, "the first row of a CSV must have the feature names"),
        ("text/csv", b"1,2,3,4\n", 422, "unknown feature '1'"),
        ("text/csv", b"age,span\n1,2\n3\n", 422, "row 1: expected 2 values"),
        ("text/csv", b"age,span\n1,2\n\n3,4\n", 422, "row 1: expected 2 values"),
        ("text/csv", b"age\n1\nold\n", 422, "row 1: feature 'age'"),
        ("text/csv", b"age\nnan\n", 422, "row 0: feature 'age'"),
        ("text/csv", b"\xff\xff", 400, "the body is not CSV"),
        ("text/csv", b'age\n"1', 400, "the body is not CSV"),
    ],
)
def test_sagemaker_rejects_invalid_requests(client, media_type, body, status, message):
    reply = client.post("/invocations", content=body, headers={"Content-Type": media_type})
    assert reply.status_code == status
    assert message in error_of(reply)


def test_vertex(client, bundle, rows, vertex_variables):
    assert client.get(vertex_variables["AIP_HEALTH_ROUTE"]).status_code == 200
    for parameters in ({}, {"parameters": None}, {"parameters": {}}):
        response = response_json(
            client.post(vertex_variables["AIP_PREDICT_ROUTE"], json={"instances": rows, **parameters}), bundle
        )
        assert response.keys() == {"predictions"}
        compare_answers(response["predictions"], bundle.probe, "Vertex AI")
    reply = client.post(vertex_variables["AIP_PREDICT_ROUTE"], json={"instances": rows, "parameters": {"top_k": 3}})
    assert (reply.status_code, error_of(reply)) == (422, "parameters: this model has no parameters")


def test_azureml(client, bundle, rows, split):
    response = response_json(client.post("/score", json={"instances": rows}), bundle)
    compare_answers(response["predictions"], bundle.probe, "/score")
    for index in ({}, {"index": list(range(len(rows)))}):
        assert response_json(client.post("/score", json={"input_data": {**split, **index}}), bundle) == response
    for wrong in (split["data"], {"columns": ["age"]}, {**split, "dtypes": []}):
        reply = client.post("/score", json={"input_data": wrong})
        assert (reply.status_code, error_of(reply).partition(":")[0]) == (422, "input_data")


def test_kserve_metadata_and_readiness(client, bundle):
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/bridge-fall/ready"):
        assert client.get(path).status_code == 200
    response = client.get("/v2/models/bridge-fall").json()
    assert (response["name"], response["versions"], response["platform"]) == (
        "bridge-fall",
        [bundle.version],
        "onnxruntime",
    )
    assert [tensor["name"] for tensor in response["inputs"]] == list(FEATURES)
    assert client.get("/v2/models/other").status_code == 404


def tensor(name, shape, data, datatype="FP32"):
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def infer(client, *tensors, **more):
    return client.post("/v2/models/bridge-fall/infer", json={"inputs": list(tensors), **more})


def test_kserve_takes_one_tensor_or_a_tensor_per_feature(client, bundle, split):
    count, data = len(split["data"]), split["data"]
    flat = [value for row in data for value in row]
    columns = {name: [row[place] for row in data] for place, name in enumerate(FEATURES)}
    reply = infer(client, tensor("rows", [count, 4], flat), id="request-1", outputs=[{"name": "fall_probability"}])
    response = response_json(reply, bundle)
    assert (response["model_name"], response["model_version"], response["id"]) == (
        "bridge-fall",
        bundle.version,
        "request-1",
    )
    (output,) = response["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("fall_probability", "FP32", [count])
    compare_answers(output["data"], bundle.probe, "KServe")
    for same in (
        [tensor("rows", [count, 4], data, "FP64")],
        [tensor(name, [count], values) for name, values in columns.items()],
        [tensor(name, [count, 1], values) for name, values in reversed(columns.items())],
    ):
        assert response_json(infer(client, *same), bundle)["outputs"] == response["outputs"]
    one = response_json(infer(client, tensor("age", [2], [30, 40], "INT64")), bundle)["outputs"][0]
    expected = client.post("/predict", json={"instances": [{"age": 30}, {"age": 40}]}).json()
    assert one["data"] == expected["predictions"]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([], "inputs: expected a list of tensors"),
        ([{"name": "rows"}], "inputs[0]: expected 'name', 'shape', 'datatype' and 'data'"),
        ([tensor("rows", [1, 3], [1, 2, 3])], "tensor 'rows': expected the shape [rows, 4], found [1, 3]"),
        (
            [tensor("rows", [2, 4], [[1, 2, 3], [4, 5, 6, 7, 8]])],
            "tensor 'rows': shape [2, 4] needs 8 values, found 2",
        ),
        ([tensor("rows", [2, 4], [1, 2, 3])], "tensor 'rows': shape [2, 4] needs 8 values, found 3"),
        ([tensor("rows", [1, 2, 2], [1, 2, 3, 4])], "tensor 'rows': expected one or two dimensions"),
        ([tensor("rows", [-1, 4], [])], "tensor 'rows': expected one or two dimensions"),
        ([tensor("rows", [1.5, 4], [])], "tensor 'rows': expected one or two dimensions"),
        ([tensor("rows", [1, 4], ["a"] * 4, "BYTES")], "tensor 'rows': expected a numeric datatype"),
        ([tensor("rows", [1, 4], ["a"] * 4)], "row 0: feature 'condition'"),
        ([tensor("age", [2], [1, 2]), tensor("span", [1], [1])], "tensor 'span': expected the shape [2], found [1]"),
        ([tensor("age", [1], [1]), tensor("age", [1], [1])], "columns: feature 'age' is given twice"),
        ([tensor("age", [1], [1]), tensor("colour", [1], [1])], "unknown feature 'colour'"),
        ([tensor(5, [1], [1])], "inputs[0]: name: expected a string"),
    ],
)
def test_kserve_rejects_invalid_tensors(client, tensors, message):
    reply = infer(client, *tensors)
    assert reply.status_code == 422
    assert message in error_of(reply)


@pytest.mark.parametrize("given", ["request-1", "\ud800", "é\x00\u2028"])
def test_the_id_of_a_kserve_request_is_sent_back_whatever_characters_it_has(client, given):
    body = json.dumps({"inputs": [tensor("age", [1], [30])], "id": given})
    reply = client.post("/v2/models/bridge-fall/infer", content=body)
    assert (reply.status_code, json.loads(reply.content)["id"]) == (200, given)


def test_the_name_of_a_kserve_model_comes_from_the_environment(bundle):
    with serving(bundle, BRIDGE_ASSETS_MODEL_NAME="falls") as url:
        assert httpx.get(f"{url}/v2/models/falls").json()["name"] == "falls"


# The remaining tests call the functions directly, without a server: each case takes a millisecond.

KSERVE = kserve_contract("falls")
NAMES = ("age", "span", "traffic")
JSON = "application/json"


def parsed(contract: Contract, body: Any, media_type: str = JSON):
    """Rows (tuples; None = missing) and id that a contract parses from a body."""
    request = contract.parse_request(body if isinstance(body, bytes) else json.dumps(body).encode(), media_type, NAMES)
    assert request.rows.shape[1] == len(NAMES)
    return [tuple(None if value != value else value for value in row) for row in request.rows.tolist()], request.id


def rejection(contract: Contract, body: Any, media_type: str = JSON) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        parsed(contract, body, media_type)
    return caught.value.status, str(caught.value)


ROWS = [{"age": 1, "span": 2, "traffic": 3}, {"traffic": 6, "age": None}]
PARSED = [(1.0, 2.0, 3.0), (None, None, 6.0)]


@pytest.mark.parametrize(
    "contract", [INSTANCES, SAGEMAKER, VERTEX, AZUREML], ids=["all", "sagemaker", "vertex", "azure"]
)
def test_every_contract_parses_instances_the_same_way(contract):
    assert parsed(contract, {"instances": ROWS}) == (PARSED, None)
    assert rejection(contract, {})[1] == "instances: expected a list of rows, found null"
    assert rejection(contract, {"instances": ROWS, "rows": []})[1].startswith("the body: unknown key 'rows'; expected")


def test_an_unknown_key_is_rejected_with_the_allowed_keys():
    expected = {
        INSTANCES: "'instances'",
        VERTEX: "'instances', 'parameters'",
        AZUREML: "'instances', 'input_data'",
        KSERVE: "'id', 'parameters', 'inputs', 'outputs'",
    }
    for contract, names in expected.items():
        assert rejection(contract, {"x": 1}) == (400, f"the body: unknown key 'x'; expected {names}")


def test_sagemaker_parses_csv_by_the_column_names_in_the_first_row():
    expected = [(2.0, None, 1.0), (None, None, 3.0)]
    assert parsed(SAGEMAKER, b"traffic, age\n1,2\n3,\n", "text/csv") == (expected, None)
    assert parsed(SAGEMAKER, b'\xef\xbb\xbf"traffic",age\r\n1,2\r\n3, ', "text/csv") == (expected, None)
    assert parsed(SAGEMAKER, b"age\n", "text/csv") == ([], None)


@pytest.mark.parametrize(
    ("body", "media_type", "expected"),
    [
        (b"", "text/csv", (422, "the body is empty; the first row of a CSV must have the feature names")),
        (b"\xff", "text/csv", (400, "the body is not CSV: 'utf-8' codec can't decode byte 0xff")),
        (b'age\n"1', "text/csv", (400, "the body is not CSV: unexpected end of data")),
        (b'age\n"1"2', "text/csv", (400, "the body is not CSV: ',' expected after '\"'")),
        (
            b"age\nold",
            "text/csv",
            (422, "row 0: feature 'age': expected a finite number or null, found the text 'old'"),
        ),
        (b"{}", "text/plain", (415, "text/plain is not supported; send application/json or text/csv")),
    ],
)
def test_sagemaker_reports_what_it_cannot_parse(body, media_type, expected):
    status, message = rejection(SAGEMAKER, body, media_type)
    assert (status, message[: len(expected[1])]) == expected


def test_vertex_rejects_parameters():
    for none in (None, {}, []):
        assert parsed(VERTEX, {"instances": ROWS, "parameters": none}) == (PARSED, None)
    assert rejection(VERTEX, {"instances": ROWS, "parameters": [1]}) == (
        422,
        "parameters: this model has no parameters",
    )


def test_azureml_parses_a_table_in_the_split_format_of_pandas():
    table = {"columns": ["traffic", "age"], "data": [[1, 2], [3, None]]}
    expected = [(2.0, None, 1.0), (None, None, 3.0)]
    assert parsed(AZUREML, {"input_data": table}) == (expected, None)
    assert parsed(AZUREML, {"input_data": {**table, "index": [0, 1]}}) == (expected, None)
    message = "input_data: expected an object with 'columns', 'data' and optionally 'index'"
    for wrong in (None, [], {"columns": ["age"]}, {"data": []}, {"columns": ["age"], "index": []}, {**table, "x": 1}):
        assert rejection(AZUREML, {"input_data": wrong}) == (422, message)


def test_kserve_parses_one_tensor_in_the_order_of_the_model():
    for data in ([1, 2, 3, 4, None, 6], [[1, 2, 3], [4, None, 6]]):
        request = {"inputs": [tensor("rows", [2, 3], data)], "id": "request-1", "outputs": [], "parameters": {}}
        assert parsed(KSERVE, request) == ([(1.0, 2.0, 3.0), (4.0, None, 6.0)], "request-1")
    assert parsed(KSERVE, {"inputs": [tensor("rows", [0, 3], [])]}) == ([], None)
    assert parsed(KSERVE, {"inputs": [tensor("rows", [1, 3], [1, 2, 3])], "id": None})[1] is None


def test_kserve_parses_a_tensor_per_feature():
    age, traffic = tensor("age", [2], [1, 2]), tensor("traffic", [2, 1], [3, 4])
    expected = [(1.0, None, 3.0), (2.0, None, 4.0)]
    assert parsed(KSERVE, {"inputs": [age, traffic]}) == (expected, None)
    assert parsed(KSERVE, {"inputs": [traffic, age], "id": ""}) == (expected, "")
    assert parsed(KSERVE, {"inputs": [tensor("traffic", [2, 1], [[3], [4]]), age]}) == (expected, None)
    assert parsed(KSERVE, {"inputs": [tensor("age", [1], [[1]])]}) == ([(1.0, None, None)], None)
    assert parsed(KSERVE, {"inputs": [tensor("age", [0], [])]}) == ([], None)


@pytest.mark.parametrize(
    "datatype",
    ["FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"],
)
def test_kserve_takes_every_numeric_datatype(datatype):
    assert parsed(KSERVE, {"inputs": [tensor("age", [1], [1], datatype)]})[0] == [(1.0, None, None)]


SIZES = "tensor 'rows': expected one or two dimensions, found the shape "


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "inputs: expected a list of tensors"),
        ([], "inputs: expected a list of tensors"),
        ({"0": tensor("age", [1], [1])}, "inputs: expected a list of tensors"),
        ([tensor("age", [1], [1]), "span"], "inputs[1]: expected 'name', 'shape', 'datatype' and 'data'"),
        *(
            ([{key: value for key, value in tensor("age", [1], [1]).items() if key != without}],
             "inputs[0]: expected 'name', 'shape', 'datatype' and 'data'")
            for without in ("name", "shape", "datatype", "data")
        ),
        ([tensor(5, [1], [1])], "inputs[0]: name: expected a string"),
        ([tensor("age", [1], [1], "BOOL")], "tensor 'age': expected a numeric datatype such as FP32, found 'BOOL'"),
        ([tensor("rows", 3, [1, 2, 3])], SIZES + "3.0"),
        ([tensor("rows", [], [1])], SIZES + "[]"),
        ([tensor("rows", [1, 1, 3], [1, 2, 3])], SIZES + "[1.0, 1.0, 3.0]"),
        ([tensor("rows", [-1, 3], [])], SIZES + "[-1.0, 3.0]"),
        ([tensor("rows", [0.5, 3], [])], SIZES + "[0.5, 3.0]"),
        ([tensor("rows", ["1", 3], [1, 2, 3])], SIZES + "['1', 3.0]"),
        ([tensor("rows", [True, 3], [1, 2, 3])], SIZES + "[True, 3.0]"),
        ([tensor("rows", [1, 3], [1, 2])], "tensor 'rows': shape [1, 3] needs 3 values, found 2"),
        ([tensor("rows", [1, 3], [1, 2, 3, 4])], "tensor 'rows': shape [1, 3] needs 3 values, found 4"),
        (
            [tensor("rows", [1, 3], "123")],
            "tensor 'rows': shape [1, 3] needs 3 values, found something other than a list",
        ),
        ([tensor("rows", [2, 3], [[1, 2], [3, 4, 5, 6]])], "tensor 'rows': shape [2, 3] needs 6 values, found 2"),
        ([tensor("rows", [1, 3], [[1, 2, 3], 4])], "tensor 'rows': shape [1, 3] needs 3 values, found 2"),
        ([tensor("age", [2], [[1, 2]])], "tensor 'age': shape [2] needs 2 values, found 1"),
        ([tensor("rows", [3], [1, 2, 3])], "tensor 'rows': expected the shape [rows, 3], found [3]"),
        ([tensor("rows", [1, 2], [1, 2])], "tensor 'rows': expected the shape [rows, 3], found [1, 2]"),
        ([tensor("age", [1, 3], [1, 2, 3])], "tensor 'age': expected the shape [1], found [1, 3]"),
        (
            [tensor("age", [2], [1, 2]), tensor("span", [3], [1, 2, 3])],
            "tensor 'span': expected the shape [2], found [3]",
        ),
        ([tensor("age", [1], [1]), tensor("rows", [1], [1])], "unknown feature 'rows'"),
        (
            [tensor("rows", [1, 3], [1, 2, 3]), tensor("age", [1], [1])],
            "tensor 'rows': expected the shape [1], found [1, 3]",
        ),
        ([tensor("rows", [1, 3], 5)], "tensor 'rows': shape [1, 3] needs 3 values, found something other than a list"),
    ],
)  # fmt: skip
def test_kserve_reports_what_is_wrong_with_a_tensor(inputs, message):
    status, found = rejection(KSERVE, {"inputs": inputs})
    assert (status, found[: len(message)]) == (422, message)


def test_the_id_of_a_kserve_request_must_be_a_string():
    for wrong in (5, ["a"], {}, False):
        assert rejection(KSERVE, {"inputs": [tensor("age", [1], [1])], "id": wrong}) == (422, "id: expected a string")


LOADED = cast(LoadedModel, SimpleNamespace(version="7", output_name="fall_probability", features=NAMES))


def test_each_contract_formats_the_response_of_its_provider():
    request = INSTANCES.parse_request(b'{"instances": []}', JSON, NAMES)
    for contract in (INSTANCES, SAGEMAKER, AZUREML):
        assert contract.format_response([0.25, 0.5], LOADED, request) == {
            "predictions": [0.25, 0.5],
            "model_version": "7",
        }
    assert VERTEX.format_response([0.25], LOADED, request) == {"predictions": [0.25]}


@pytest.mark.parametrize(("given", "written"), [({"id": "request-1"}, {"id": "request-1"}), ({"id": ""}, {}), ({}, {})])
def test_a_kserve_response_has_a_tensor_and_the_id_of_the_request(given, written):
    body = json.dumps({"inputs": [tensor("age", [2], [1, 2])], **given}).encode()
    assert KSERVE.format_response([0.25, 0.5], LOADED, KSERVE.parse_request(body, JSON, NAMES)) == {
        "model_name": "falls",
        "model_version": "7",
        **written,
        "outputs": [{"name": "fall_probability", "datatype": "FP32", "shape": [2], "data": [0.25, 0.5]}],
    }


def test_kserve_metadata_follows_the_protocol():
    assert kserve_metadata("falls", LOADED) == {
        "name": "falls",
        "versions": ["7"],
        "platform": "onnxruntime",
        "inputs": [{"name": name, "datatype": "FP32", "shape": [-1]} for name in ("age", "span", "traffic")],
        "outputs": [{"name": "fall_probability", "datatype": "FP32", "shape": [-1]}],
    }
