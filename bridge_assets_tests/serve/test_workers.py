"""`bridge-assets serve --workers`: several processes on one port."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from metrics.test_prometheus_metrics import samples
from serve.border.test_access import run_command
from serve.test_follow import COMMAND
from support.deployment.server_process import ServerProcess

from bridge_assets.deployment.local import LocalEndpoint

PROBE = {"instances": [{"age": 1}]}
PREDICTED = 'bridge_assets_requests_total{purpose="predict",route="/predict",status="200"}'


@pytest.fixture
def endpoint(tmp_path, versions) -> LocalEndpoint:
    endpoint = LocalEndpoint(tmp_path / "endpoints" / "local", packages_kept=2)
    endpoint.deploy(versions[0])
    return endpoint


@pytest.fixture
def server(endpoint, tmp_path):
    server = ServerProcess([*COMMAND, "--workers", "2"], BRIDGE_ASSETS_DATA__HOME=str(tmp_path))
    yield server
    server.stop()


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def answering(server: ServerProcess, requests: int = 40) -> set[str]:
    """The processes that answer, each by the beginning of its request ids."""
    replies = [httpx.post(f"{server.url}/predict", json=PROBE, timeout=30) for _ in range(requests)]
    assert {reply.status_code for reply in replies} == {200}
    return {reply.headers["X-Request-ID"].partition("-")[0] for reply in replies}


def children(server: ServerProcess) -> list[int]:
    found = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [int(process) for process in found.split()]


def is_gone(process: int) -> bool:
    path = Path(f"/proc/{process}/stat")
    return not path.exists() or path.read_text().split()[2] == "Z"


def test_workers_share_the_port_and_the_metrics_follow_a_promotion_and_are_replaced(server, endpoint, versions):
    wait_for(lambda: len(answering(server)) == 2)
    before = samples(httpx.get(f"{server.url}/metrics").text)[PREDICTED]
    assert before % 40 == 0, "whichever process is asked answers for both"
    answering(server)
    assert samples(httpx.get(f"{server.url}/metrics").text)[PREDICTED] == before + 40

    endpoint.deploy(versions[1])
    wait_for(
        lambda: all(
            httpx.post(f"{server.url}/predict", json=PROBE).json()["model_version"] == versions[1].version
            for _ in range(12)
        )
    )

    killed = children(server)[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(children(server)) == 2 and killed not in children(server))
    wait_for(lambda: len(answering(server)) == 2)
    assert samples(httpx.get(f"{server.url}/metrics").text)[PREDICTED] > before + 40, "no count went back"

    running = children(server)
    assert server.stop() == 0
    assert all(is_gone(process) for process in running)
    assert [event["event"] for event in server.log].count("worker ended") == 1
    assert server.errors == []


def test_workers_end_with_the_process_that_started_them(server):
    wait_for(lambda: len(answering(server)) == 2)
    running = children(server)
    server.process.kill()
    server.process.wait()
    wait_for(lambda: all(is_gone(process) for process in running))


def test_a_port_that_another_server_uses_is_refused_and_so_is_an_empty_endpoint(server, tmp_path):
    home, port = tmp_path, str(httpx.URL(server.url).port)
    for options in (["--workers", "2"], []):
        ran = run_command(home, *options, "--port", port)
        assert (ran.returncode, "the port cannot be used" in ran.stderr) == (1, True), ran.stderr
    ran = run_command(tmp_path / "empty", "--workers", "2")
    assert (ran.returncode, "no model version is deployed" in ran.stderr) == (1, True)
