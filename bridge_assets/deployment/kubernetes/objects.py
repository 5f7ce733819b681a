"""The objects of a release as they stand in the cluster: whose they are, which slot they are of, and how it stood."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bridge_assets.deployment.core.tags import check_owner, deployment_tags, history_from_tags
from bridge_assets.deployment.kubernetes.client import RELEASE_KINDS, Cluster
from bridge_assets.deployment.kubernetes.errors import ConflictError
from bridge_assets.deployment.kubernetes.release import (
    INSTANCE_LABEL,
    PACKAGE_SHA256_VARIABLE,
    ROLE_LABEL,
    SAVED_MANIFESTS,
    SLOT_LABEL,
    Release,
)
from bridge_assets.errors import DeploymentError, OwnershipError

#: Who owns `replicas` between us and an autoscaler, and what that one is called in the server's books.
_REPLICAS_MANAGER, _AUTOSCALER_MANAGER = "bridge-assets-replicas", '"kube-controller-manager"'


@dataclass(frozen=True)
class ReleaseObjects:
    """What carries the labels of a release.

    Attributes
    ----------
    cluster : Cluster
    release : Release
    before_change : callable
        Called before anything is changed.
    """

    cluster: Cluster
    release: Release
    before_change: Callable[[], None]

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object by its name, if there is one.

        Raises
        ------
        OwnershipError
            If it is somebody else's, or another release's.
        """
        found = self.cluster.get(kind, name)
        if found:
            labels, what = found["metadata"].get("labels", {}), f"the {kind} {name}"
            check_owner(labels, self.release.owner, what, self.cluster.where)
            if labels.get(INSTANCE_LABEL) != self.release.name:
                raise OwnershipError(
                    f"{what} is another release's",
                    where=self.cluster.where,
                    why=f"Its label {INSTANCE_LABEL} is {labels.get(INSTANCE_LABEL)}, not {self.release.name}",
                    do="give the object another name in the manifests. Nothing there was touched",
                )
        return found

    def list_all(self) -> list[dict[str, Any]]:
        """Every object of the release, with its kind."""
        return [
            {**found, "kind": kind}
            for kind in (*RELEASE_KINDS, "ConfigMap")
            for found in self.cluster.list(kind, self.release.labels())
        ]

    def apply(self, body: dict[str, Any], *, force: bool = False, dry_run: bool = False) -> None:
        """Apply an object that is ours or not there yet. Raises OwnershipError, and as `Cluster.apply`.

        `replicas` that an autoscaler set give way: where the manifests name them, they hold no autoscaler any more.
        """
        self.before_change()
        self.get(body["kind"], body["metadata"]["name"])
        try:
            self.cluster.apply(body, force=force, dry_run=dry_run)
        except ConflictError as conflict:
            if (
                list(conflict.fields) != [".spec.replicas"]
                or _AUTOSCALER_MANAGER not in conflict.fields[".spec.replicas"]
            ):
                raise
            self.cluster.apply(body, force=True, dry_run=dry_run)

    def remove(self, objects: Iterable[dict[str, Any]]) -> list[str]:
        """Delete objects that `list_all` gave; name those that were there."""
        return [
            f"{found['kind']} {found['metadata']['name']}"
            for found in objects
            if self.cluster.delete(found["kind"], found["metadata"]["name"])
        ]

    def apply_deployment(self, body: dict[str, Any], history: tuple[str, ...]) -> None:
        """Apply the release's Deployment, with the slots that answered up to now."""
        metadata, spec = body["metadata"], body["spec"]
        live = self.get("Deployment", metadata["name"])
        if live and "replicas" not in spec:
            # An apply that leaves a field out takes it away from an object that has it from us: `replicas` would fall
            # to 1 when the manifests leave them to an autoscaler from now on. So another manager takes them first.
            replicas_patch = {
                "apiVersion": body["apiVersion"],
                "kind": "Deployment",
                "metadata": {"name": metadata["name"]},
            }
            with suppress(ConflictError):  # the autoscaler decided meanwhile, so they are its own
                self.cluster.apply(
                    {**replicas_patch, "spec": {"replicas": live["spec"]["replicas"]}}, field_manager=_REPLICAS_MANAGER
                )
        annotations = metadata.get("annotations", {}) | deployment_tags(self.release.owner, history)
        self.apply({**body, "metadata": {**metadata, "annotations": annotations}})

    def save_manifests(self, slot: str, manifests: list[dict[str, Any]]) -> None:
        """Keep how a slot stands, in the cluster itself, so that going back to it applies exactly that."""
        labels = self.release.labels(**{ROLE_LABEL: SAVED_MANIFESTS, SLOT_LABEL: slot})
        metadata = {"name": self._config_map_name(slot), "namespace": self.release.namespace, "labels": labels}
        data = {"manifests.json": json.dumps(manifests, sort_keys=True)}
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, force=True)

    def load_manifests(self, slot: str) -> tuple[list[dict[str, Any]], str]:
        """What was kept of a slot, and the SHA-256 of its archive.

        Raises
        ------
        DeploymentError
            If nothing was, or it was changed.
        """
        try:
            bodies = json.loads((self.get("ConfigMap", self._config_map_name(slot)) or {})["data"]["manifests.json"])
            pod = next(body for body in bodies if body["kind"] == "Deployment")["spec"]["template"]["spec"]
            return bodies, {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}[
                PACKAGE_SHA256_VARIABLE
            ]
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise DeploymentError(
                f"it is not known how {slot} stood there",
                where=f"{self.cluster.where}, ConfigMap {self._config_map_name(slot)}",
                why="It is gone, or was changed",
                do="deploy a version: it takes the place of whatever stands there",
            ) from error

    def _config_map_name(self, slot: str) -> str:
        return f"{self.release.name}-{slot}"


def history_of_deployment(live: dict[str, Any] | None) -> tuple[str, ...]:
    """Slots that took all the traffic, the last one now; during a rollout, the one before it."""
    return history_from_tags(live["metadata"].get("annotations", {})) if live else ()


def slot_of(found: dict[str, Any]) -> str:
    """The slot that an object was last applied for."""
    return found["metadata"].get("labels", {}).get(SLOT_LABEL, "")


def role_of(found: dict[str, Any]) -> str:
    """`live`, `canary` or `record`."""
    return found["metadata"].get("labels", {}).get(ROLE_LABEL, "")
