"""The local endpoint under kills, a full disk, readers and a second deployment, each in a separate process."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.deployment.local_endpoint import assert_consistent, is_serving, leftovers, snapshot

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import DeploymentError
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.probe import Probe, compare_answers

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["pytest", "polars", "onnxruntime", "bridge_assets.runtime.onnx_predictor", __name__])


@dataclass(frozen=True)
class KillAt:
    """Kills its own process just before the n-th change to the endpoint's folder."""

    root: Path
    change: int

    def watch(self) -> None:
        seen = 0

        def hook(event: str, arguments: tuple) -> None:
            nonlocal seen
            if not self.is_change(event, arguments):
                return
            if seen == self.change:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

        sys.addaudithook(hook)

    def is_change(self, event: str, arguments: tuple) -> bool:
        if event in ("os.remove", "os.rmdir"):  # inside a folder that is being removed, the paths are relative to it
            return True
        if not any(str(self.root) in str(value) for value in arguments):
            return False
        if event == "open":
            return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        return event in ("os.mkdir", "os.rename", "os.symlink")


def deploy_and_be_killed(kill: KillAt, candidate: ModelVersion, keep: int) -> None:
    kill.watch()
    LocalEndpoint(kill.root, keep).deploy(candidate)


def deploy_in_turn(root: Path, candidates: list[ModelVersion], times: int, keep: int) -> None:
    for turn in range(times):
        LocalEndpoint(root, keep).deploy(candidates[turn % len(candidates)])


def deploy_with_little_room(root: Path, candidate: ModelVersion, room: int, report: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        LocalEndpoint(root).deploy(candidate)
    except DeploymentError as error:
        report.write_text(str(error)[:room])


def started(target: Callable[..., None], *arguments: object):
    process = SPAWN.Process(target=target, args=arguments)
    process.start()
    return process


def test_a_kill_before_any_change_leaves_the_old_or_the_new_version_and_the_next_deployment_completes(
    tmp_path, model_versions
):
    undisturbed = LocalEndpoint(tmp_path / "undisturbed", packages_kept=2)
    for candidate in model_versions[:3]:
        undisturbed.deploy(candidate)
    versions = {model_versions[1].version: 0, model_versions[2].version: 0}
    left_behind = 0
    for change in range(100):
        endpoint = LocalEndpoint(tmp_path / f"endpoint{change}", packages_kept=2)
        for candidate in model_versions[:2]:
            endpoint.deploy(candidate)
        process = started(deploy_and_be_killed, KillAt(endpoint.root, change), model_versions[2], 2)
        process.join()
        if process.exitcode == 0:
            break  # the deployment has no more changes
        assert process.exitcode == -signal.SIGKILL
        assert_consistent(endpoint)
        versions[endpoint.current()] += 1
        left_behind += bool(leftovers(endpoint))

        endpoint.deploy(model_versions[2])
        assert is_serving(endpoint, model_versions[2])
        assert endpoint.previous() == model_versions[1].version
        assert not leftovers(endpoint)
        assert files_of(endpoint.root) == files_of(undisturbed.root)
    else:
        pytest.fail("the deployment never came to its end")
    assert all(versions.values()), versions
    assert left_behind


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_twenty_kills_at_random_moments(endpoint, model_versions):
    moments = random.Random(5)
    endpoint.deploy(model_versions[0])
    for _ in range(20):
        # four versions but only two packages kept, so that every deployment copies
        process = started(deploy_in_turn, endpoint.root, model_versions, 10_000, 2)
        before = (endpoint.root / ".lock").stat().st_mtime_ns
        while (endpoint.root / ".lock").stat().st_mtime_ns == before and process.is_alive():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert_consistent(endpoint)
        assert any(is_serving(endpoint, candidate) for candidate in model_versions)
    endpoint.deploy(model_versions[0])
    assert is_serving(endpoint, model_versions[0])
    assert not leftovers(endpoint)


def test_readers_see_only_the_old_or_the_new_version(endpoint, model_versions):
    two = model_versions[:2]
    expected = {candidate.version: Probe.load(candidate.file("probe.json")) for candidate in two}
    endpoint.deploy(two[0])
    process = started(deploy_in_turn, endpoint.root, two, 60, 3)
    seen: dict[str, int] = dict.fromkeys(expected, 0)
    while process.is_alive():
        served = endpoint.load_model()
        probe = expected[served.version]
        compare_answers(served.fall_probability(probe.table()).to_numpy(), probe, endpoint.root)
        seen[served.version] += 1
    process.join()
    assert process.exitcode == 0
    assert all(seen.values()), seen


def test_a_full_disk_leaves_the_old_version_serving(endpoint, model_versions, tmp_path):
    endpoint.deploy(model_versions[0])
    before = snapshot(endpoint.root)
    room = model_versions[1].file("model.onnx").stat().st_size // 2
    process = started(deploy_with_little_room, endpoint.root, model_versions[1], room, tmp_path / "said")
    process.join()
    assert process.exitcode == 0
    assert "File too large" in (tmp_path / "said").read_text()
    assert "stays active" in (tmp_path / "said").read_text()
    assert snapshot(endpoint.root) == before
    assert is_serving(endpoint, model_versions[0])


def test_a_second_deployment_is_refused_when_the_first_does_not_end(tmp_path, model_versions):
    endpoint = LocalEndpoint(tmp_path / "endpoint", lock_timeout=0.2)
    endpoint.deploy(model_versions[0])
    with (endpoint.root / ".lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for change in (lambda: endpoint.deploy(model_versions[1]), endpoint.rollback):
            with pytest.raises(DeploymentError, match=rf"refused.*process {os.getpid()}\) did not finish within 0.2 s"):
                change()
        assert is_serving(endpoint, model_versions[0])  # readers need no lock
    endpoint.deploy(model_versions[1])
    assert is_serving(endpoint, model_versions[1])


def test_two_deployments_at_once_wait_for_each_other(endpoint, model_versions):
    processes = [
        started(deploy_in_turn, endpoint.root, pair, 10, 2) for pair in (model_versions[:2], model_versions[2:])
    ]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert_consistent(endpoint)
    assert endpoint.current() in {model_versions[1].version, model_versions[3].version}
    assert not leftovers(endpoint)
