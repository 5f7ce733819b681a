"""`bridge-assets serve`: the local endpoint over HTTP, while its versions are switched."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from support.deployment.local_endpoint import corrupt_byte
from support.deployment.server_process import ServerProcess
from support.deployment.steady_requests import send_requests

from bridge_assets.deployment.core.target import Deployment
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import DeploymentError
from bridge_assets.runtime.probe import Probe
from bridge_assets.serve.endpoint_follower import EndpointFollower

COMMAND = [str(Path(sys.executable).parent / "bridge-assets"), "serve", "--port", "0"]


@pytest.fixture
def endpoint(tmp_path) -> LocalEndpoint:
    return LocalEndpoint(tmp_path / "endpoints" / "local", packages_kept=2)


@pytest.fixture
def server(endpoint, versions, tmp_path):
    endpoint.deploy(versions[0])
    server = ServerProcess(COMMAND, BRIDGE_ASSETS_DATA__HOME=str(tmp_path))
    yield server
    server.stop()


def active_version(url: str) -> str:
    return httpx.get(f"{url}/health", timeout=30).json()["version"]


def wait_for_version(server: ServerProcess, version: str) -> None:
    until = time.monotonic() + 30
    while active_version(server.url) != version:
        assert time.monotonic() < until, server.log
        time.sleep(0.02)


@dataclass
class ActivePeriod:
    """A version, when its deployment began, and when its successor first answered (s)."""

    version: str
    began: float
    ended: float = float("inf")


def test_the_metrics_say_which_version_is_served_after_a_switch(server, endpoint, versions):
    endpoint.deploy(versions[1])
    wait_for_version(server, versions[1].version)
    serving = {}
    until = time.monotonic() + 10
    while serving.get(versions[1].version) != "1.0":
        assert time.monotonic() < until, serving
        text = httpx.get(f"{server.url}/metrics", timeout=30).text
        serving = dict(re.findall(r'bridge_assets_model_info\{.*version="(\w+)"\} (\S+)', text))
    assert serving == {versions[0].version: "0.0", versions[1].version: "1.0"}


def test_no_request_fails_and_no_old_version_answers_while_versions_are_switched(server, endpoint, versions):
    probe = Probe.load(versions[0].file("probe.json"))
    expected = {}
    for version in versions:
        endpoint.deploy(version)
        expected[version.version] = endpoint.load_model().fall_probability(probe.table()).to_list()
    assert len({tuple(answers) for answers in expected.values()}) == len(versions)
    wait_for_version(server, versions[-1].version)
    periods = [ActivePeriod(versions[-1].version, 0.0)]

    def switch(change: Callable[[], Deployment]) -> None:
        began, version = time.monotonic(), change().version
        wait_for_version(server, version)
        periods[-1].ended = time.monotonic()
        periods.append(ActivePeriod(version, began))

    done = threading.Event()
    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(send_requests, server.url, {"instances": probe.request_rows()}, done)
        try:
            for number in range(6):
                switch(partial(endpoint.deploy, versions[number % 3]))
            switch(endpoint.rollback)
        finally:
            done.set()
        responses = watching.result()
    assert {each.status for each in responses} == {200}
    assert {each.version for each in responses} == set(expected)
    for each in responses:
        assert each.predictions == expected[each.version], "the predictions are those of the version in the header"
        possible = {period.version for period in periods if period.began <= each.answered and each.sent <= period.ended}
        assert each.version in possible, "no version answers after its successor has"


def test_health_reports_the_active_version(server, endpoint, versions):
    assert active_version(server.url) == versions[0].version
    deployment = endpoint.deploy(versions[1])
    wait_for_version(server, deployment.version)
    health = httpx.get(f"{server.url}/health").json()
    assert health["slot"] == (endpoint.root / "current").readlink().name
    assert server.log[-1]["event"] == "version"
    assert server.log[-1]["version"] == versions[1].version


def test_if_a_version_cannot_be_loaded_the_old_one_stays_active_until_it_is_repaired(server, endpoint, versions):
    endpoint.deploy(versions[1])
    wait_for_version(server, versions[1].version)
    endpoint.deploy(versions[0])
    wait_for_version(server, versions[0].version)
    damaged = next(path for path in (endpoint.root / "versions").iterdir() if versions[1].version in path.name)
    corrupt_byte(damaged / "model.onnx")
    (endpoint.root / "next").symlink_to(Path("versions") / damaged.name)
    (endpoint.root / "next").replace(endpoint.root / "current")
    until = time.monotonic() + 30
    while server.log[-1]["event"] != "not taken":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert "model.onnx is not what was deployed" in server.log[-1]["why"]
    assert active_version(server.url) == versions[0].version
    endpoint.deploy(versions[1])
    wait_for_version(server, versions[1].version)
    assert sum(event["event"] == "not taken" for event in server.log) == 1, "logged once, not at every check"


def test_a_follower_reports_when_it_loaded_another_version(endpoint, versions):
    with pytest.raises(DeploymentError, match=r"no model version is deployed.*deploy a version to the local endpoint"):
        EndpointFollower(endpoint.root)
    endpoint.deploy(versions[0])
    follower = EndpointFollower(endpoint.root)
    first = follower.current
    assert (first.version, follower.refresh()) == (versions[0].version, False)
    endpoint.deploy(versions[1])
    assert follower.refresh()
    assert (first.version, follower.current.version) == (versions[0].version, versions[1].version)


def test_without_a_deployment_there_is_an_error_message_and_no_stack_trace(tmp_path):
    ran = subprocess.run(
        COMMAND,
        env={"BRIDGE_ASSETS_DATA__HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "no model version is deployed" in ran.stderr
    assert "Traceback" not in ran.stderr
