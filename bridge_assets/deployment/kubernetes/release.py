"""Fills in the manifests before they are sent: name, labels, selectors, image, and where the bundle is.

Edits the parsed documents, never the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bridge_assets.deployment.core.tags import OWNER_TAG
from bridge_assets.deployment.kubernetes.client import RELEASE_KINDS
from bridge_assets.deployment.kubernetes.manifests import Manifest, manifest_error

INSTANCE_LABEL = "app.kubernetes.io/instance"
ROLE_LABEL, SLOT_LABEL = "bridge-assets-role", "bridge-assets-slot"

#: Roles: objects that receive the traffic, objects of the canary, and the saved manifests of a slot.
LIVE, CANARY, SAVED_MANIFESTS = "live", "canary", "record"

#: Annotation of the Deployment: deploy this model version instead of the latest one.
VERSION_ANNOTATION = "bridge-assets/version"

PACKAGE_VARIABLE, PACKAGE_SHA256_VARIABLE, PACKAGE_SLOT_VARIABLE = (
    "BRIDGE_ASSETS_PACKAGE",
    "BRIDGE_ASSETS_PACKAGE_SHA256",
    "BRIDGE_ASSETS_SLOT",
)


@dataclass(frozen=True)
class Release:
    """The manifests of a release, with its name.

    Attributes
    ----------
    documents : tuple of Manifest
        Checked by `checks.check_release`, with exactly one Deployment and one Service.
    name, owner, namespace, image : str
        From environment.yaml.
    """

    documents: tuple[Manifest, ...]
    name: str
    owner: str
    namespace: str
    image: str

    @property
    def version(self) -> str | None:
        """The model version that the manifests name, or None."""
        return _first_of_kind(self.objects, "Deployment")["metadata"].get("annotations", {}).get(VERSION_ANNOTATION)

    @property
    def service(self) -> str:
        return _first_of_kind(self.objects, "Service")["metadata"]["name"]

    @property
    def port(self) -> tuple[str, int]:
        """Name (or number) and number of the Service's first port."""
        port = _first_of_kind(self.objects, "Service")["spec"]["ports"][0]
        return str(port.get("name") or port["port"]), port["port"]

    @property
    def pod_range(self) -> tuple[int, int]:
        """Minimum and maximum number of pods."""
        fixed = int(_first_of_kind(self.objects, "Deployment")["spec"].get("replicas", 1))
        autoscalers = [body["spec"] for body in self.objects if body["kind"] == "HorizontalPodAutoscaler"]
        return (autoscalers[0].get("minReplicas", 1), autoscalers[0]["maxReplicas"]) if autoscalers else (fixed, fixed)

    @property
    def pod_resources(self) -> str:
        """The resource requests of the server in a pod, in words."""
        wanted = self._pod_spec["containers"][0]["resources"]["requests"]
        return f"{wanted['cpu']} CPU and {wanted['memory']} of memory"

    def has_mount(self, path: str) -> bool:
        """Whether the server's container mounts a volume at or above a path."""
        mounts = [mount["mountPath"].rstrip("/") for mount in self._pod_spec["containers"][0].get("volumeMounts", [])]
        return any(f"{path}/".startswith(f"{mount}/") for mount in mounts)

    @property
    def _pod_spec(self) -> dict[str, Any]:
        return _first_of_kind(self.objects, "Deployment")["spec"]["template"]["spec"]

    def labels(self, **more: str) -> dict[str, str]:
        """Labels that select the objects of this release."""
        return {OWNER_TAG: self.owner, INSTANCE_LABEL: self.name, **more}

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The documents in the order in which they are applied, with our names, labels, selectors and image."""
        bodies = [deepcopy(document.body) for document in self.documents]
        deployment_name = _first_of_kind(bodies, "Deployment")["metadata"]["name"]
        names = {
            (body["kind"], old): self.name + old.removeprefix(deployment_name)
            if f"{old}-".startswith(f"{deployment_name}-")
            else old
            for body in bodies
            for old in [body["metadata"]["name"]]
        }
        for document, body in zip(self.documents, bodies, strict=True):
            body["metadata"] |= {"name": names[body["kind"], body["metadata"]["name"]], "namespace": self.namespace}
            _add_labels(body["metadata"], self.labels(**{ROLE_LABEL: LIVE}))
            try:
                _FILL_BY_KIND.get(body["kind"], _fill_nothing)(body.get("spec", {}), self, names)
            except (KeyError, TypeError, AttributeError) as error:
                why = f"It does not have the structure of a {document.kind} ({type(error).__name__}: {error})"
                raise manifest_error(document.where, f"{document.kind} {document.name} is not valid", why) from error
        return sorted(bodies, key=lambda body: list(RELEASE_KINDS).index(body["kind"]))

    def manifests_for_slot(self, slot: str, variables: Mapping[str, str]) -> list[dict[str, Any]]:
        """The objects of one slot.

        Parameters
        ----------
        slot : str
            Label of every object, and of its pods.
        variables : mapping
            Environment variables of the server: where its bundle is.
        """
        bodies = deepcopy(self.objects)
        for body in bodies:
            _add_labels(body["metadata"], {SLOT_LABEL: slot})
        template = _first_of_kind(bodies, "Deployment")["spec"]["template"]
        _add_labels(template.setdefault("metadata", {}), {SLOT_LABEL: slot})
        server = template["spec"]["containers"][0]
        other_variables = [variable for variable in server.get("env", []) if variable["name"] not in variables]
        server["env"] = other_variables + [{"name": name, "value": value} for name, value in variables.items()]
        return bodies


def canary_manifests(bodies: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Manifests for the canary of a slot: one pod, its Service and its network policies. Selectors of the release do
    not match the canary, and vice versa.

    Parameters
    ----------
    bodies : iterable of dict
        As `Release.manifests_for_slot` returns them.
    name : str
        Name of the canary's Deployment and Service.
    """
    copies = []
    for body in deepcopy([body for body in bodies if body["kind"] in ("NetworkPolicy", "Service", "Deployment")]):
        metadata, spec = body["metadata"], body["spec"]
        canary_labels = {ROLE_LABEL: CANARY, SLOT_LABEL: metadata["labels"][SLOT_LABEL]}
        metadata["labels"] |= canary_labels
        if body["kind"] == "NetworkPolicy":
            metadata["name"] = f"{name}-{metadata['name']}"
            _add_match_labels(spec["podSelector"], canary_labels)
        elif body["kind"] == "Service":
            metadata["name"] = name
            ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec["ports"]]
            body["spec"] = {"type": "ClusterIP", "selector": spec["selector"] | canary_labels, "ports": ports}
        else:
            metadata["name"] = name
            spec["replicas"] = 1
            _add_match_labels(spec["selector"], canary_labels)
            spec["template"]["metadata"]["labels"] |= canary_labels
        copies.append(body)
    return copies


def _add_labels(metadata: dict[str, Any], labels: Mapping[str, str]) -> None:
    known = {"app.kubernetes.io/managed-by": "bridge-assets", "app.kubernetes.io/part-of": "bridge-assets"}
    metadata["labels"] = metadata.get("labels", {}) | known | labels


def _add_match_labels(selector: dict[str, Any], labels: Mapping[str, str]) -> None:
    selector["matchLabels"] = selector.get("matchLabels", {}) | labels


_Names = Mapping[tuple[str, str], str]


def _fill_nothing(spec: dict[str, Any], release: Release, names: _Names) -> None:
    pass


def _fill_deployment(spec: dict[str, Any], release: Release, names: _Names) -> None:
    release_labels = {INSTANCE_LABEL: release.name, ROLE_LABEL: LIVE}
    _add_match_labels(spec["selector"], release_labels)
    _add_labels(spec["template"].setdefault("metadata", {}), release.labels(**release_labels))
    pod = spec["template"]["spec"]
    for spread in pod.get("topologySpreadConstraints", []):
        _add_match_labels(spread.setdefault("labelSelector", {}), release_labels)
    if account := pod.get("serviceAccountName"):
        pod["serviceAccountName"] = names.get(("ServiceAccount", account), account)
    pod["containers"][0]["image"] = release.image


def _fill_service(spec: dict[str, Any], release: Release, names: _Names) -> None:
    spec["selector"] |= {INSTANCE_LABEL: release.name, ROLE_LABEL: LIVE}


def _fill_disruption_budget(spec: dict[str, Any], release: Release, names: _Names) -> None:
    _add_match_labels(spec["selector"], {INSTANCE_LABEL: release.name, ROLE_LABEL: LIVE})


def _fill_network_policy(spec: dict[str, Any], release: Release, names: _Names) -> None:
    _add_match_labels(spec["podSelector"], {INSTANCE_LABEL: release.name, ROLE_LABEL: LIVE})


def _fill_autoscaler(spec: dict[str, Any], release: Release, names: _Names) -> None:
    goal = spec["scaleTargetRef"]
    goal["name"] = names.get((goal["kind"], goal["name"]), goal["name"])


_FILL_BY_KIND: dict[str, Callable[[dict[str, Any], Release, _Names], None]] = {
    "Deployment": _fill_deployment,
    "Service": _fill_service,
    "PodDisruptionBudget": _fill_disruption_budget,
    "NetworkPolicy": _fill_network_policy,
    "HorizontalPodAutoscaler": _fill_autoscaler,
}


def _first_of_kind(bodies: Iterable[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(body for body in bodies if body["kind"] == kind)
