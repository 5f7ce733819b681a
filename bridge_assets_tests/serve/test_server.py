"""The server process: limits, log and shutdown."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from support.deployment.answers import error_of
from support.deployment.server_process import start_container

from bridge_assets.runtime.package import Package
from bridge_assets.serve.app import make_app
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.predict_endpoint import MAX_BODY_BYTES, MAX_PENDING_REQUESTS, ROWS_AT_ONCE
from bridge_assets.serve.requests.request_rows import rows_of_instances
from bridge_assets.serve.state import AppState


@pytest.fixture
def server(bundle, tmp_path):
    """A separate server, which the test may stop."""
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(bundle.write(tmp_path / "bundle.tar.gz")))
    yield server
    server.stop()


@pytest.fixture
def answering(bundle, tmp_path) -> LoadedModel:
    return LoadedModel.load(Package(bundle.unpack(tmp_path / "package")), bundle.slot)


def request_app(state: AppState, method: str, path: str, **request) -> httpx.Response:
    """The response of the app with a state, without a server."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(state, {}))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.request(method, path, **request)

    return asyncio.run(send())


# Limits


def test_a_body_that_is_too_large_is_rejected_with_and_without_a_content_length(client):
    for content in (b" " * (MAX_BODY_BYTES + 1), iter([b" " * MAX_BODY_BYTES, b" "])):
        reply = client.post("/predict", content=content)
        assert (reply.status_code, error_of(reply)) == (413, "the body is too large; send at most 16 MiB")
    assert client.post("/predict", content=b" " * MAX_BODY_BYTES).status_code == 400


def test_too_many_rows_are_rejected(client):
    reply = client.post("/predict", json={"instances": [{"age": 1}] * 10_001})
    assert reply.status_code == 413
    assert client.post("/predict", json={"instances": [{"age": 1}] * 10_000}).status_code == 200


def test_a_number_beyond_the_scale_of_the_model_is_rejected_with_the_feature_name(client):
    reply = client.post("/predict", json={"instances": [{"age": 1}, {"age": 1, "traffic": 1e30}]})
    assert (reply.status_code, error_of(reply)) == (422, "row 1: feature 'traffic': 1e+30 is too large")


def test_other_routes_and_methods_are_rejected_without_internal_details(client):
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/predict", 405), ("POST", "/health", 405)):
        reply = client.request(method, path)
        assert (reply.status_code, bool(error_of(reply))) == (status, True)
        assert reply.headers["X-Model-Version"]


def test_too_many_pending_requests_get_503(answering):
    state = AppState(lambda: answering, pending_requests=MAX_PENDING_REQUESTS)
    reply = request_app(state, "POST", "/predict", json={"instances": [{"age": 1}] * (ROWS_AT_ONCE + 1)})
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
    few = request_app(state, "POST", "/predict", json={"instances": [{"age": 1}] * ROWS_AT_ONCE})
    assert few.status_code == 200, "these need no thread"
    assert request_app(state, "GET", "/health").status_code == 200


def test_concurrent_requests_get_their_own_predictions(client, answering):
    rows = [[{"condition": number / 10, "age": float(size)} for number in range(size)] for size in range(1, 40)]
    expected = [answering.predict(rows_of_instances(each, answering.features)) for each in rows]

    def predict(instances: list) -> list[float]:
        return client.post("/predict", json={"instances": instances}).json()["predictions"]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(predict, rows)) == expected


# The log


def test_the_log_has_version_and_status_but_no_request_content(server, bundle):
    with httpx.Client(base_url=server.url) as client:
        client.post("/predict", json={"instances": [{"age": 42424}]}, headers={"Authorization": "Bearer secret"})
        client.post("/predict?key=secret", json={"instances": [{"secret": 42424}]})
        client.get("/health")
    server.stop()
    serving, first, second, closing = server.log
    assert (serving["event"], closing["event"]) == ("serving", "closing")
    assert (first["method"], first["path"], first["status"]) == ("POST", "/predict", 200)
    assert (first["version"], first["slot"]) == (bundle.version, bundle.slot)
    assert first["milliseconds"] > 0
    assert first["bytes_in"] > 0
    assert first["bytes_out"] > 0
    assert second["status"] == 422
    assert "secret" not in json.dumps(server.log)
    assert "42424" not in json.dumps(server.log)
    assert server.errors == []


def test_an_internal_error_is_logged_and_not_sent_to_the_client(answering, capsys):
    scale = replace(answering.model.normalization, features=("condition", "age"))  # of another model
    broken = replace(answering, model=replace(answering.model, normalization=scale))
    reply = request_app(AppState(lambda: broken), "POST", "/predict", json={"instances": [{"age": 1}]})
    assert (reply.status_code, error_of(reply)) == (500, "internal server error; see the server's log")
    failed, answered = map(json.loads, capsys.readouterr().out.splitlines())
    assert (failed["event"], failed["path"], answered["status"]) == ("failed", "/predict", 500)
    assert "Traceback" in failed["trace"]


# Shutdown


def half_sent(url: str, body: bytes) -> socket.socket:
    """A connection with a request whose last byte has not been sent."""
    connection = socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=30)
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    connection.sendall(head.encode())
    assert connection.recv(65536).startswith(b"HTTP/1.1 100")  # the app is reading
    connection.sendall(body[:-1])
    return connection


def wait_for(holds) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def refuses_connections(url: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_request_in_progress_is_answered_after_sigterm(server, bundle):
    body = json.dumps({"instances": bundle.probe.request_rows()}).encode()
    with half_sent(server.url, body) as connection:
        server.terminate()
        wait_for(lambda: refuses_connections(server.url))
        assert server.process.poll() is None
        connection.sendall(body[-1:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"]) == len(bundle.probe.rows)
    assert server.stop() == 0
    assert server.errors == []


def test_while_draining_the_server_is_not_ready_but_still_answers(bundle, tmp_path):
    archive = bundle.write(tmp_path / "bundle.tar.gz")
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_CLOSING_SECONDS="60")
    server.terminate()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        wait_for(lambda: client.get("/health").status_code == 503)
        assert client.get("/health").json()["status"] == "closing"
        for path in ("/ping", "/v2/health/ready"):
            assert client.get(path).status_code == 503
        assert client.get("/v2/health/live").status_code == 200
        reply = client.post("/predict", json={"instances": [{"age": 1}]})
        assert (reply.status_code, reply.headers["Connection"]) == (200, "close")
    assert server.stop() == 0, "a second SIGTERM ends the wait"


def test_no_request_is_dropped_when_a_server_stops_under_load(bundle, tmp_path):
    """Fifty requests per second from clients that leave once the server asks them to, like a load balancer."""
    archive = bundle.write(tmp_path / "bundle.tar.gz")
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_CLOSING_SECONDS="2")
    body = {"instances": bundle.probe.request_rows()}
    under_load, statuses = threading.Event(), []

    def send_requests() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            while True:
                reply = client.post("/predict", json=body)
                statuses.append(reply.status_code)
                if reply.headers.get("Connection") == "close":
                    return
                if len(statuses) > 25:
                    under_load.set()
                time.sleep(0.08)

    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(send_requests) for _ in range(4)]
        assert under_load.wait(30)
        server.terminate()
        for each in running:
            each.result()
    assert set(statuses) == {200}
    assert server.stop() == 0
    assert server.errors == []
    assert sum(event["event"] == "answered" for event in server.log) == len(statuses)
