"""Faults of an endpoint in a cluster: the old version keeps serving, and nothing that costs money is left behind."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace

import pytest
from support.deployment.kubernetes_release import NAME, ReleaseFixture

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.target import TargetState, deploy
from bridge_assets.errors import CanaryMismatch, DeploymentError


def assert_nothing_happened(here: ReleaseFixture, bundles: list[Bundle]) -> None:
    """The first version is being served, and no other version has any objects."""
    here.cluster.clear_faults()
    assert here.is_serving(bundles[0])
    assert here.target().state() == TargetState((bundles[0].slot,), frozenset({bundles[0].slot}))
    assert here.pods("canary") == []
    assert here.archives() == [bundles[0].slot]
    for kind in ("deployments", "services", "networkpolicies", "serviceaccounts"):
        assert here.cluster.names(kind) == [NAME]


# The API server


def test_expired_credentials_are_reported_and_nothing_is_touched(running, bundles, monkeypatch):
    here, before = running, running.cluster.store.snapshot()
    monkeypatch.setenv("KUBECONFIG", str(here.cluster.kubeconfig(here.folder / "old", token="expired")))
    with pytest.raises(
        DeploymentError, match=r"401 Unauthorized.*log in to the cluster again: .* KUBECONFIG \(.*/old\)"
    ):
        deploy(here.target(), bundles[1])
    assert here.cluster.store.snapshot() == before


def test_throttled_requests_are_retried(running, bundles):
    running.cluster.inject_error(r"PATCH .*/deployments/bridge-fall\?", 429, "slow down", times=1, Retry_After="1")
    running.cluster.inject_error(r"GET .*/pods", 503, "starting", times=3)
    running.cluster.inject_error(r"POST .*/proxy/", 500, "a hiccup", times=2)
    assert deploy(running.target(), bundles[1]).version == bundles[1].version
    assert running.is_serving(bundles[1])


def test_a_server_that_keeps_failing_is_given_up(running, bundles):
    running.cluster.inject_error(r"PATCH .*/services/bridge-fall\?(?!.*dryRun)", 503, "overloaded", times=6)
    with pytest.raises(DeploymentError, match=r"503 .*overloaded.*the request was sent 6 times"):
        deploy(running.target(), bundles[1])
    assert_nothing_happened(running, bundles)


@pytest.mark.parametrize("done", [False, True], ids=["before it was created", "after it was created"])
def test_a_connection_that_drops_while_something_is_created(running, bundles, done):
    running.cluster.drop_connections(r"PATCH .*/deployments/bridge-fall-canary-.*force=true", times=2, done=done)
    running.cluster.drop_connections(r"POST .*/leases", times=1, done=done)
    assert deploy(running.target(), bundles[1]).version == bundles[1].version
    assert running.is_serving(bundles[1])


def test_a_connection_that_stays_down_is_an_error_and_a_new_deployment_completes(running, bundles):
    running.cluster.drop_connections(r"PATCH .*/deployments/bridge-fall\?(?!.*dryRun)", done=False)
    with pytest.raises(DeploymentError, match=r"`patch deployments bridge-fall` did not reach the cluster"):
        deploy(running.target(), bundles[1])
    running.cluster.clear_faults()
    assert deploy(running.target(), bundles[1]).previous == bundles[0].version
    assert running.is_serving(bundles[1])


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "https://127.0.0.1:{port}"], ids=["nobody there", "no TLS"])
def test_a_cluster_that_cannot_be_reached_is_reported(here, bundles, address):
    port = here.cluster.url.rpartition(":")[2]
    here.cluster.url = address.format(port=port)
    here.cluster.kubeconfig(here.folder / "kubeconfig")
    with pytest.raises(DeploymentError, match=r"//127\.0\.0\.1:.*did not reach the cluster.*check the connection"):
        deploy(here.target(), bundles[0])


def test_a_missing_namespace_is_reported(here, bundles):
    with pytest.raises(DeploymentError, match=r"`create leases`.*404 Not Found: namespaces \"elsewhere\" not found"):
        deploy(here.target(namespace="elsewhere"), bundles[0])


# The pods


def test_an_image_that_cannot_be_pulled_is_reported_and_the_new_slot_is_removed(running, bundles):
    with pytest.raises(DeploymentError, match=r"canary-.*the cluster gave up.*ImagePullBackOff.*missing/serve:1"):
        deploy(running.target(image="missing/serve:1"), bundles[1])
    assert_nothing_happened(running, bundles)


def test_pods_that_never_start_are_given_up_after_the_time_out(here, bundles):
    here.cluster.pods.has_room = lambda labels: False
    target = replace(here.target(), rollout_timeout=0.2)
    with pytest.raises(DeploymentError, match=r"After 0\.2 s.*Unschedulable 0/3 nodes have room"):
        deploy(target, bundles[0])
    assert here.cluster.store.snapshot() == {}
    assert here.archives() == []


def test_the_log_of_a_container_that_ends_is_quoted(running, bundles):
    damaged = running.folder / "damaged.tar.gz"
    damaged.write_bytes(b"this is no archive")
    running.swap_archive(damaged, "canary")
    with pytest.raises(DeploymentError, match=r"CrashLoopBackOff.*exit code 2, its log ends with: .*archive"):
        deploy(running.target(), bundles[1])
    assert_nothing_happened(running, bundles)


def test_a_rollout_that_gets_stuck_is_rolled_back(running, bundles):
    damaged = running.folder / "damaged.tar.gz"
    damaged.write_bytes(b"this is no archive")
    running.swap_archive(damaged, "live")
    with pytest.raises(
        DeploymentError, match=r"the rollout of bridge-fall did not finish.*2 are of the previous version"
    ):
        deploy(running.target(), bundles[1])
    assert_nothing_happened(running, bundles)
    assert running.cluster.pods.min_ready == {NAME: 2}


@pytest.mark.parametrize("behind", ["canary", "live"])
def test_a_wrong_model_behind_the_canary_or_the_public_address_is_rolled_back(running, bundles, behind):
    running.swap_archive(bundles[2].write(running.folder / "wrong.tar.gz"), behind)
    with pytest.raises(CanaryMismatch, match="predictions differ from the exported model's"):
        deploy(running.target(), bundles[1])
    assert_nothing_happened(running, bundles)
    assert running.cluster.pods.min_ready == {NAME: 2}


def test_a_first_version_with_wrong_predictions_leaves_nothing_behind(here, bundles):
    here.swap_archive(bundles[2].write(here.folder / "wrong.tar.gz"), "live")
    with pytest.raises(CanaryMismatch):
        deploy(here.target(), bundles[0])
    assert here.cluster.store.snapshot() == {}
    assert here.archives() == []


# Kills


@pytest.mark.slow
def test_a_kill_at_any_change_leaves_a_version_serving_and_the_next_deployment_cleans_up(running, bundles):
    here, now, number = running, bundles[0], 0
    for number in itertools.count():
        other, third = (bundle for bundle in bundles[:3] if bundle is not now)
        here.cluster.drop_after = number
        with suppress(DeploymentError):  # the very last change releases the lease, which may fail
            deploy(here.target(), other)
        if here.cluster.drop_after >= 0:
            break
        here.cluster.clear_faults()
        assert len(here.cluster.pods.ready_addresses({"bridge-assets-role": "live"})) >= 2
        # The same version again, another one, or the previous one: each deployment completes.
        now = (other, third, now)[number % 3]
        assert deploy(here.target(), now).version == now.version
        assert here.is_serving(now)
        assert here.pods("canary") == []
        standing = here.target().state()
        assert (standing.current_slot, standing.resources) == (now.slot, {now.slot})
        assert here.archives() == sorted(standing.history)
        assert len(here.cluster.names("configmaps")) == len(standing.history)
        for kind in ("deployments", "services", "networkpolicies"):
            assert here.cluster.names(kind) == [NAME]
        assert here.cluster.names("leases") == []
    assert number > 15
    assert here.cluster.pods.min_ready == {NAME: 2}
