"""The API server restarts while a rollout is waited for: it is waited for too, and the deployment completes."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.deployment.kubernetes_release import NAME, ReleaseFixture

from bridge_assets.deployment.core.target import deploy
from bridge_assets.deployment.kubernetes.lease import LEASE_SECONDS
from bridge_assets.deployment.kubernetes.target import KubernetesEndpoint
from bridge_assets.errors import DeploymentError

#: Far longer than a request with all its retries takes here, where `backoff` is 0.
AWAY_SECONDS, LOADING_SECONDS = 0.5, 0.3


class PodHeld:
    """No node has room for the pods of one role and slot until `release`; `outage` starts when the first one waits and
    nothing has been applied for `settled` seconds."""

    def __init__(
        self, here: ReleaseFixture, role: str, slot: str, outage: Callable[[], None], settled: float = 0.05
    ) -> None:
        self._labels = {"bridge-assets-role": role, "bridge-assets-slot": slot}
        self._outage, self._released, self.started = outage, threading.Event(), threading.Event()
        self._cluster, self._settled = here.cluster, settled
        here.cluster.pods.has_room = self._has_room

    def _has_room(self, labels: dict[str, str]) -> bool:
        if not self._labels.items() <= labels.items():
            return True
        if not self.started.is_set():
            self.started.set()
            threading.Thread(target=self._run, daemon=True).start()
        return self._released.is_set()

    def _run(self) -> None:
        changes = -1
        while changes != (changes := len(self._cluster.changes)):  # until everything is applied and only waited for
            time.sleep(self._settled)
        self._outage()
        self._released.set()


def restart(here: ReleaseFixture, target: KubernetesEndpoint) -> None:
    """A restart in which the lease is due for renewal as well."""
    here.cluster.restart(AWAY_SECONDS, LOADING_SECONDS)
    assert target._lease is not None
    target._lease._renewed_at -= LEASE_SECONDS / 2
    time.sleep(AWAY_SECONDS + LOADING_SECONDS + 0.1)


@pytest.mark.parametrize("role", ["canary", "live"])
def test_a_restart_of_the_api_server_is_waited_for(running, bundles, role):
    target = running.target()
    held = PodHeld(running, role, bundles[1].slot, lambda: restart(running, target), settled=1)
    assert deploy(target, bundles[1]).version == bundles[1].version
    assert held.started.is_set()
    assert running.is_serving(bundles[1])
    assert running.cluster.pods.min_ready == {NAME: 2}
    assert running.cluster.names("leases") == []


def without_connections(here: ReleaseFixture) -> None:
    here.cluster.drop_connections(".*", times=1_000_000, done=False)


def without_rights(here: ReleaseFixture) -> None:
    here.cluster.rules = []


@pytest.mark.parametrize(
    ("outage", "message"),
    [
        (without_connections, r"`get deployments bridge-fall-canary-\w+` did not reach the cluster"),
        (
            without_rights,
            r"the cluster refused `get deployments bridge-fall-canary-\w+` \(403 Forbidden: .* cannot get",
        ),
    ],
)
def test_an_api_server_that_stays_away_is_reported_at_the_deadline_and_a_new_deployment_completes(
    running, bundles, outage, message
):
    target, rules = replace(running.target(), rollout_timeout=1.0), running.cluster.rules
    PodHeld(running, "canary", bundles[1].slot, lambda: (outage(running), time.sleep(2))[1])
    with pytest.raises(DeploymentError, match=rf"After 1 s: its state could not be read: {message}") as caught:
        deploy(target, bundles[1])
    assert "The pods could not be read" in str(caught.value)
    assert "check that the cluster answers" in str(caught.value)
    assert not re.search("What to do.*What to do", str(caught.value))
    running.cluster.clear_faults()
    running.cluster.rules = rules
    assert deploy(running.target(), bundles[1]).previous == bundles[0].version
    assert running.is_serving(bundles[1])


def test_a_renewal_whose_response_was_lost_is_not_taken_for_another_deployment(running, bundles):
    target = running.target()
    with target.exclusive_lock("testing"):
        lease = target._lease
        assert lease is not None
        lease._renewed_at -= LEASE_SECONDS / 2
        running.cluster.drop_connections(r"PUT .*/leases/", times=1, done=True)
        target.provision(bundles[1])
        assert lease._renewed_at > time.monotonic() - LEASE_SECONDS / 3
    assert running.cluster.names("leases") == []


def test_a_deployment_that_lost_the_lease_while_it_waited_ends_at_once(running, bundles):
    target = running.target()

    def take_over() -> None:
        with running.cluster.store.lock:
            path = ("spec", "holderIdentity")
            running.cluster.store.set_field(("leases", f"{NAME}-deploy"), "other", path, "elsewhere/1/2")
        assert target._lease is not None
        target._lease._renewed_at -= LEASE_SECONDS / 2
        time.sleep(2)

    PodHeld(running, "canary", bundles[1].slot, take_over)
    started = time.monotonic()
    with pytest.raises(DeploymentError, match="another deployment took over"):
        deploy(target, bundles[1])
    assert time.monotonic() - started < 20


def test_a_lease_that_cannot_be_renewed_ends_the_deployment_at_its_next_change_and_not_while_it_waits(running, bundles):
    target = running.target()

    def without_renewals() -> None:
        running.cluster.inject_error("PUT .*/leases/", 500, "etcdserver: request timed out")
        assert target._lease is not None
        target._lease._renewed_at -= LEASE_SECONDS / 2
        time.sleep(0.3)

    held = PodHeld(running, "canary", bundles[1].slot, without_renewals)
    with pytest.raises(
        DeploymentError, match=r"refused `update leases bridge-fall-deploy`.*etcdserver: request timed out"
    ):
        deploy(target, bundles[1])
    assert held.started.is_set()
    running.cluster.clear_faults()
    assert running.is_serving(bundles[0])
    assert deploy(running.target(), bundles[1]).version == bundles[1].version
