"""What each provider sends and wants back, asked of a real server over HTTP."""

from __future__ import annotations

import io

import httpx
import polars as pl
import pytest
from served_versions import FEATURES
from serving import serving

from bridge_assets.deployment.package import Package
from bridge_assets.deployment.probe import compare


@pytest.fixture
def rows(bundle):
    return bundle.probe.instances()


@pytest.fixture
def split(bundle):
    return {"columns": list(bundle.probe.features), "data": [list(row) for row in bundle.probe.rows]}


def answers(reply, bundle):
    """Probabilities of a reply, which must be right and say who gave them."""
    assert reply.status_code == 200, reply.text
    assert (reply.headers["X-Model-Version"], reply.headers["X-Model-Slot"]) == (bundle.version, bundle.slot)
    return reply.json()


def test_everybody(client, bundle, rows):
    said = answers(client.post("/predict", json={"instances": rows}), bundle)
    assert said.keys() == {"predictions", "model_version"}
    assert said["model_version"] == bundle.version
    compare(said["predictions"], bundle.probe, "/predict")
    health = client.get("/health")
    assert health.status_code == 200
    assert health.json() == {"status": "ok", "version": bundle.version, "slot": bundle.slot}


def test_answers_are_those_of_batch_scoring_to_the_last_bit(client, bundle, tmp_path):
    scored = Package(bundle.unpack(tmp_path / "package")).served().fall_probability(bundle.probe.table())
    said = client.post("/predict", json={"instances": bundle.probe.instances()}).json()["predictions"]
    assert pl.Series(said, dtype=pl.Float32).to_list() == scored.to_list() == said


def test_sagemaker(client, bundle, rows, split):
    ping = client.get("/ping")
    assert (ping.status_code, ping.content) == (200, b"")
    said = answers(client.post("/invocations", json={"instances": rows}), bundle)
    compare(said["predictions"], bundle.probe, "/invocations")
    table = io.BytesIO()
    pl.DataFrame(split["data"], schema=split["columns"], orient="row").write_csv(table)
    for media_type in ("text/csv", "text/csv; charset=utf-8"):
        reply = client.post("/invocations", content=table.getvalue(), headers={"Content-Type": media_type})
        assert answers(reply, bundle) == said
    shuffled = bundle.probe.table().select(reversed(FEATURES)).write_csv(line_terminator="\r\n")
    reply = client.post("/invocations", content=shuffled, headers={"Content-Type": "text/csv"})
    assert answers(reply, bundle) == said


@pytest.mark.parametrize(
    ("media_type", "body", "status", "message"),
    [
        ("application/x-npy", b"\x93NUMPY", 415, "application/x-npy is not understood"),
        ("text/csv", b"", 422, "the first row of a CSV names the features"),
        ("text/csv", b"1,2,3,4\n", 422, "there is no feature '1'"),
        ("text/csv", b"age,span\n1,2\n3\n", 422, "row 1: expected 2 values"),
        ("text/csv", b"age,span\n1,2\n\n3,4\n", 422, "row 1: expected 2 values"),
        ("text/csv", b"age\n1\nold\n", 422, "row 1: feature 'age'"),
        ("text/csv", b"age\nnan\n", 422, "row 0: feature 'age'"),
        ("text/csv", b"\xff\xff", 400, "the body is no CSV"),
        ("text/csv", b'age\n"1', 400, "the body is no CSV"),
    ],
)
def test_sagemaker_refuses(client, media_type, body, status, message):
    reply = client.post("/invocations", content=body, headers={"Content-Type": media_type})
    assert reply.status_code == status
    assert message in reply.json()["error"]


def test_vertex(client, bundle, rows, vertex):
    assert client.get(vertex["AIP_HEALTH_ROUTE"]).status_code == 200
    for parameters in ({}, {"parameters": None}, {"parameters": {}}):
        said = answers(client.post(vertex["AIP_PREDICT_ROUTE"], json={"instances": rows, **parameters}), bundle)
        assert said.keys() == {"predictions"}
        compare(said["predictions"], bundle.probe, "Vertex AI")
    reply = client.post(vertex["AIP_PREDICT_ROUTE"], json={"instances": rows, "parameters": {"top_k": 3}})
    assert (reply.status_code, reply.json()) == (422, {"error": "parameters: this model takes none"})


def test_azureml(client, bundle, rows, split):
    said = answers(client.post("/score", json={"instances": rows}), bundle)
    compare(said["predictions"], bundle.probe, "/score")
    for index in ({}, {"index": list(range(len(rows)))}):
        assert answers(client.post("/score", json={"input_data": {**split, **index}}), bundle) == said
    for wrong in (split["data"], {"columns": ["age"]}, {**split, "dtypes": []}):
        reply = client.post("/score", json={"input_data": wrong})
        assert (reply.status_code, reply.json()["error"].partition(":")[0]) == (422, "input_data")


def test_kserve_says_what_it_is(client, bundle):
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/bridge-fall/ready"):
        assert client.get(path).status_code == 200
    said = client.get("/v2/models/bridge-fall").json()
    assert (said["name"], said["versions"], said["platform"]) == ("bridge-fall", [bundle.version], "onnxruntime")
    assert [tensor["name"] for tensor in said["inputs"]] == list(FEATURES)
    assert client.get("/v2/models/other").status_code == 404


def tensor(name, shape, data, datatype="FP32"):
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def infer(client, *tensors, **more):
    return client.post("/v2/models/bridge-fall/infer", json={"inputs": list(tensors), **more})


def test_kserve_answers_one_tensor_and_a_tensor_a_feature(client, bundle, split):
    count, data = len(split["data"]), split["data"]
    flat = [value for row in data for value in row]
    columns = {name: [row[place] for row in data] for place, name in enumerate(FEATURES)}
    reply = infer(client, tensor("rows", [count, 4], flat), id="of mine", outputs=[{"name": "fall_probability"}])
    said = answers(reply, bundle)
    assert (said["model_name"], said["model_version"], said["id"]) == ("bridge-fall", bundle.version, "of mine")
    (output,) = said["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("fall_probability", "FP32", [count])
    compare(output["data"], bundle.probe, "KServe")
    for same in (
        [tensor("rows", [count, 4], data, "FP64")],
        [tensor(name, [count], values) for name, values in columns.items()],
        [tensor(name, [count, 1], values) for name, values in reversed(columns.items())],
    ):
        assert answers(infer(client, *same), bundle)["outputs"] == said["outputs"]
    one = answers(infer(client, tensor("age", [2], [30, 40], "INT64")), bundle)["outputs"][0]
    alone = client.post("/predict", json={"instances": [{"age": 30}, {"age": 40}]}).json()
    assert one["data"] == alone["predictions"]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([], "inputs: expected a list of tensors"),
        ([{"name": "rows"}], "inputs[0]: expected 'name', 'shape', 'datatype' and 'data'"),
        ([tensor("rows", [1, 3], [1, 2, 3])], "tensor 'rows': expected the shape [rows, 4], found [1, 3]"),
        (
            [tensor("rows", [2, 4], [[1, 2, 3], [4, 5, 6, 7, 8]])],
            "tensor 'rows': the shape [2, 4] takes 8 values, found 2",
        ),
        ([tensor("rows", [2, 4], [1, 2, 3])], "tensor 'rows': the shape [2, 4] takes 8 values, found 3"),
        ([tensor("rows", [1, 2, 2], [1, 2, 3, 4])], "tensor 'rows': expected a shape of one or two sizes"),
        ([tensor("rows", [-1, 4], [])], "tensor 'rows': expected a shape of one or two sizes"),
        ([tensor("rows", [1.5, 4], [])], "tensor 'rows': expected a shape of one or two sizes"),
        ([tensor("rows", [1, 4], ["a"] * 4, "BYTES")], "tensor 'rows': expected a datatype of numbers"),
        ([tensor("rows", [1, 4], ["a"] * 4)], "row 0: feature 'condition'"),
        ([tensor("age", [2], [1, 2]), tensor("span", [1], [1])], "tensor 'span': expected the shape [2], found [1]"),
        ([tensor("age", [1], [1]), tensor("age", [1], [1])], "columns: feature 'age' is given twice"),
        ([tensor("age", [1], [1]), tensor("colour", [1], [1])], "there is no feature 'colour'"),
        ([tensor(5, [1], [1])], "inputs[0]: name: expected a text"),
    ],
)
def test_kserve_refuses(client, tensors, message):
    reply = infer(client, *tensors)
    assert reply.status_code == 422
    assert message in reply.json()["error"]


def test_the_name_of_a_kserve_model_is_the_containers_to_say(bundle):
    with serving(bundle, BRIDGE_ASSETS_MODEL_NAME="falls") as url:
        assert httpx.get(f"{url}/v2/models/falls").json()["name"] == "falls"
