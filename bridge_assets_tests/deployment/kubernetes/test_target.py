"""The endpoint in a cluster: its objects after deployments, edits of the manifests, and rollbacks."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.deployment.kept_bundles import opener
from support.deployment.kubernetes_release import NAME, ReleaseFixture
from support.deployment.local_endpoint import corrupt_byte

from bridge_assets.deployment.core.bundle import bundle_of
from bridge_assets.deployment.core.target import TargetState, deploy, rollback
from bridge_assets.deployment.kubernetes.target import KubernetesEndpoint, deploy_model_kubernetes
from bridge_assets.errors import DeploymentError, NotConfiguredError, OwnershipError
from bridge_assets.extras import install_command
from bridge_assets.registry.model_version import LATEST
from bridge_assets.storage import write_json


def kinds(removed: tuple[str, ...]) -> list[str]:
    return [name.split(" ")[0] for name in removed]


def test_a_version_is_tested_next_to_the_current_one_then_takes_over_pod_by_pod(here, bundles):
    target = here.target()
    assert target.state() == TargetState()
    first = deploy(target, bundles[0])
    assert (first.target, first.address, first.previous) == ("kubernetes", "http://bridge-fall.bridges.svc:80", None)
    assert first.canary.rows == 32
    assert here.is_serving(bundles[0])
    second = deploy(target, bundles[1])
    assert here.is_serving(bundles[1])
    assert (second.previous, second.removed) == (bundles[0].version, ())
    assert target.state() == TargetState((bundles[0].slot, bundles[1].slot), frozenset({bundles[1].slot}))
    # Never fewer ready pods than requested after the first rollout; and only the objects of the release exist.
    assert here.cluster.pods.min_ready == {NAME: 2}
    for kind in ("deployments", "services", "networkpolicies", "poddisruptionbudgets", "horizontalpodautoscalers"):
        assert here.cluster.names(kind) == [NAME]
    assert here.cluster.names("leases") == []


def test_deploying_the_current_version_sends_the_canary_and_changes_nothing(here, bundles):
    deploy(here.target(), bundles[0])
    here.cluster.store.changes.clear()
    before = here.cluster.store.snapshot()
    again = deploy(here.target(), bundles[0])
    assert (here.cluster.changes, again.removed, again.canary.rows) == ([], (), 32)
    assert here.cluster.store.snapshot() == before


def test_applied_objects_have_our_labels_and_only_the_necessary_variables(here, bundles):
    deploy(here.target(), bundles[0])
    deployment = here.cluster.deployment(NAME)
    labels = deployment["metadata"]["labels"]
    assert labels["bridge-assets-owner"] == "bridge-assets"
    assert labels["app.kubernetes.io/managed-by"] == labels["app.kubernetes.io/part-of"] == "bridge-assets"
    server = deployment["spec"]["template"]["spec"]["containers"][0]
    message = {each["name"]: each["value"] for each in server["env"]}
    assert message["BRIDGE_ASSETS_PACKAGE_SHA256"] == bundles[0].digest
    assert message["BRIDGE_ASSETS_SLOT"] == bundles[0].slot
    assert Path(message["BRIDGE_ASSETS_PACKAGE"]).read_bytes() == bundles[0].archive
    assert server["image"] == "registry.example.org/bridge-assets/serve:1"
    assert here.cluster.store.owners_of_replicas(NAME) == {"bridge-assets-replicas"}


# Editing the manifests


def test_edited_manifests_are_a_new_deployment_that_can_be_rolled_back(here, bundles):
    deploy(here.target(), bundles[0])
    before = here.target()

    def more(body):
        body["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "500m"

    here.edit("deployment.yaml", more)
    target = here.target()
    here.swap_archive(bundles[2].write(here.folder / "wrong.tar.gz"), "live")
    with pytest.raises(DeploymentError, match="answer to the canary is wrong"):
        deploy(target, bundles[0])
    assert before.state() == TargetState((bundles[0].slot,), frozenset({bundles[0].slot}))
    here.cluster.pods.archive_override = lambda labels: None
    deployment = deploy(target, bundles[0])
    # Only the latest slot of a version is kept.
    assert (deployment.version, deployment.previous) == (bundles[0].version, None)
    assert kinds(deployment.removed) == ["archive", "ConfigMap"]
    assert here.is_serving(bundles[0])
    spec = here.cluster.deployment(NAME)["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["requests"]["cpu"] == "500m"
    assert deploy(target, bundles[0]).removed == ()
    assert here.cluster.pods.min_ready == {NAME: 2}


def test_objects_that_the_manifests_no_longer_contain_are_removed_and_the_capacity_stays(here, bundles):
    here.edit("deployment.yaml", lambda body: body["spec"].update(replicas=2))
    autoscaler = here.manifests / "autoscaler.yaml"
    kept = autoscaler.read_text()
    autoscaler.unlink()
    deploy(here.target(), bundles[0])
    assert here.cluster.names("horizontalpodautoscalers") == []
    here.edit("deployment.yaml", lambda body: body["spec"].pop("replicas"))
    autoscaler.write_text(kept)
    deploy(here.target(), bundles[0])
    assert here.cluster.pods.min_ready == {NAME: 2}
    (here.manifests / "disruption-budget.yaml").unlink()
    assert f"PodDisruptionBudget {NAME}" in deploy(here.target(), bundles[0]).removed
    assert here.cluster.names("poddisruptionbudgets") == []
    assert here.is_serving(bundles[0])


def test_two_releases_from_the_same_manifests_do_not_interfere(here, bundles):
    deploy(here.target(), bundles[0])
    other = here.target(name="other")
    deploy(other, bundles[1])
    assert here.is_serving(bundles[0]) is False  # pods of two slots, and the public address finds only its own
    assert sorted(here.cluster.names("serviceaccounts")) == [NAME, "other"]
    assert deploy(other, bundles[1]).removed == ()
    spec = here.cluster.deployment("other")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "other"


# The deployment history


def test_a_rollback_removes_slots_that_left_the_history(here, bundles):
    target = here.target()
    for bundle in bundles[:3]:
        deploy(target, bundle)
    assert here.archives() == sorted(bundle.slot for bundle in bundles[:3])
    back = rollback(target, opener(bundles))
    assert (back.version, back.previous) == (bundles[1].version, bundles[0].version)
    assert kinds(back.removed) == ["archive", "ConfigMap"]
    assert all(bundles[2].slot in name for name in back.removed)
    assert here.archives() == sorted(bundle.slot for bundle in bundles[:2])
    assert len(here.cluster.names("configmaps")) == 2
    assert here.is_serving(bundles[1])


def test_a_damaged_archive_is_repaired_by_a_deployment_and_never_rolled_back_to(here, bundles):
    target = here.target()
    deploy(target, bundles[0])
    archive = next(here.artifacts.rglob("*.tar.gz"))
    corrupt_byte(archive)
    here.swap_archive(bundles[2].write(here.folder / "wrong.tar.gz"), "live")
    with pytest.raises(DeploymentError, match="answer to the canary is wrong") as caught:
        deploy(target, bundles[1])
    assert "the archive is missing or was changed after it was uploaded" in caught.value.__notes__[0]
    here.cluster.pods.archive_override = lambda labels: None
    deploy(target, bundles[0])
    assert archive.read_bytes() == bundles[0].archive
    assert here.is_serving(bundles[0])


# Settings


@pytest.fixture
def configured(here, model_versions, monkeypatch) -> ReleaseFixture:
    """The settings as files and variables; the models in the home folder."""
    (here.folder / "configs").mkdir()
    monkeypatch.setenv("BRIDGE_ASSETS_CONFIGS", str(here.folder / "configs"))
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(here.folder))
    for name, value in here.settings().kubernetes.model_dump().items():
        if name in ("namespace", "image", "artifacts"):
            monkeypatch.setenv(f"BRIDGE_ASSETS_ENVIRONMENT__KUBERNETES__{name.upper()}", value)
    return here


def test_the_public_function_deploys_the_latest_version_or_the_one_in_the_manifests(configured, model_versions):
    write_json({"version": model_versions[1].version}, configured.folder / "models" / LATEST)
    assert deploy_model_kubernetes(str(configured.manifests)).version == model_versions[1].version
    named = {"bridge-assets/version": model_versions[0].version}
    configured.edit("deployment.yaml", lambda body: body["metadata"].update(annotations=named))
    assert deploy_model_kubernetes(configured.manifests).version == model_versions[0].version
    assert configured.is_serving(bundle_of(model_versions[0]))


def test_a_damaged_model_is_refused_before_anything_is_sent(configured, model_versions):
    corrupt_byte(model_versions[-1].file("model.onnx"))
    with pytest.raises(DeploymentError, match="cannot be deployed"):
        deploy_model_kubernetes(configured.manifests)
    assert configured.cluster.requests == []


def test_missing_settings_are_listed_in_one_line(here, monkeypatch):
    with pytest.raises(NotConfiguredError) as caught:
        KubernetesEndpoint.from_settings(here.settings(image="", artifacts=""), here.folder)
    message = str(caught.value)
    assert "\n" not in message
    for name in ("ENVIRONMENT__KUBERNETES__IMAGE", "KUBERNETES__ARTIFACTS", install_command("k8s")):
        assert name in message
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(NotConfiguredError, match=r"Not installed: kubernetes.*pip install .*\[k8s\]"):
        here.target()


def test_a_path_that_the_pods_do_not_mount_is_refused(here):
    with pytest.raises(NotConfiguredError, match="No volume is mounted"):
        here.target(artifacts="/elsewhere")


@pytest.mark.parametrize("config", [None, "contexts: [", "{}"], ids=["missing", "no YAML", "empty"])
def test_without_credentials_nothing_is_sent(here, bundles, monkeypatch, config):
    path = here.folder / "other-kubeconfig"
    if config is not None:
        path.write_text(config)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(NotConfiguredError, match=r"no credentials for a cluster were found.*set KUBECONFIG"):
        deploy(here.target(), bundles[0])
    assert here.cluster.requests == []


def test_a_missing_context_is_not_replaced_by_another_cluster(here, bundles):
    with pytest.raises(NotConfiguredError, match="production"):
        deploy(here.target(context="production"), bundles[0])
    assert here.cluster.requests == []


def test_the_cost_follows_from_the_manifests(here):
    assert here.target().cost == (
        "2 to 6 pods of 250m CPU and 512Mi of memory, on nodes that you pay for; two more during a deployment"
    )
    assert here.target().console_url == ""


def test_bundles_can_be_stored_in_a_bucket(here, bundles, s3_endpoint, monkeypatch):
    import boto3

    boto3.client("s3").create_bucket(Bucket="bundles")
    target = here.target(artifacts="s3://bundles/endpoints")
    assert not target.artifacts.is_path
    target.artifacts.upload("m1-2-3", bundles[0])
    target.artifacts.check("m1-2-3", bundles[0].digest)
    with pytest.raises(DeploymentError, match="is missing or was changed after it was uploaded"):
        target.artifacts.check("m1-2-3", bundles[1].digest)
    assert target.artifacts.remove("m1-2-3")
    assert not target.artifacts.remove("m1-2-3")
    with pytest.raises(DeploymentError, match="There is no such file"):
        target.artifacts.check("m1-2-3", bundles[0].digest)
    with pytest.raises(DeploymentError, match=r"artifacts in environment\.yaml"):
        here.target(artifacts="s3://no-such-bucket").artifacts.upload("m1-2-3", bundles[0])


def test_bundles_can_be_stored_in_a_web_folder_that_accepts_put(here, bundles):
    files: dict[str, bytes] = {}

    class Folder(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200 if self.path in files else 404)
            self.end_headers()
            self.wfile.write(files.get(self.path, b""))

    with ThreadingHTTPServer(("127.0.0.1", 0), Folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        artifacts = here.target(artifacts=f"http://127.0.0.1:{server.server_address[1]}/bundles").artifacts
        artifacts.upload("m1-2-3", bundles[0])
        assert files == {f"/bundles/{NAME}/m1-2-3.tar.gz": bundles[0].archive}
        artifacts.check("m1-2-3", bundles[0].digest)
        assert not artifacts.remove("m1-2-3")  # the owner of the folder removes files
        server.shutdown()


# Owners


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "Lease"])
def test_resources_of_somebody_else_are_never_touched(here, bundles, kind):
    plural = {"Service": "services", "PodDisruptionBudget": "poddisruptionbudgets", "Lease": "leases"}[kind]
    name = f"{NAME}-deploy" if kind == "Lease" else NAME
    here.cluster.store.create((plural, name), {"kind": kind, "metadata": {"name": name}, "spec": {}})
    before = here.cluster.store.snapshot()
    with pytest.raises(OwnershipError, match=f"the {kind} {name} is not ours"):
        deploy(here.target(), bundles[0])
    assert here.cluster.store.snapshot() == before


def test_another_release_of_the_same_owner_is_not_touched_either(here, bundles):
    deploy(here.target(), bundles[0])
    here.edit("service-account.yaml", lambda body: body["metadata"].update(name="shared"))
    here.edit("deployment.yaml", lambda body: body["spec"]["template"]["spec"].update(serviceAccountName="shared"))
    deploy(here.target(), bundles[0])
    before = here.cluster.store.snapshot()
    with pytest.raises(OwnershipError, match="the ServiceAccount shared belongs to another release"):
        deploy(here.target(name="other"), bundles[1])
    assert here.cluster.store.snapshot() == before


def test_a_field_that_another_manager_set_is_a_conflict_that_names_field_and_manager(here, bundles):
    deploy(here.target(), bundles[0])
    path = ("spec", "progressDeadlineSeconds")
    with here.cluster.store.lock:
        here.cluster.store.set_field(("deployments", NAME), "kubectl-edit", path, 60)
    before = here.cluster.store.snapshot()
    with pytest.raises(DeploymentError, match=r"\.spec\.progressDeadlineSeconds \(conflict with \"kubectl-edit\""):
        deploy(here.target(), bundles[1])
    assert here.cluster.store.snapshot() == before
    assert here.is_serving(bundles[0])


# One at a time


def held_by(here: ReleaseFixture, holder: str, renewed: str) -> None:
    labels = here.target().release.labels()
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 120, "acquireTime": renewed, "renewTime": renewed}
    metadata = {"name": f"{NAME}-deploy", "labels": labels}
    document = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    here.cluster.store.create(("leases", f"{NAME}-deploy"), document)


def test_a_deployment_from_another_machine_is_waited_for_then_refused(here, bundles):
    held_by(here, "elsewhere/12345678/9", "2126-01-01T00:00:00.000000Z")
    before = here.cluster.store.snapshot()
    with pytest.raises(DeploymentError, match=r"was refused.*elsewhere/12345678/9, since 2126.*expires after 120 s"):
        deploy(here.target(), bundles[0])
    assert here.cluster.store.snapshot() == before


def test_an_expired_lease_is_taken_over(here, bundles):
    held_by(here, "elsewhere/12345678/9", "2020-01-01T00:00:00.000000Z")
    deploy(here.target(), bundles[0])
    assert here.cluster.names("leases") == []


def test_a_deployment_that_lost_the_lease_changes_nothing_more(here, bundles):
    target = here.target()
    with target.exclusive_lock("testing"):
        lease = target._lease
        assert lease is not None
        lease._renewed_at -= 1000  # as if a request had hung for a long time
        with here.cluster.store.lock:
            here.cluster.store.set_field(
                ("leases", f"{NAME}-deploy"), "other", ("spec", "holderIdentity"), "elsewhere/1/2"
            )
        before = here.cluster.store.snapshot()
        with pytest.raises(DeploymentError, match="another deployment took over"):
            target.provision(bundles[0])
    assert here.cluster.store.snapshot() == before


def test_two_deployments_on_one_machine_wait_for_each_other(here, bundles):
    target = here.target()
    with target.exclusive_lock("testing"), pytest.raises(DeploymentError, match="was refused"):
        deploy(replace(target), bundles[0])
