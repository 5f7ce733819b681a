"""Objects that somebody deleted by hand: deploying the same version again creates them, and changes nothing else."""

from __future__ import annotations

import pytest
from support.deployment.kubernetes_release import NAME, ReleaseFixture

from bridge_assets.deployment.core.target import TargetState, deploy
from bridge_assets.errors import DeploymentError

PLURALS = ("services", "serviceaccounts", "networkpolicies", "poddisruptionbudgets", "horizontalpodautoscalers")


def delete_by_hand(here: ReleaseFixture, plural: str, name: str = NAME) -> None:
    with here.cluster.store.lock:
        here.cluster.store.delete((plural, name), None)


@pytest.mark.parametrize("plural", [*PLURALS, "configmaps"])
def test_an_object_that_was_deleted_by_hand_is_created_again(running, bundles, plural):
    here, before = running, running.cluster.store.snapshot()
    name = f"{NAME}-{bundles[0].slot}" if plural == "configmaps" else NAME
    delete_by_hand(here, plural, name)
    here.cluster.store.changes.clear()
    again = deploy(here.target(), bundles[0])
    assert (again.version, again.removed, again.canary.rows) == (bundles[0].version, (), 32)
    assert here.cluster.changes == [f"CREATE {plural}/{name}"]
    assert here.cluster.store.snapshot() == before
    assert here.is_serving(bundles[0])
    assert here.cluster.pods.min_ready == {NAME: 2}


def test_everything_but_the_pods_deleted_at_once_is_created_again(running, bundles):
    here, before = running, running.cluster.store.snapshot()
    for plural in PLURALS:
        delete_by_hand(here, plural)
    delete_by_hand(here, "configmaps", f"{NAME}-{bundles[0].slot}")
    (archive,) = here.artifacts.rglob("*.tar.gz")
    archive.unlink()
    deploy(here.target(), bundles[0])
    assert here.cluster.store.snapshot() == before
    assert archive.read_bytes() == bundles[0].archive
    assert here.is_serving(bundles[0])


@pytest.mark.parametrize("damage", [lambda text: text[:100], lambda text: text.replace('"value": "', '"value": "0')])
def test_a_record_that_was_edited_by_hand_is_written_again(running, bundles, damage):
    before, key = running.cluster.store.snapshot(), ("configmaps", f"{NAME}-{bundles[0].slot}")
    with running.cluster.store.lock:
        text = running.cluster.store.objects[key]["data"]["manifests.json"]
        running.cluster.store.set_field(key, "kubectl-edit", ("data", "manifests.json"), damage(text))
    deploy(running.target(), bundles[0])
    assert running.cluster.store.snapshot() == before
    assert running.is_serving(bundles[0])


def test_a_deployment_that_was_deleted_by_hand_is_deployed_as_a_whole_with_its_canary(running, bundles):
    here, before = running, running.cluster.store.snapshot()
    delete_by_hand(here, "deployments")
    again = deploy(here.target(), bundles[0])
    assert again.canary.rows == 32
    assert here.cluster.store.snapshot() == before
    assert here.target().state() == TargetState((bundles[0].slot,), frozenset({bundles[0].slot}))
    assert here.is_serving(bundles[0])


def test_a_field_that_somebody_edited_is_named_and_left_alone(running, bundles):
    path = ("spec", "progressDeadlineSeconds")
    with running.cluster.store.lock:
        running.cluster.store.set_field(("deployments", NAME), "kubectl-edit", path, 60)
    delete_by_hand(running, "poddisruptionbudgets")
    with pytest.raises(DeploymentError, match=r"\.spec\.progressDeadlineSeconds \(conflict with \"kubectl-edit\""):
        deploy(running.target(), bundles[0])
    assert running.cluster.deployment(NAME)["spec"]["progressDeadlineSeconds"] == 60
    assert running.is_serving(bundles[0])


def test_the_history_and_the_rollback_stay_after_a_repair(running, bundles):
    deploy(running.target(), bundles[1])
    delete_by_hand(running, "services")
    again = deploy(running.target(), bundles[1])
    assert again.previous == bundles[0].version
    assert running.target().state().history == (bundles[0].slot, bundles[1].slot)
