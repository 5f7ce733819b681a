"""`bridge-assets serve`: the local endpoint over HTTP, while its versions are swapped."""

from __future__ import annotations

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

from bridge_assets.deployment.core.target import Deployment
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import DeploymentError
from bridge_assets.runtime.probe import Probe
from bridge_assets.serve.endpoint_follower import EndpointFollower

COMMAND = [str(Path(sys.executable).parent / "bridge-assets"), "serve", "--port", "0"]

#: Requests a second of the client that watches.
RATE = 50


@pytest.fixture
def endpoint(tmp_path) -> LocalEndpoint:
    return LocalEndpoint(tmp_path / "endpoints" / "local", packages_kept=2)


@pytest.fixture
def server(endpoint, versions, tmp_path):
    endpoint.deploy(versions[0])
    server = ServerProcess(COMMAND, BRIDGE_ASSETS_DATA__HOME=str(tmp_path))
    yield server
    server.stop()


def answers_with(url: str) -> str:
    return httpx.get(f"{url}/health", timeout=30).json()["version"]


def wait_for_version(server: ServerProcess, version: str) -> None:
    until = time.monotonic() + 30
    while answers_with(server.url) != version:
        assert time.monotonic() < until, server.log
        time.sleep(0.02)


@dataclass(frozen=True)
class Seen:
    """One request: when it was sent and answered (s), with what status, by which version, and its predictions."""

    sent: float
    answered: float
    status: int
    version: str
    predictions: list[float]


@dataclass
class Reign:
    """A version, when its deployment began, and when its successor had been heard of (s)."""

    version: str
    began: float
    ended: float = float("inf")


def watched(url: str, body: dict, until: threading.Event) -> list[Seen]:
    """Ask `RATE` times a second, whether or not the answers come, until the event."""
    seen: list[Seen] = []
    with httpx.Client(base_url=url, timeout=30) as client, ThreadPoolExecutor(16) as threads:

        def ask() -> None:
            sent = time.monotonic()
            reply = client.post("/predict", json=body)
            said = reply.json()
            version = reply.headers["X-Model-Version"]
            assert said["model_version"] == version
            seen.append(Seen(sent, time.monotonic(), reply.status_code, version, said["predictions"]))

        began, asked = time.monotonic(), []
        while not until.is_set():
            asked.append(threads.submit(ask))
            until.wait(max(0.0, began + len(asked) / RATE - time.monotonic()))
        for each in asked:
            each.result()  # a request that failed fails the test
    return seen


def test_no_request_fails_and_no_old_version_answers_while_versions_are_swapped(server, endpoint, versions):
    probe = Probe.load(versions[0].file("probe.json"))
    expected = {}
    for version in versions:
        endpoint.deploy(version)
        expected[version.version] = endpoint.load_model().fall_probability(probe.table()).to_list()
    assert len({tuple(answers) for answers in expected.values()}) == len(versions)
    wait_for_version(server, versions[-1].version)
    reigns = [Reign(versions[-1].version, 0.0)]

    def shift(change: Callable[[], Deployment]) -> None:
        began, version = time.monotonic(), change().version
        wait_for_version(server, version)
        reigns[-1].ended = time.monotonic()
        reigns.append(Reign(version, began))

    done = threading.Event()
    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watched, server.url, {"instances": probe.request_rows()}, done)
        try:
            for number in range(6):
                shift(partial(endpoint.deploy, versions[number % 3]))
            shift(endpoint.rollback)
        finally:
            done.set()
        seen = watching.result()
    assert {each.status for each in seen} == {200}
    assert {each.version for each in seen} == set(expected)
    for each in seen:
        assert each.predictions == expected[each.version], "the values are of the version that the header names"
        possible = {reign.version for reign in reigns if reign.began <= each.answered and each.sent <= reign.ended}
        assert each.version in possible, "no version answers once its successor did"


def test_health_says_which_version_answers(server, endpoint, versions):
    assert answers_with(server.url) == versions[0].version
    deployment = endpoint.deploy(versions[1])
    wait_for_version(server, deployment.version)
    health = httpx.get(f"{server.url}/health").json()
    assert health["slot"] == (endpoint.root / "current").readlink().name
    assert server.log[-1]["event"] == "version"
    assert server.log[-1]["version"] == versions[1].version


def test_what_cannot_be_loaded_leaves_the_old_version_answering_until_it_is_mended(server, endpoint, versions):
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
    assert answers_with(server.url) == versions[0].version
    endpoint.deploy(versions[1])
    wait_for_version(server, versions[1].version)
    assert sum(event["event"] == "not taken" for event in server.log) == 1, "said once, not at every look"


def test_a_follower_keeps_what_it_has_and_says_when_there_is_another(endpoint, versions):
    with pytest.raises(DeploymentError, match=r"no model version is deployed.*deploy a version to the local endpoint"):
        EndpointFollower(endpoint.root)
    endpoint.deploy(versions[0])
    follower = EndpointFollower(endpoint.root)
    taken = follower.current
    assert (taken.version, follower.refresh()) == (versions[0].version, False)
    endpoint.deploy(versions[1])
    assert follower.refresh()
    assert (taken.version, follower.current.version) == (versions[0].version, versions[1].version)


def test_nothing_deployed_is_a_message_and_not_a_stack_trace(tmp_path):
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
