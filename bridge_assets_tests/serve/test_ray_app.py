"""`bridge-assets serve --ray`: the same app on replicas of Ray Serve, one real cluster for all tests."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from support.deployment.server_process import ServerProcess
from support.deployment.steady_requests import send_requests

from bridge_assets.cli.endpoint import serve
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import DeploymentError
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.probe import Probe

pytest.importorskip("ray", reason="needs the extra `ray`")

COMMAND = str(Path(sys.executable).parent / "bridge-assets")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, versions: list[ModelVersion]) -> LocalEndpoint:
    endpoint = LocalEndpoint(tmp_path_factory.mktemp("ray") / "endpoints" / "local", packages_kept=3)
    endpoint.deploy(versions[0])
    return endpoint


@pytest.fixture(scope="module")
def home(endpoint: LocalEndpoint) -> Path:
    return endpoint.root.parent.parent


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(
        [COMMAND, "serve", "--ray", "--haproxy", "--min-replicas", "2", "--max-replicas", "2", "--port", "0"],
        180,
        BRIDGE_ASSETS_DATA__HOME=str(home),
        **free_ports("HAPROXY_STATS_PORT", "HAPROXY_METRICS_PORT", "FALLBACK_PROXY_HTTP_PORT"),
        BRIDGE_ASSETS_TOKEN="a-secret-of-this-test-0123456789-abcdef",
    )
    yield server
    assert server.stop() == 0
    assert not replicas(home), "Ray ends with the command"


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer a-secret-of-this-test-0123456789-abcdef"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        yield client


def free_ports(*names: str) -> dict[str, str]:
    """Variables of Ray Serve for ports that it does not choose itself."""
    with ExitStack() as held:
        ports = [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in names]
    return {f"RAY_SERVE_{name}": str(port) for name, port in zip(names, ports, strict=True)}


def replicas(home: Path) -> list[int]:
    """Process ids of the replicas of the cluster that was started with this home: others may run on this machine."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended
            named = (process / "cmdline").read_bytes().startswith(b"ray::ServeReplica")
            if named and f"BRIDGE_ASSETS_DATA__HOME={home}\0".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def test_it_answers_as_the_model_predicts(client: httpx.Client, endpoint: LocalEndpoint) -> None:
    model = endpoint.load_model()
    probe = Probe.load(next((endpoint.root / "current").glob("probe.json")))
    reply = client.post("/predict", json={"instances": probe.request_rows()}, headers={"X-Request-ID": "mine-7"})
    assert reply.json()["predictions"] == model.fall_probability(probe.table()).to_list()
    assert reply.headers["X-Model-Version"] == model.version
    assert reply.headers["X-Request-ID"] == "mine-7"
    assert client.get("/health").json() == {
        "status": "ok",
        "version": model.version,
        "slot": (endpoint.root / "current").readlink().name,
    }


def test_the_border_is_that_of_the_app(client: httpx.Client, server: ServerProcess) -> None:
    assert httpx.post(f"{server.url}/predict", json={"instances": []}, timeout=30).status_code == 401
    refused = client.post("/predict", json={"instances": [{"no_such_feature": 1}]})
    assert refused.status_code == 422
    assert "unknown feature 'no_such_feature'" in refused.json()["error"]
    assert client.get("/nothing").status_code == 404


def test_requests_that_arrive_together_are_each_answered_with_their_own_rows(
    client: httpx.Client, endpoint: LocalEndpoint
) -> None:
    probe = Probe.load(next((endpoint.root / "current").glob("probe.json")))
    rows, answers = probe.request_rows(), endpoint.load_model().fall_probability(probe.table()).to_list()
    with ThreadPoolExecutor(16) as threads:
        numbers = [number % len(rows) for number in range(160)]
        replies = list(threads.map(lambda number: client.post("/predict", json={"instances": [rows[number]]}), numbers))
    assert [reply.json()["predictions"] for reply in replies] == [[answers[number]] for number in numbers]


def test_the_metrics_are_those_of_all_replicas(client: httpx.Client) -> None:
    def answered() -> float:
        lines = client.get("/metrics").text.splitlines()
        wanted = 'bridge_assets_requests_total{purpose="other",route="other",status="404"}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))

    before = answered()
    for number in range(20):
        client.get(f"/nothing-{number}")
    assert answered() == before + 20


def test_a_promoted_version_is_served_and_no_request_is_lost(
    server: ServerProcess, client: httpx.Client, endpoint: LocalEndpoint, versions: list[ModelVersion]
) -> None:
    probe = Probe.load(versions[0].file("probe.json"))
    expected = {versions[0].version: endpoint.load_model().fall_probability(probe.table()).to_list()}
    done = threading.Event()
    with ThreadPoolExecutor(1) as watcher:
        headers = dict(client.headers)
        watching = watcher.submit(send_requests, server.url, {"instances": probe.request_rows()}, done, headers)
        try:
            for version in (versions[1], versions[2]):
                endpoint.deploy(version)
                expected[version.version] = endpoint.load_model().fall_probability(probe.table()).to_list()
                until = time.monotonic() + 60
                # Both replicas have it once many answers in a row are its.
                while {client.get("/health").json()["version"] for _ in range(12)} != {version.version}:
                    assert time.monotonic() < until
        finally:
            done.set()
        responses = watching.result()
    assert {each.status for each in responses} == {200}
    assert {each.version for each in responses} == set(expected)
    for each in responses:
        assert each.predictions == expected[each.version], "an answer is that of one version"


def test_a_killed_replica_is_replaced(home: Path, client: httpx.Client) -> None:
    running = replicas(home)
    assert len(running) == 2
    killed = running[0]
    os.kill(killed, signal.SIGKILL)
    until, in_a_row = time.monotonic() + 120, 0
    while in_a_row < 10 or len(replicas(home)) < 2 or killed in replicas(home):
        assert time.monotonic() < until
        try:
            in_a_row = in_a_row + 1 if client.get("/health").status_code == 200 else 0
        except httpx.TransportError:  # a request that the killed replica had, or a connection to it, is lost
            in_a_row = 0
        time.sleep(0.1)


def test_what_is_missing_is_said_before_ray_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge_assets.serve.ray_app import RayServeArgs, app

    monkeypatch.delenv("BRIDGE_ASSETS_TOKEN", raising=False)
    with pytest.raises(DeploymentError, match="no model version is deployed"):
        app({"endpoint": str(tmp_path)})  # as `serve run` calls it
    with pytest.raises(ValidationError, match=r"replicas\s+Extra inputs are not permitted"):
        app({"endpoint": str(tmp_path), "replicas": "2"})
    with pytest.raises(ValidationError, match="min_replicas 3 is more than max_replicas 2"):
        app({"endpoint": str(tmp_path), "min_replicas": "3", "max_replicas": "2"})
    with pytest.raises(DeploymentError, match=r"0\.0\.0\.0.*not a loopback address"):
        app(RayServeArgs(endpoint=tmp_path, host="0.0.0.0"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--haproxy"], "--haproxy is for --ray"),
        (["--ray", "--min-replicas", "5"], "--min-replicas 5 is more than --max-replicas 4"),
        (["--ray", "--workers", "2"], "--workers is for a server without --ray"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], message: str) -> None:
    result = CliRunner().invoke(serve, options)
    assert result.exit_code == 2
    assert message in result.output


def test_a_port_of_haproxy_in_use_is_said_before_ray_starts(endpoint: LocalEndpoint, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(
            serve,
            ["--ray", "--haproxy", "--port", "0"],
            env={"BRIDGE_ASSETS_DATA__HOME": str(home), "RAY_SERVE_HAPROXY_STATS_PORT": str(port)},
        )
    assert f"0.0.0.0:{port}" in str(result.exception)
    assert "RAY_SERVE_HAPROXY_STATS_PORT" in str(result.exception)
