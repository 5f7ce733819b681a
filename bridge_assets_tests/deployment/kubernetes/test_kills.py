"""Deployments to a cluster in a process of their own, killed with SIGKILL at random moments.

`test_faults` plays a kill after every single change. Here the moment is any: within a request, while a rollout is
waited for, while the lease is taken or given back.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from support.deployment.kubernetes_release import NAME, ReleaseFixture

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.packing import pack, read_served_files
from bridge_assets.deployment.core.target import deploy
from bridge_assets.deployment.kubernetes.target import KubernetesEndpoint
from bridge_assets.runtime.probe import Probe

#: A hundred in `make drills`.
KILLS = 100 if os.environ.get("BRIDGE_ASSETS_DRILLS") == "1" else 10

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["pytest", "kubernetes.client", "kubernetes.config", "onnxruntime", __name__])


def deploy_in_process(target: KubernetesEndpoint, bundle: Bundle, kubeconfig: Path, ready: Connection) -> None:
    os.environ |= {"KUBECONFIG": str(kubeconfig), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    os.environ.pop("KUBERNETES_SERVICE_HOST", None)
    ready.send("deploying")
    deploy(target, bundle)


class Deploying:
    """A deployment in another process, from the moment at which it starts."""

    def __init__(self, here: ReleaseFixture, bundle: Bundle) -> None:
        ready, other_end = SPAWN.Pipe()
        arguments = (here.target(), bundle, here.folder / "kubeconfig", other_end)
        self.process = SPAWN.Process(target=deploy_in_process, args=arguments)
        self.process.start()
        ready.recv()
        self.started = time.monotonic()

    def kill_after(self, seconds: float) -> bool:
        """Whether it was still running."""
        self.process.join(seconds)
        running = self.process.is_alive()
        assert self.process.pid is not None
        if running:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        return running and self.process.exitcode == -signal.SIGKILL


class Capacity:
    """Watches that two pods are ready at any time, also between a kill and the next deployment."""

    def __init__(self, here: ReleaseFixture) -> None:
        self._here, self._stop, self.least = here, threading.Event(), 1_000_000
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.least = min(self.least, len(self._here.cluster.pods.ready_addresses({"bridge-assets-role": "live"})))

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self.least


def model_of(bundle: Bundle, folder: Path) -> Callable[[Probe], np.ndarray]:
    """The artifact of a version itself: probe -> its predictions for the rows."""
    model = pack(read_served_files(bundle.model_version), folder / bundle.slot).load_model()
    return lambda probe: model.fall_probability(probe.table()).to_numpy()


def assert_clean(here: ReleaseFixture, bundle: Bundle) -> None:
    """A version is served, and the cluster holds nothing else than it and the history."""
    assert here.is_serving(bundle)
    assert here.pods("canary") == []
    state = here.target().state()
    assert (state.current_slot, state.resources) == (bundle.slot, {bundle.slot})
    assert here.archives() == sorted(state.history)
    assert len(here.cluster.names("configmaps")) == len(state.history)
    for kind in ("deployments", "services", "networkpolicies", "poddisruptionbudgets", "horizontalpodautoscalers"):
        assert here.cluster.names(kind) == [NAME]
    assert here.cluster.names("leases") == []


@pytest.mark.slow
def test_kills_at_random_moments_leave_a_version_serving_and_the_next_deployment_cleans_up(running, bundles, tmp_path):
    here = running
    models = {bundle.version: model_of(bundle, tmp_path) for bundle in bundles[:3]}
    for bundle in (bundles[2], bundles[1], bundles[0]):  # from now on a server of each version is running
        deploy(here.target(), bundle)
    undisturbed = Deploying(here, bundles[1])
    undisturbed.process.join()
    assert undisturbed.process.exitcode == 0
    duration, current = time.monotonic() - undisturbed.started, bundles[1]
    chance, capacity = random.Random(), Capacity(here)
    killed, moments = 0, set()
    while killed < KILLS:
        other = chance.choice([bundle for bundle in bundles[:3] if bundle is not current])
        changes = len(here.cluster.changes)
        in_time = Deploying(here, other).kill_after(chance.uniform(0, duration))
        killed, duration = killed + in_time, duration if in_time else 0.9 * duration
        moments.add(len(here.cluster.changes) - changes)
        found = here.target().predict(current.probe, None)
        expected = [models[each.version](current.probe) for each in (current, other)]
        assert any(np.allclose(found, answers, rtol=0, atol=1e-6) for answers in expected)
        current = chance.choice(bundles[:3])
        deploy(here.target(), current)
        assert_clean(here, current)
    print(f"{killed} kills within {duration:.2f} s, after {sorted(moments)} changes")
    assert len(moments) > 2
    assert capacity.stop() >= 2
    assert here.cluster.pods.min_ready == {NAME: 2}
