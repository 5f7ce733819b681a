"""What the API server refuses: the message says its reason and the remedy that fits, and nothing was changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from support.deployment.kubernetes_release import NAME, ReleaseFixture

from bridge_assets.deployment.core.target import deploy
from bridge_assets.errors import DeploymentError


def misspelt(here: ReleaseFixture) -> None:
    here.edit("autoscaler.yaml", lambda body: body["spec"].update(minReplica=2))


def twice_misspelt(here: ReleaseFixture) -> None:
    here.edit("disruption-budget.yaml", lambda body: body["spec"].update(minAvailabe=1, selecter={}))


def with_text_for_a_number(here: ReleaseFixture) -> None:
    here.edit("deployment.yaml", lambda body: body["spec"].update(progressDeadlineSeconds="5m"))


def with_a_number_for_text(here: ReleaseFixture) -> None:
    def change(body: dict[str, Any]) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = 1

    here.edit("deployment.yaml", change)


def selecting_otherwise(here: ReleaseFixture) -> None:
    def change(body: dict[str, Any]) -> None:
        body["spec"]["selector"]["matchLabels"]["tier"] = body["spec"]["template"]["metadata"]["labels"]["tier"] = "x"

    here.edit("deployment.yaml", change)


TYPED = r"500 .*failed to create typed patch object \(bridges/bridge-fall; {}, Kind={}\): "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            misspelt,
            TYPED.format("autoscaling/v2", "HorizontalPodAutoscaler")
            + r"\.spec\.minReplica: field not declared in schema",
        ),
        (
            twice_misspelt,
            TYPED.format("policy/v1", "PodDisruptionBudget")
            + r"errors: \.spec\.minAvailabe: field not declared.* \.spec\.selecter: field not declared",
        ),
        (
            with_text_for_a_number,
            TYPED.format("apps/v1", "Deployment")
            + r"\.spec\.progressDeadlineSeconds: expected numeric \(int or float\), got string",
        ),
        (
            with_a_number_for_text,
            TYPED.format("apps/v1", "Deployment") + r'.*containers\[name="server"\]\.imagePullPolicy: expected string',
        ),
        (selecting_otherwise, r"422 .*selector: field is immutable"),
    ],
)
def test_a_manifest_that_the_server_refuses_is_sent_once_and_nothing_is_created(
    running, bundles, change: Callable[[ReleaseFixture], None], message
):
    change(running)
    before = running.cluster.store.snapshot()
    with pytest.raises(DeploymentError, match=rf"`patch .*{message}.*correct what it says in the manifest") as caught:
        deploy(running.target(), bundles[1])
    assert "run again later" not in str(caught.value)
    assert "times" not in str(caught.value)
    assert running.cluster.store.snapshot() == before
    refused = [request for request in running.cluster.requests if "dryRun" in request][-1]
    assert running.cluster.requests.count(refused) == 1


def test_a_value_that_cannot_be_converted_is_sent_once(running, bundles):
    message = (
        "failed to convert new object (bridges/bridge-fall; apps/v1, Kind=Deployment) to proper version: quantities"
    )
    running.cluster.inject_error(r"PATCH .*/deployments/bridge-fall\?.*dryRun", 500, message)
    with pytest.raises(DeploymentError, match=r"proper version: quantities.*correct what it says in the manifest"):
        deploy(running.target(), bundles[1])
    assert sum(request.startswith("PATCH") and "/deployments/" in request for request in running.cluster.requests) == 1


def test_another_500_of_an_apply_is_still_retried(running, bundles):
    running.cluster.inject_error(r"PATCH .*/services/bridge-fall\?", 500, "etcdserver: leader changed", times=3)
    assert deploy(running.target(), bundles[1]).version == bundles[1].version


def without_right(rules: list[dict[str, Any]], resource: str, verb: str) -> list[dict[str, Any]]:
    return [
        {**rule, "resources": [each], "verbs": [may for may in rule["verbs"] if (each, may) != (resource, verb)]}
        for rule in rules
        for each in rule["resources"]
    ]


@pytest.mark.parametrize(
    ("resource", "verb", "request_name"),
    [
        ("horizontalpodautoscalers", "patch", "horizontalpodautoscalers bridge-fall"),
        ("services/proxy", "create", "services/proxy bridge-fall-canary-"),
        ("leases", "create", "leases"),
        ("configmaps", "list", "configmaps"),
    ],
)
def test_a_right_that_is_missing_is_reported_with_the_manifest_that_grants_it(
    running, bundles, resource, verb, request_name
):
    rules, running.cluster.rules = running.cluster.rules, without_right(running.cluster.rules, resource, verb)
    denied = rf'User "system:serviceaccount:.*" cannot {verb} resource "{resource}"'
    with pytest.raises(
        DeploymentError, match=rf"`{verb} {request_name}.*403 Forbidden: .*{denied}.*deployer/rbac\.yaml"
    ):
        deploy(running.target(), bundles[1])
    running.cluster.rules = rules
    assert running.is_serving(bundles[0])
    assert running.target().state().current_slot == bundles[0].slot


@pytest.mark.parametrize("plural", ["services", "networkpolicies"])
def test_a_quota_on_objects_is_not_mistaken_for_a_missing_right(running, bundles, plural):
    running.cluster.store.quotas[plural] = 1
    before = running.cluster.store.snapshot()
    with pytest.raises(DeploymentError, match=rf"403 Forbidden: {plural} .*exceeded quota: small, requested") as caught:
        deploy(running.target(), bundles[1])
    assert "raise this quota" in str(caught.value)
    assert not re.search(r"rbac|allow the user", str(caught.value))
    assert running.cluster.store.snapshot() == before


def test_another_403_gets_no_advice_about_rights(running, bundles):
    message = f'services "{NAME}" is forbidden: unable to create new content in namespace bridges because it is being'
    running.cluster.inject_error(r"PATCH .*/services/bridge-fall\?.*dryRun", 403, f"{message} terminated")
    with pytest.raises(DeploymentError, match=r"being terminated\. What to do: fix the cause, then run again"):
        deploy(running.target(), bundles[1])
