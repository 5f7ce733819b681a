"""The id of a request: in its answer, in the body of an error and in the log."""

from __future__ import annotations

import json

import httpx
import pytest
from support.deployment.answers import error_of
from support.deployment.server_process import start_container

PROBE = {"instances": [{"age": 1}]}


def test_each_answer_has_an_id_of_its_own(client):
    replies = [client.post("/predict", json=PROBE), client.get("/health"), client.get("/nothing")]
    assert len({reply.headers["X-Request-ID"] for reply in replies}) == 3


@pytest.mark.parametrize("given", ["order-66", "0123456789abcdef" * 4, "a.b:c_d"])
def test_a_harmless_id_of_the_client_is_taken_over(client, given):
    assert client.post("/predict", json=PROBE, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given
    refused = client.post("/predict", json={}, headers={"X-Request-ID": given})
    assert (refused.headers["X-Request-ID"], bool(error_of(refused))) == (given, True)


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", 'a"}', "<b>", "-x", "é"])
def test_any_other_one_is_replaced(client, given):
    found = client.post("/predict", json=PROBE, headers={"X-Request-ID": given.encode()}).headers["X-Request-ID"]
    assert found
    assert found != given


def test_the_log_names_the_request_and_nothing_that_the_client_sent(bundle, tmp_path):
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(bundle.write(tmp_path / "bundle.tar.gz")))
    try:
        for body in (PROBE, {"instances": [{"secret": 1}]}, {"instances": [{"age": "secret"}]}):
            httpx.post(f"{server.url}/predict?secret", json=body, headers={"X-Request-ID": "order-66", "X-A": "secret"})
    finally:
        server.stop()
    answered = [event for event in server.log if event["event"] == "answered"]
    assert [(event["status"], event["request_id"]) for event in answered] == [
        (200, "order-66"),
        (422, "order-66"),
        (422, "order-66"),
    ]
    assert "secret" not in json.dumps(server.log)


def test_no_other_site_may_call_from_a_browser(client):
    """CORS is off: a browser sends no request of another site that is not simple, and shows it no answer."""
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    for reply in (client.options("/predict", headers=asked), client.post("/predict", json=PROBE, headers=asked)):
        assert not [name for name in reply.headers if name.startswith("access-control")]
    assert client.options("/predict", headers=asked).status_code == 405
