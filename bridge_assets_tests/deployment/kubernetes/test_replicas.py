"""Who owns the number of pods: the manifests, an autoscaler, or a person."""

from __future__ import annotations

import re

import pytest
from support.deployment.kubernetes_release import NAME, ReleaseFixture

from bridge_assets.deployment.core.target import deploy
from bridge_assets.errors import DeploymentError

KEY = ("deployments", NAME)

SCALE_OWNER = r'conflict with "{}" with subresource "scale" using apps/v1 at \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ'


def scale(here: ReleaseFixture, manager: str, replicas: int) -> None:
    with here.cluster.store.lock:
        here.cluster.store.scale(KEY, manager, replicas)


def take_out_the_autoscaler(here: ReleaseFixture) -> None:
    (here.manifests / "autoscaler.yaml").unlink()
    here.edit("deployment.yaml", lambda body: body["spec"].update(replicas=3))


def assert_three_pods_of_the_manifests(here: ReleaseFixture) -> None:
    assert (here.cluster.deployment(NAME)["spec"]["replicas"], len(here.pods())) == (3, 3)
    assert here.cluster.store.owners_of_replicas(NAME) == {"bridge-assets"}
    assert here.cluster.pods.min_ready == {NAME: 2}


def test_an_autoscaler_is_taken_out_after_it_never_owned_the_number(running, bundles):
    # The autoscaler raised the server's default, which has no owner; then our own manager kept it.
    assert running.cluster.deployment(NAME)["spec"]["replicas"] == 2
    assert running.cluster.store.owners_of_replicas(NAME) == {"bridge-assets-replicas"}
    take_out_the_autoscaler(running)
    assert f"HorizontalPodAutoscaler {NAME}" in deploy(running.target(), bundles[0]).removed
    assert_three_pods_of_the_manifests(running)
    assert deploy(running.target(), bundles[1]).version == bundles[1].version
    assert_three_pods_of_the_manifests(running)


def test_an_autoscaler_is_taken_out_after_it_owned_the_number_together_with_us(running, bundles):
    scale(running, "kube-controller-manager", 4)
    assert running.cluster.store.owners_of_replicas(NAME) == {"kube-controller-manager"}
    deploy(running.target(), bundles[1])
    assert running.cluster.store.owners_of_replicas(NAME) == {"kube-controller-manager", "bridge-assets-replicas"}
    assert running.cluster.deployment(NAME)["spec"]["replicas"] == 4
    take_out_the_autoscaler(running)
    deploy(running.target(), bundles[2])
    assert_three_pods_of_the_manifests(running)


def test_the_autoscaler_comes_back_and_the_number_stays(running, bundles):
    kept = (running.manifests / "autoscaler.yaml").read_text()
    take_out_the_autoscaler(running)
    deploy(running.target(), bundles[1])
    running.edit("deployment.yaml", lambda body: body["spec"].pop("replicas"))
    (running.manifests / "autoscaler.yaml").write_text(kept)
    deploy(running.target(), bundles[2])
    assert running.cluster.deployment(NAME)["spec"]["replicas"] == 3
    assert running.cluster.pods.min_ready == {NAME: 2}


def test_a_person_who_scaled_is_named_together_with_the_other_owners_and_keeps_the_number(running, bundles):
    scale(running, "kube-controller-manager", 4)
    deploy(running.target(), bundles[1])
    take_out_the_autoscaler(running)
    # The same number: a person's apply shares the field, as `kubectl apply --server-side` does.
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": {"replicas": 4}}
    with running.cluster.store.lock:
        running.cluster.store.apply(KEY, patch, "kubectl")
    with pytest.raises(DeploymentError) as caught:
        deploy(running.target(), bundles[2])
    (listed,) = re.findall(r"owns \.spec\.replicas \((.*)\)\. What", str(caught.value))
    for owner in (r'conflict with "bridge-assets-replicas"', SCALE_OWNER.format("kube-controller-manager")):
        assert re.search(owner, listed)
    assert 'conflict with "kubectl"' in listed
    assert running.cluster.deployment(NAME)["spec"]["replicas"] == 4


@pytest.mark.parametrize("how", ["scale", "edit"])
def test_a_person_who_changed_the_number_keeps_it(running, bundles, how):
    take_out_the_autoscaler(running)
    deploy(running.target(), bundles[0])
    with running.cluster.store.lock:
        if how == "scale":
            running.cluster.store.scale(KEY, "kubectl", 4)
        else:
            running.cluster.store.set_field(KEY, "kubectl-edit", ("spec", "replicas"), 4)
    with pytest.raises(DeploymentError, match=r"owns \.spec\.replicas \(conflict with \"kubectl"):
        deploy(running.target(), bundles[1])
    assert running.cluster.deployment(NAME)["spec"]["replicas"] == 4
