"""What a deployment fills into the manifests before it sends them: a name, labels and selectors of our own, the image,
and where the bundle is. By edits of the parsed documents, never of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bridge_assets.deployment.core.tags import OWNER
from bridge_assets.deployment.kubernetes.client import KINDS
from bridge_assets.deployment.kubernetes.manifests import Document, refused

INSTANCE = "app.kubernetes.io/instance"
ROLE, SLOT = "bridge-assets-role", "bridge-assets-slot"

#: Roles: what takes the traffic, what is asked before it does, and what a release consisted of.
LIVE, CANARY, RECORD = "live", "canary", "record"

#: Annotation of the Deployment: deploy this model version, not the one trained last.
VERSION = "bridge-assets/version"

PACKAGE, PACKAGE_SHA256, PACKAGE_SLOT = "BRIDGE_ASSETS_PACKAGE", "BRIDGE_ASSETS_PACKAGE_SHA256", "BRIDGE_ASSETS_SLOT"


@dataclass(frozen=True)
class Release:
    """Manifests under the name of a release.

    Attributes
    ----------
    documents : tuple of Document
        Checked (`kubernetes_checks`): one Deployment and one Service among them.
    name, owner, namespace, image : str
        Of environment.yaml.
    """

    documents: tuple[Document, ...]
    name: str
    owner: str
    namespace: str
    image: str

    @property
    def version(self) -> str | None:
        """The model version that the manifests name, if they name one."""
        return _one(self.objects, "Deployment")["metadata"].get("annotations", {}).get(VERSION)

    @property
    def service(self) -> str:
        return _one(self.objects, "Service")["metadata"]["name"]

    @property
    def port(self) -> tuple[str, int]:
        """Name (or number) and number of the Service's first port."""
        port = _one(self.objects, "Service")["spec"]["ports"][0]
        return str(port.get("name") or port["port"]), port["port"]

    @property
    def pods(self) -> tuple[int, int]:
        """Fewest and most pods that stand."""
        fixed = int(_one(self.objects, "Deployment")["spec"].get("replicas", 1))
        scalers = [body["spec"] for body in self.objects if body["kind"] == "HorizontalPodAutoscaler"]
        return (scalers[0].get("minReplicas", 1), scalers[0]["maxReplicas"]) if scalers else (fixed, fixed)

    @property
    def size(self) -> str:
        """What the server of a pod is promised, in words."""
        wanted = self._pod["containers"][0]["resources"]["requests"]
        return f"{wanted['cpu']} CPU and {wanted['memory']} of memory"

    def mounts(self, path: str) -> bool:
        """Whether a path is one of the server's, as far as the manifest says."""
        mounts = [mount["mountPath"].rstrip("/") for mount in self._pod["containers"][0].get("volumeMounts", [])]
        return any(f"{path}/".startswith(f"{mount}/") for mount in mounts)

    @property
    def _pod(self) -> dict[str, Any]:
        return _one(self.objects, "Deployment")["spec"]["template"]["spec"]

    def labels(self, **more: str) -> dict[str, str]:
        """What finds the objects of this release."""
        return {OWNER: self.owner, INSTANCE: self.name, **more}

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The documents in the order in which they are applied, with our names, labels, selectors and image."""
        bodies = [deepcopy(document.body) for document in self.documents]
        mine = _one(bodies, "Deployment")["metadata"]["name"]
        names = {
            (body["kind"], old): self.name + old.removeprefix(mine) if f"{old}-".startswith(f"{mine}-") else old
            for body in bodies
            for old in [body["metadata"]["name"]]
        }
        for document, body in zip(self.documents, bodies, strict=True):
            body["metadata"] |= {"name": names[body["kind"], body["metadata"]["name"]], "namespace": self.namespace}
            _label(body["metadata"], self.labels(**{ROLE: LIVE}))
            try:
                _FILL.get(body["kind"], _nothing)(body.get("spec", {}), self, names)
            except (KeyError, TypeError, AttributeError) as error:
                why = f"It is not built as a {document.kind} is ({type(error).__name__}: {error})"
                raise refused(document.where, f"{document.kind} {document.name} is not understood", why) from error
        return sorted(bodies, key=lambda body: list(KINDS).index(body["kind"]))

    def filled(self, slot: str, package: Mapping[str, str]) -> list[dict[str, Any]]:
        """The objects of one slot.

        Parameters
        ----------
        slot : str
            Label of every object, and of its pods.
        package : mapping
            Environment variables of the server: where its bundle is.
        """
        bodies = deepcopy(self.objects)
        for body in bodies:
            _label(body["metadata"], {SLOT: slot})
        template = _one(bodies, "Deployment")["spec"]["template"]
        _label(template.setdefault("metadata", {}), {SLOT: slot})
        server = template["spec"]["containers"][0]
        kept = [variable for variable in server.get("env", []) if variable["name"] not in package]
        server["env"] = kept + [{"name": name, "value": value} for name, value in package.items()]
        return bodies


def canary_of(bodies: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Copies for the canary of a slot: one pod, its Service, and the rules it stands under. No selector of the release
    finds it, and none of its own finds the release.

    Parameters
    ----------
    bodies : iterable of dict
        As `Release.filled` gives them.
    name : str
        Of the canary; its Deployment and its Service bear it.
    """
    copies = []
    for body in deepcopy([body for body in bodies if body["kind"] in ("NetworkPolicy", "Service", "Deployment")]):
        metadata, spec = body["metadata"], body["spec"]
        own = {ROLE: CANARY, SLOT: metadata["labels"][SLOT]}
        metadata["labels"] |= own
        if body["kind"] == "NetworkPolicy":
            metadata["name"] = f"{name}-{metadata['name']}"
            _select(spec["podSelector"], own)
        elif body["kind"] == "Service":
            metadata["name"] = name
            ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec["ports"]]
            body["spec"] = {"type": "ClusterIP", "selector": spec["selector"] | own, "ports": ports}
        else:
            metadata["name"] = name
            spec["replicas"] = 1
            _select(spec["selector"], own)
            spec["template"]["metadata"]["labels"] |= own
        copies.append(body)
    return copies


def _label(metadata: dict[str, Any], labels: Mapping[str, str]) -> None:
    known = {"app.kubernetes.io/managed-by": "bridge-assets", "app.kubernetes.io/part-of": "bridge-assets"}
    metadata["labels"] = metadata.get("labels", {}) | known | labels


def _select(selector: dict[str, Any], labels: Mapping[str, str]) -> None:
    selector["matchLabels"] = selector.get("matchLabels", {}) | labels


_Names = Mapping[tuple[str, str], str]


def _nothing(spec: dict[str, Any], release: Release, names: _Names) -> None:
    pass


def _fill_deployment(spec: dict[str, Any], release: Release, names: _Names) -> None:
    ours = {INSTANCE: release.name, ROLE: LIVE}
    _select(spec["selector"], ours)
    _label(spec["template"].setdefault("metadata", {}), release.labels(**ours))
    pod = spec["template"]["spec"]
    for spread in pod.get("topologySpreadConstraints", []):
        _select(spread.setdefault("labelSelector", {}), ours)
    if account := pod.get("serviceAccountName"):
        pod["serviceAccountName"] = names.get(("ServiceAccount", account), account)
    pod["containers"][0]["image"] = release.image


def _fill_service(spec: dict[str, Any], release: Release, names: _Names) -> None:
    spec["selector"] |= {INSTANCE: release.name, ROLE: LIVE}


def _fill_budget(spec: dict[str, Any], release: Release, names: _Names) -> None:
    _select(spec["selector"], {INSTANCE: release.name, ROLE: LIVE})


def _fill_policy(spec: dict[str, Any], release: Release, names: _Names) -> None:
    _select(spec["podSelector"], {INSTANCE: release.name, ROLE: LIVE})


def _fill_scaler(spec: dict[str, Any], release: Release, names: _Names) -> None:
    goal = spec["scaleTargetRef"]
    goal["name"] = names.get((goal["kind"], goal["name"]), goal["name"])


_FILL: dict[str, Callable[[dict[str, Any], Release, _Names], None]] = {
    "Deployment": _fill_deployment,
    "Service": _fill_service,
    "PodDisruptionBudget": _fill_budget,
    "NetworkPolicy": _fill_policy,
    "HorizontalPodAutoscaler": _fill_scaler,
}


def _one(bodies: Iterable[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(body for body in bodies if body["kind"] == kind)
