"""Connections of clients that send little, late or nothing: health answers, memory and log stay small."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from support.deployment.server_process import ServerProcess, start_container

from bridge_assets.serve import container
from bridge_assets.serve.border import connections
from bridge_assets.serve.border.connections import MAX_CONNECTIONS, connection_bound, throttle_accept_errors

#: Descriptors of the server, as many shells allow. The bound of connections is 256 then as well.
DESCRIPTORS = 1024

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"

#: What each connection sends before it stays open.
KINDS = {
    "nothing": b"",
    "half a header": HEALTH[:-2],
    "half a body": HEAD + b"{",
    "half a body of a refused request": HEAD.replace(b"/predict", b"/nothing") + b"{",
    "a request, and no other one": HEALTH,
    "requests in a row, without reading": HEALTH * 200,
}


@pytest.fixture
def server(bundle, tmp_path) -> Iterator[ServerProcess]:
    archive = bundle.write(tmp_path / "bundle.tar.gz")
    shell = f'ulimit -n {DESCRIPTORS}; exec "$0" "$1"'
    server = ServerProcess(
        ["bash", "-c", shell, sys.executable, container.__file__], BRIDGE_ASSETS_PACKAGE=str(archive)
    )
    yield server
    server.stop()


def connect(server: ServerProcess, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), timeout=20)
    with suppress(OSError):  # closed by the server already
        connection.sendall(data)
    return connection


@contextmanager
def connected(server: ServerProcess, number: int, data: bytes) -> Iterator[None]:
    """This many open connections that have sent the same data."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, number + 1024)), hard))
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(connect(server, data))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def closed_after(connection: socket.socket) -> float:
    """Seconds until the server closes a connection."""
    began = time.monotonic()
    with suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - began


@pytest.mark.parametrize("kind", KINDS)
def test_health_answers_however_many_connections_are_open(server, kind):
    with connected(server, 1100, KINDS[kind]):
        reply = httpx.get(f"{server.url}/health", timeout=10)
        assert (reply.status_code, reply.json()["status"]) == (200, "ok")
        assert descriptors(server) < MAX_CONNECTIONS * 3 // 2
    assert server.memory_peak() < 450
    assert server.stop() == 0
    assert server.errors == []
    assert sum(len(json.dumps(event)) for event in server.log) < 500_000


@pytest.mark.parametrize("kind", ["nothing", "half a header", "a request, and no other one"])
def test_predictions_are_answered_as_well_if_the_connections_wait_for_their_clients(server, kind):
    with connected(server, 400, KINDS[kind]):
        for _ in range(20):
            reply = httpx.post(f"{server.url}/predict", json={"instances": [{"age": 1}]}, timeout=10)
            assert reply.status_code == 200


def test_slow_bodies_at_the_bound_get_503_for_others_and_are_closed_to_make_place(server):
    began = time.monotonic()
    with connected(server, MAX_CONNECTIONS, HEAD + b"{"):
        assert "bridge_assets_requests_in_progress" in httpx.get(f"{server.url}/metrics", timeout=10).text
        reply = httpx.post(f"{server.url}/predict", json={"instances": [{"age": 1}]}, timeout=10)
        if time.monotonic() - began < 5:  # the oldest body is spared for so long
            assert (reply.status_code, reply.headers["Retry-After"], reply.headers["Connection"]) == (503, "1", "close")
        assert httpx.get(f"{server.url}/health", timeout=10).status_code == 200
        time.sleep(7)
        reply = httpx.post(f"{server.url}/predict", json={"instances": [{"age": 1}]}, timeout=10)
        assert reply.status_code == 200


@pytest.mark.slow
def test_each_phase_of_a_connection_has_a_deadline(server):
    """A header in 10 s, a body in 30 s; a response says which one passed."""
    half_header, silent, refused = (connect(server, KINDS[kind]) for kind in list(KINDS)[:4] if kind != "half a body")
    half_body = connect(server, HEAD + b"{")
    assert 8 < closed_after(half_header) < 20
    assert closed_after(silent) < 8
    assert closed_after(refused) < 8
    answer = b""
    half_body.settimeout(40)
    while b"seconds" not in answer:
        answer += half_body.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body was not complete after 30 seconds" in answer
    assert closed_after(half_body) < 20
    assert descriptors(server) < 30
    assert server.stop() == 0
    assert server.errors == []


def test_a_connection_that_sends_a_byte_now_and_then_is_closed_as_well(server):
    with connect(server, b"GET /health HTTP/1.1\r\nX: ") as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 20:
                connection.sendall(b"x")
                time.sleep(0.5)
    assert 8 < time.monotonic() - began < 15


def test_a_server_without_descriptors_logs_one_line_and_accepts_again_later(server):
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (descriptors(server), DESCRIPTORS))
    waiting = [connect(server, HEALTH) for _ in range(200)]
    time.sleep(3)
    assert [event["event"] for event in server.log].count("not accepting") == 1
    refused = next(event for event in server.log if event["event"] == "not accepting")
    assert "Too many open files" in refused["why"]
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    assert waiting[0].recv(65536).startswith(b"HTTP/1.1 200 ")
    assert httpx.get(f"{server.url}/health", timeout=10).status_code == 200
    for each in waiting:
        each.close()
    assert server.stop() == 0
    assert server.errors == []


def test_accept_errors_are_counted_and_other_errors_are_reported_as_always(capsys, caplog):
    async def fail() -> None:
        loop = asyncio.get_running_loop()
        throttle_accept_errors(loop)
        for _ in range(1000):
            loop.call_exception_handler({"message": "accept", "exception": OSError(24, "Too many open files")})
        loop.call_exception_handler({"message": "another error", "exception": ValueError("x")})

    asyncio.run(fail())
    (line,) = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["event"], json.loads(line)["times"]) == ("not accepting", 1)
    assert "another error" in caplog.text


@pytest.mark.parametrize(
    ("descriptors", "bound"),
    [(64, 8), (128, 21), (832, 256), (1024, 256), (1 << 20, 256), (resource.RLIM_INFINITY, 256)],
)
def test_the_bound_leaves_two_thirds_of_the_descriptors(monkeypatch, descriptors, bound):
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (descriptors, descriptors))
    assert connection_bound() == bound


def answers(url: str, data: bytes, pieces: int = 1) -> bytes:
    """What the server sends for data that is sent in pieces, until it closes the connection."""
    size = -(-len(data) // pieces)
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0), timeout=20) as connection:
        for start in range(0, len(data), size):
            with suppress(OSError):  # closed by the server already
                connection.sendall(data[start : start + size])
        received = []
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received.append(part)
    return b"".join(received)


@pytest.mark.parametrize("pieces", [1, 40])
def test_requests_in_a_row_are_answered_in_their_order(client, pieces):
    """Ten kilobytes of requests, some with a body: more than are parsed at once."""
    requests = []
    for number in range(60):
        body = json.dumps({"instances": [{"age": number}]}).encode() if number % 3 else b""
        line = b"POST /predict" if body else b"GET /health"
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        last = b"Connection: close\r\n" if number == 59 else b""
        ids = b"X-Request-ID: n%d\r\nX-Padding: %s\r\n" % (number, b"x" * 120)
        requests.append(b"%s HTTP/1.1\r\nHost: x\r\n%s%s%s\r\n%s" % (line, ids, length, last, body))
    received = answers(str(client.base_url), b"".join(requests), pieces)
    assert received.count(b"HTTP/1.1 200 OK") == 60
    ids = [line.partition(b": ")[2] for line in received.split(b"\r\n") if line.startswith(b"x-request-id")]
    assert ids == [b"n%d" % number for number in range(60)]


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])
def test_an_answer_without_a_body_is_sent_as_well(client, connection):
    """The header of an answer waits for its body."""
    requests = b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n" % connection
    if connection != b"close":
        requests += b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert answers(str(client.base_url), requests).count(b"HTTP/1.1 200 OK") == requests.count(b"Host")


@pytest.mark.parametrize(
    "data",
    [
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * (1 << 20),
        b"GET /" + b"a" * (1 << 20),
        b"GET /health HTTP/1.1\r\n" + b"X-A: a\r\n" * 100_000,
        b"GET /health HTTP/1.1\r\n" + b"a" * (1 << 20),
        b"POST /nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: " + b"a" * (1 << 20),
    ],
    ids=["value", "path", "headers", "name", "trailer"],
)
def test_a_header_has_a_limit(client, data):
    received = answers(str(client.base_url), data)
    # The connection of a client that sends on is reset, and it may not see the answer.
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")) or not received
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize("data", [b"x", b"BREW /predict HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_request_gets_an_error_like_every_other(client, data):
    head, _, body = answers(str(client.base_url), data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    found = json.loads(body)
    assert found["error"] == "Invalid HTTP request received."
    assert f"x-request-id: {found['request_id']}".encode() in head


def test_an_image_without_httptools_and_msgspec_answers_as_well(bundle, tmp_path):
    """One that was built before they were needed, with a bundle of today."""
    for name in ("httptools", "msgspec"):
        (tmp_path / "missing" / name).mkdir(parents=True)
        (tmp_path / "missing" / name / "__init__.py").write_text(f"raise ModuleNotFoundError('no {name}')")
    path = bundle.write(tmp_path / container.ARCHIVE_NAME)
    server = start_container(BRIDGE_ASSETS_PACKAGE=str(path), PYTHONPATH=str(tmp_path / "missing"))
    try:
        with connect(server, HEAD + b"{"), connect(server, HEALTH[:-2]):
            reply = httpx.post(f"{server.url}/predict", json={"instances": [{"age": 1}]})
            assert (reply.status_code, len(reply.json()["predictions"])) == (200, 1)
            assert httpx.request("BREW", f"{server.url}/predict").status_code == 405, "httptools knows no such method"
    finally:
        assert server.stop() == 0
