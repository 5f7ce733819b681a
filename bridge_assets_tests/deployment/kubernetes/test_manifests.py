"""Kubernetes accepts the shipped manifests, and they keep the README's promises; edited ones are checked before use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.deployment.kubernetes_release import RBAC, SHIPPED_MANIFESTS

from bridge_assets.deployment.kubernetes.checks import check_release
from bridge_assets.deployment.kubernetes.manifests import Manifest, read_manifests
from bridge_assets.deployment.kubernetes.release import Release, canary_manifests
from bridge_assets.errors import DeploymentError
from bridge_assets.serve import server as serve_server

Body = dict[str, Any]

#: The oldest supported version of Kubernetes, and the newest whose schemas are available.
VERSIONS = ("1.30", "1.37")

PACKAGE = {"BRIDGE_ASSETS_PACKAGE": "s3://bucket/x.tar.gz"}


def release_of(documents: list[Manifest], name: str = "bridge-fall") -> Release:
    check_release(documents)
    return Release(tuple(documents), name, "bridge-assets", "default", "registry.example.org/serve:1")


def release(folder: Path = SHIPPED_MANIFESTS, name: str = "bridge-fall") -> Release:
    return release_of(read_manifests(folder, "default"), name)


@pytest.fixture
def folder(tmp_path) -> Path:
    return shutil.copytree(SHIPPED_MANIFESTS, tmp_path / "k8s")


def edit(folder: Path, file: str, change: Callable[[Body], Any]) -> None:
    body = yaml.safe_load((folder / file).read_text())
    change(body)
    (folder / file).write_text(yaml.safe_dump(body))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shipped_and_the_sent_manifests_match_the_schemas_of_kubernetes(version):
    bodies = [document.body for document in read_manifests(SHIPPED_MANIFESTS, "default")]
    bodies += yaml.safe_load_all(RBAC.read_text())
    sent = release(name="another-name").manifests_for_slot("m1-2-3", PACKAGE)
    for body in (*bodies, *sent, *canary_manifests(sent, "another-name-canary")):
        assert kubernetes_validate.validate(body, version, strict=True) == version


def test_manifests_for_availability_and_isolation_are_shipped():
    assert [document.kind for document in read_manifests(SHIPPED_MANIFESTS, "default")] == [
        "HorizontalPodAutoscaler",
        "Deployment",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceAccount",
        "Service",
    ]


def test_the_pods_have_no_permissions_beyond_serving():
    deployment = next(body for body in release().objects if body["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0  # a number: a name cannot be proven not to be root
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (server,) = pod["containers"]
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in server["volumeMounts"]} == {"/tmp"}
    assert "emptyDir" in pod["volumes"][0]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= server.keys()
    account = next(body for body in release().objects if body["kind"] == "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    policy = next(body for body in release().objects if body["kind"] == "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_a_pod_has_enough_time_to_shut_down():
    pod = next(body for body in release().objects if body["kind"] == "Deployment")["spec"]["template"]["spec"]
    message = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    closing = float(message["BRIDGE_ASSETS_CLOSING_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > closing + serve_server._GRACEFUL_SHUTDOWN_SECONDS


def test_a_different_name_is_used_throughout():
    bodies = release(name="other").manifests_for_slot("m1-2-3", PACKAGE)
    assert {body["metadata"]["name"] for body in bodies} == {"other"}
    assert "bridge-fall" not in yaml.safe_dump(bodies)


def test_selectors_of_the_release_do_not_match_the_canary_and_vice_versa():
    bodies = release().manifests_for_slot("m1-2-3", PACKAGE)
    canary = canary_manifests(bodies, "bridge-fall-canary")

    def labels(of: list[Body]) -> Body:
        return next(body for body in of if body["kind"] == "Deployment")["spec"]["template"]["metadata"]["labels"]

    def selectors(of: list[Body]) -> list[Body]:
        found = [body["spec"].get("selector") or body["spec"].get("podSelector") for body in of if "spec" in body]
        return [selector.get("matchLabels", selector) for selector in found if selector]

    assert len(selectors(bodies)) == 4
    assert len(selectors(canary)) == 3
    for mine, others in ((bodies, canary), (canary, bodies)):
        for selector in selectors(mine):
            assert selector.items() <= labels(mine).items()
            assert not selector.items() <= labels(others).items()


# Edited manifests


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


@pytest.mark.parametrize("value", [None, 7, [None], {"a": 1}], ids=repr)
def test_any_value_in_any_field_is_accepted_or_refused_in_one_line(value):
    documents = read_manifests(SHIPPED_MANIFESTS, "default")
    taken = 0
    for number, document in enumerate(documents):
        for path in [path for path in places(document.body.get("spec", {})) if path]:
            body = deepcopy(document.body)
            reduce(getitem, path[:-1], body["spec"])[path[-1]] = value
            changed = [*documents]
            changed[number] = Manifest(document.file, document.number, body)
            try:
                filled = release_of(changed)
                canary_manifests(filled.manifests_for_slot("m1-2-3", PACKAGE), "canary")
                assert filled.port[1] and filled.pod_range and filled.pod_resources
                taken += 1
            except DeploymentError as error:
                assert f"{document.file}, document 1" in str(error)
                assert "\n" not in str(error)
    assert taken > 20  # those that only the cluster can check


def pod_of(body: Body) -> Body:
    return body["spec"]["template"]["spec"]


def server_of(body: Body) -> Body:
    return pod_of(body)["containers"][0]


WRONG: dict[str, tuple[str, Callable[[Body], Any], str]] = {
    # The schemas accept these five, and a cluster reports them late or never.
    "selector": ("service.yaml", lambda b: b["spec"]["selector"].update(app="x"), "selector matches no pod.*app=x"),
    "port": ("service.yaml", lambda b: b["spec"]["ports"][0].update(targetPort=9090), "9090 is not opened"),
    "volume": ("deployment.yaml", lambda b: pod_of(b).pop("volumes"), "there is no volume tmp"),
    "name": (
        "deployment.yaml",
        lambda b: server_of(b).update(name="The_Server"),
        "'The_Server': this is not a valid name",
    ),
    "limit": (
        "deployment.yaml",
        lambda b: server_of(b)["resources"]["requests"].update(memory="1Gi"),
        r"request of memory \(1Gi\) is above its limit \(512Mi\)",
    ),
    # These too.
    "number of a port": ("service.yaml", lambda b: b["spec"]["ports"][0].update(port=80800), "80800 is not a port"),
    "port of a probe": (
        "deployment.yaml",
        lambda b: server_of(b)["readinessProbe"]["httpGet"].update(port="web"),
        "readinessProbe web is not opened",
    ),
    "selector of the pods": (
        "deployment.yaml",
        lambda b: b["spec"]["template"]["metadata"].update(labels={"app": "x"}),
        "selector matches no pod",
    ),
    "selector of the budget": (
        "disruption-budget.yaml",
        lambda b: b["spec"]["selector"]["matchLabels"].update(tier="web"),
        "selector matches no pod.*tier=web",
    ),
    "who is scaled": (
        "autoscaler.yaml",
        lambda b: b["spec"]["scaleTargetRef"].update(name="other"),
        "names Deployment other, which is not in these manifests",
    ),
    "range": ("autoscaler.yaml", lambda b: b["spec"].update(minReplicas=9), "9 to maxReplicas 6 is not a range"),
    "replicas": ("deployment.yaml", lambda b: b["spec"].update(replicas=3), "the HorizontalPodAutoscaler sets it"),
    "update": (
        "deployment.yaml",
        lambda b: b["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        "maxUnavailable 0",
    ),
    "recreate": ("deployment.yaml", lambda b: b["spec"].update(strategy={"type": "Recreate"}), "maxUnavailable 0"),
    "no limits": ("deployment.yaml", lambda b: server_of(b)["resources"].pop("limits"), "limits does not set cpu"),
    "value that is not a string": (
        "deployment.yaml",
        lambda b: server_of(b)["env"][0].update(value=10),
        "env BRIDGE_ASSETS_CLOSING_SECONDS: name and value must be strings",
    ),
    "no ports": ("service.yaml", lambda b: b["spec"].update(ports=[]), "it has no ports"),
    "shape": ("deployment.yaml", lambda b: b["spec"].update(template=[]), "not have the structure of a Deployment"),
    "missing": (
        "deployment.yaml",
        lambda b: b["spec"].pop("selector"),
        "not have the structure of a Deployment.*selector",
    ),
    "object's name": ("service.yaml", lambda b: b["metadata"].update(name="9to5"), "'9to5' is not a valid name"),
}


@pytest.mark.parametrize("what", WRONG)
def test_manifests_that_do_not_fit_together_are_refused_with_file_and_document(folder, what):
    file, change, message = WRONG[what]
    edit(folder, file, change)
    with pytest.raises(DeploymentError, match=rf"{file}, document 1: .*{message}.*Nothing was sent") as caught:
        release(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", list(WRONG)[:5])
def test_the_schemas_alone_would_accept_these_five(folder, what):
    file, change, _ = WRONG[what]
    edit(folder, file, change)
    kubernetes_validate.validate(yaml.safe_load((folder / file).read_text()), VERSIONS[-1], strict=True)


OBJECT = "apiVersion: v1\nkind: {}\nmetadata: {{name: x{}}}\nspec: {{}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "document 1: this is not YAML"),
        (f"---\n{OBJECT.format('Service', '')}---\na: b: c\n", "document 2: this is not YAML"),
        (OBJECT.format("Service", "").replace("kind", "apiVersion"), "the key 'apiVersion' appears twice"),
        ("- a\n- b\n", "document 1: this is not a Kubernetes object"),
        ("kind: Service\n", "document 1: this is not a Kubernetes object"),
        ("!!python/object/apply:os.system ['true']", "document 1: this is not YAML"),
        (f"---\n---\n{OBJECT.format('Secret', '')}", "document 2: a release cannot have a Secret"),
        (OBJECT.format("Deployment", ""), "Deployment of v1 is not supported.*apps/v1"),
        (OBJECT.format("Service", ", namespace: other"), "another namespace.*Its namespace is other"),
        (OBJECT.format("Service", ", labels: {a: 1}"), "metadata.labels is not valid"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: 7}\n", "metadata.name is 7, not a string"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "this Service has no spec"),
        ("", "there are no manifests"),
        ("\x00", "this is not YAML"),
    ],
)
def test_a_file_that_is_not_a_manifest_is_refused_with_file_and_document(tmp_path, text, message):
    file = tmp_path / "endpoint.yaml"
    file.write_text(text)
    with pytest.raises(DeploymentError, match=rf"endpoint\.yaml.*{message}") as caught:
        read_manifests(file, "default")
    assert "\n" not in str(caught.value)


def test_a_folder_or_file_without_manifests_is_reported(tmp_path):
    with pytest.raises(DeploymentError, match="there are no manifests"):
        read_manifests(tmp_path, "default")
    with pytest.raises(DeploymentError, match=r"gone\.yaml: the manifest cannot be read"):
        read_manifests(tmp_path / "gone.yaml", "default")


def test_one_file_may_contain_all_manifests(tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text("---\n".join(path.read_text() for path in sorted(SHIPPED_MANIFESTS.glob("*.yaml"))))
    documents = read_manifests(file, "default")
    check_release(documents)
    assert [document.number for document in documents] == [1, 2, 3, 4, 5, 6]
    file.write_text(file.read_text() + "---\n" + (SHIPPED_MANIFESTS / "service.yaml").read_text())
    with pytest.raises(DeploymentError, match=r"all\.yaml, document 7: .*an earlier document has the same kind"):
        check_release(read_manifests(file, "default"))
    file.write_text((SHIPPED_MANIFESTS / "service.yaml").read_text())
    with pytest.raises(DeploymentError, match=r"a release needs exactly one Deployment.*These manifests have 0"):
        check_release(read_manifests(file, "default"))
