"""Pods that the cluster refuses to create: its reason is quoted, early, and the old version keeps serving."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from support.deployment.kubernetes_release import NAME, ReleaseFixture

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.target import TargetState, deploy
from bridge_assets.errors import DeploymentError

POD_SECURITY = (
    'pods "{name}" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities (container '
    '"server" must set securityContext.capabilities.drop=["ALL"])'
)
LIMIT_RANGE = (
    'pods "{name}" is forbidden: maximum memory usage per Container is 256Mi, but limit is 512Mi'  # plugin limitranger
)
POLICY = 'admission webhook "validate.example.org" denied the request: images must come from registry.example.com'
WEBHOOK_AWAY = (
    'Internal error occurred: failed calling webhook "validate.example.org": failed to call webhook: Post '
    '"https://policy.example.svc:443/validate": dial tcp 10.0.0.9:443: connect: connection refused'
)


def assert_the_first_version_serves(here: ReleaseFixture, bundles: list[Bundle]) -> None:
    assert here.is_serving(bundles[0])
    assert here.target().state() == TargetState((bundles[0].slot,), frozenset({bundles[0].slot}))
    assert here.archives() == [bundles[0].slot]
    assert here.cluster.pods.min_ready == {NAME: 2}


@pytest.mark.parametrize("refusal", [POD_SECURITY, LIMIT_RANGE, POLICY], ids=["PodSecurity", "LimitRange", "policy"])
def test_a_rule_that_forbids_the_pods_is_quoted_within_a_few_polls(running, bundles, refusal):
    running.cluster.pods.refusal = refusal
    started = time.monotonic()
    with pytest.raises(DeploymentError, match=r"the rollout of bridge-fall-canary-.* did not finish") as caught:
        deploy(running.target(), bundles[1])
    assert time.monotonic() - started < 20  # the rollout's own deadline is 120 s
    message = str(caught.value)
    assert "After the cluster refused its pods: " in message
    assert "Pods cannot be created: FailedCreate " in message
    assert refusal.partition('"{name}"')[2] in message
    assert "change what it names in the manifests, or the rule of the namespace" in message
    assert "The pods report no problem" not in message
    running.cluster.pods.refusal = ""
    assert_the_first_version_serves(running, bundles)


def test_a_quota_that_stays_full_is_quoted_before_the_deadline(running, bundles):
    running.cluster.store.quotas["pods"] = 2
    with pytest.raises(
        DeploymentError, match=r"FailedCreate pods .*exceeded quota: small, requested: pods=1"
    ) as caught:
        deploy(running.target(), bundles[1])
    assert "After the cluster refused its pods: 0 of 1 pods are created" in str(caught.value)
    assert "raise this quota of the namespace, or lower what the manifests request" in str(caught.value)
    assert_the_first_version_serves(running, bundles)
    running.cluster.store.quotas.clear()
    assert deploy(running.target(), bundles[1]).version == bundles[1].version


def test_a_quota_with_room_for_the_canary_alone_rolls_back(running, bundles):
    running.cluster.store.quotas["pods"] = 3
    with pytest.raises(DeploymentError, match=r"rollout of bridge-fall did not finish.*exceeded quota: small"):
        deploy(running.target(), bundles[1])
    assert_the_first_version_serves(running, bundles)


def test_a_quota_that_becomes_free_in_time_is_waited_for(running, bundles):
    running.cluster.store.quotas["pods"] = 2

    def free() -> None:
        while not any("ReplicaFailure" in str(each.get("status")) for each in running.cluster.store.all("deployments")):
            time.sleep(0.001)
        time.sleep(0.2)
        running.cluster.store.quotas.clear()

    threading.Thread(target=free, daemon=True).start()
    assert deploy(running.target(), bundles[1]).version == bundles[1].version
    assert running.is_serving(bundles[1])


def test_a_webhook_that_cannot_be_reached_is_waited_for_and_quoted_at_the_deadline(running, bundles):
    running.cluster.pods.refusal = WEBHOOK_AWAY
    with pytest.raises(DeploymentError, match=r"After 0\.5 s: .*FailedCreate Internal error occurred: failed calling"):
        deploy(replace(running.target(), rollout_timeout=0.5), bundles[1])

    def come_back() -> None:
        time.sleep(0.5)  # far more than the polls after which a rule is taken for final
        running.cluster.pods.refusal = ""

    threading.Thread(target=come_back, daemon=True).start()
    assert deploy(running.target(), bundles[1]).version == bundles[1].version
