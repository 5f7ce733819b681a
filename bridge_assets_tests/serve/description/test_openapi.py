"""`/openapi.json` and `/version`: what they document is what is answered."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from serve.border.test_access import SECRET
from serve.test_drills import IS_FULL
from support.deployment.answers import error_of
from support.deployment.local_endpoint import make_model_version
from support.deployment.server_process import serving

from bridge_assets.deployment.core.bundle import bundle_of
from bridge_assets.runtime.package import Package, content_digest

#: Features whose values are known, and those of a model of other ones.
KNOWN = ("condition", "age", "on_nhs", "peers_fall_rate")

#: Cases for each route, valid and invalid ones each: a few hundred, or several thousand with `make drills`.
CASES = 400 if IS_FULL else 25


@pytest.fixture(scope="module")
def known_bundle(tmp_path_factory):
    return bundle_of(make_model_version(tmp_path_factory.mktemp("known"), 0, KNOWN))


@pytest.fixture(scope="module")
def known(known_bundle, vertex_variables):
    """A client of a server whose model has features with known limits."""
    with serving(known_bundle, **vertex_variables) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def document(known):
    return known.get("/openapi.json").raise_for_status().json()


def operations(document):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_documented(document, vertex_variables):
    posts = {path for path, method, _ in operations(document) if method == "post"}
    model = "/v2/models/bridge-fall"
    assert posts == {"/predict", "/invocations", "/score", f"{model}/infer", vertex_variables["AIP_PREDICT_ROUTE"]}
    gets = {path for path, method, _ in operations(document) if method == "get"}
    assert gets == {
        *("/health", "/ping", "/version", "/metrics", "/openapi.json", "/v2/health/live", "/v2/health/ready", model),
        *(f"{model}/ready", vertex_variables["AIP_HEALTH_ROUTE"]),
    }


def test_every_example_is_answered_as_documented(known, document):
    count = 0
    for path, method, operation in operations(document):
        if method == "get":
            continue
        answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
        for media_type, content in operation["requestBody"]["content"].items():
            for name, example in content["examples"].items():
                value = example["value"]
                body = value if isinstance(value, str) else json.dumps(value)
                reply = known.post(path, content=body, headers={"Content-Type": media_type})
                assert reply.status_code == 200, (path, name, reply.text)
                documented = answers.get(name, answers["one_bridge"])["value"]
                assert reply.json() == documented, (path, name)
                count += 1
    assert count == 11


def test_every_answer_of_a_check_is_as_documented(known, document):
    for path, method, operation in operations(document):
        content = operation["responses"]["200"].get("content", {}).get("application/json", {})
        if method == "get" and "examples" in content:
            (example,) = [each for name, each in content["examples"].items() if name != "closing"]
            assert known.get(path).json() == example["value"], path


@pytest.mark.parametrize(
    ("status", "path", "body", "media_type"),
    [
        (400, "/predict", b"{", "application/json"),
        (413, "/predict", b" " * ((16 << 20) + 1), "application/json"),
        (415, "/invocations", b"1", "text/plain"),
        (422, "/predict", b'{"instances": [{"condition": 12}]}', "application/json"),
        (501, "/predict", b'{"structures": [{"state": "25", "structure": "1"}]}', "application/json"),
    ],
)
def test_a_documented_refusal_is_really_answered(known, document, status, path, body, media_type):
    reply = known.post(path, content=body, headers={"Content-Type": media_type})
    assert (reply.status_code, bool(error_of(reply))) == (status, True)
    assert str(status) in document["paths"][path]["post"]["responses"]


def test_the_limits_of_the_document_are_those_of_the_answers(known, document):
    row = document["components"]["schemas"]["FeatureRow"]
    assert list(row["properties"]) == list(KNOWN)
    condition = row["properties"]["condition"]
    assert (condition["minimum"], condition["maximum"]) == (0, 9)
    assert condition["description"] == "a rating is 0 to 9 (NBI items 58-60, 62)"
    reply = known.post("/predict", json={"instances": [{"condition": 5}, {"condition": 12}]})
    assert error_of(reply) == "row 1: condition 12: a rating is 0 to 9 (NBI items 58-60, 62)"


def test_with_a_token_and_a_limit_the_document_says_so(bundle):
    environ = {"BRIDGE_ASSETS_TOKEN": SECRET, "BRIDGE_ASSETS_REQUESTS_PER_SECOND": "1000"}
    with serving(bundle, **environ) as url:
        assert httpx.get(f"{url}/openapi.json").status_code == 401
        document = httpx.get(f"{url}/openapi.json", headers={"Authorization": f"Bearer {SECRET}"}).json()
    predict, health = document["paths"]["/predict"]["post"], document["paths"]["/health"]["get"]
    assert {"401", "429"} <= predict["responses"].keys()
    assert (predict["security"], "security" in health) == ([{"token": []}], False)


def test_the_version_names_everything_that_an_answer_depends_on(known, known_bundle, tmp_path):
    found = known.get("/version").json()
    package = Package(known_bundle.unpack(tmp_path / "package"))
    assert found["model_version"] == known_bundle.version
    assert found["slot"] == known_bundle.slot
    assert found["feature_version"] == "f" * 12
    assert found["package"] == content_digest(package.manifest["served"])
    assert found["training_years"] == [2010, 2020]
    assert {"numpy", "onnxruntime", "msgspec"} <= found["libraries"].keys()
    assert all(re.match(r"\d+\.", version) for version in (found["python"], *found["libraries"].values()))


@pytest.mark.parametrize("valid", [True, False], ids=["valid", "invalid"])
@pytest.mark.filterwarnings("ignore")  # of schemathesis's own dependencies
def test_no_generated_request_gets_an_internal_error_or_an_undocumented_answer(known, document, valid):
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    mode = schemathesis.GenerationMode.POSITIVE if valid else schemathesis.GenerationMode.NEGATIVE
    chosen = [
        *(not_a_server_error, checks.status_code_conformance, checks.content_type_conformance),
        *(checks.response_schema_conformance, checks.response_headers_conformance),
    ]
    slow = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    sent = 0
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation: Any = result.ok()  # pyright: ignore[reportAttributeAccessIssue] # the document is valid
        if operation.method == "get" and not valid:
            continue  # these take nothing that could be invalid

        @settings(max_examples=CASES, deadline=None, suppress_health_check=slow, phases=[Phase.generate])
        @given(operation.as_strategy(generation_mode=mode))
        def send(case) -> None:
            nonlocal sent
            case.call_and_validate(base_url=str(known.base_url), checks=chosen)
            sent += 1

        send()
    print(f"{sent:,} requests")
    assert sent >= 4 * CASES
