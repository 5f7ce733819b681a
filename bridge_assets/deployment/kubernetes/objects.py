"""The objects of a release in the cluster: owner, slot, and the saved manifests of each slot."""

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

#: Field manager that holds `replicas` until an autoscaler sets it.
_REPLICAS_MANAGER = "bridge-assets-replicas"

#: How the server names the owners of `replicas` that manifests with `replicas` override: ourselves, and the autoscaler,
#: which is part of the controller manager. `kubectl scale` is a person, and keeps its number.
_YIELDING_OWNERS = (f'conflict with "{_REPLICAS_MANAGER}"', 'conflict with "kube-controller-manager"')


@dataclass(frozen=True)
class ReleaseObjects:
    """The objects with the labels of a release.

    Attributes
    ----------
    cluster : Cluster
    release : Release
    before_change : callable
        Called before every change.
    """

    cluster: Cluster
    release: Release
    before_change: Callable[[], None]

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object by its name, or None.

        Raises
        ------
        OwnershipError
            If it belongs to somebody else or to another release.
        """
        found = self.cluster.get(kind, name)
        if found:
            labels, what = found["metadata"].get("labels", {}), f"the {kind} {name}"
            check_owner(labels, self.release.owner, what, self.cluster.where)
            if labels.get(INSTANCE_LABEL) != self.release.name:
                raise OwnershipError(
                    f"{what} belongs to another release",
                    where=self.cluster.where,
                    why=f"Its label {INSTANCE_LABEL} is {labels.get(INSTANCE_LABEL)}, not {self.release.name}",
                    do="rename the object in the manifests. It was not touched",
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
        """Apply an object that is ours or does not exist yet. Raises OwnershipError, and errors as `Cluster.apply`.

        Overrides `replicas` that an autoscaler set, or that we kept for it: manifests that set them no longer have an
        autoscaler.
        """
        self.before_change()
        self.get(body["kind"], body["metadata"]["name"])
        try:
            self.cluster.apply(body, force=force, dry_run=dry_run)
        except ConflictError as conflict:
            owners = [owner for field in conflict.fields.values() for owner in field]
            if set(conflict.fields) != {".spec.replicas"} or not all(map(_yields, owners)):
                raise
            self.cluster.apply(body, force=True, dry_run=dry_run)

    def remove(self, objects: Iterable[dict[str, Any]]) -> list[str]:
        """Delete objects that `list_all` returned; returns the names of those that still existed."""
        return [
            f"{found['kind']} {found['metadata']['name']}"
            for found in objects
            if self.cluster.delete(found["kind"], found["metadata"]["name"])
        ]

    def apply_deployment(self, body: dict[str, Any], history: tuple[str, ...]) -> None:
        """Apply the release's Deployment, with the deployment history as annotations."""
        metadata, spec = body["metadata"], body["spec"]
        live = self.get("Deployment", metadata["name"])
        if live and "replicas" not in spec:
            # An apply without a field removes it if we set it before: when the manifests start to leave `replicas` to
            # an autoscaler, it would drop to 1. So another field manager takes it over first.
            replicas_patch = {
                "apiVersion": body["apiVersion"],
                "kind": "Deployment",
                "metadata": {"name": metadata["name"]},
            }
            with suppress(ConflictError):  # the autoscaler has set it in the meantime and owns it
                self.cluster.apply(
                    {**replicas_patch, "spec": {"replicas": live["spec"]["replicas"]}}, field_manager=_REPLICAS_MANAGER
                )
        annotations = metadata.get("annotations", {}) | deployment_tags(self.release.owner, history)
        self.apply({**body, "metadata": {**metadata, "annotations": annotations}})

    def save_manifests(self, slot: str, manifests: list[dict[str, Any]]) -> None:
        """Save the manifests of a slot in the cluster, so that a rollback applies exactly these."""
        labels = self.release.labels(**{ROLE_LABEL: SAVED_MANIFESTS, SLOT_LABEL: slot})
        metadata = {"name": self._config_map_name(slot), "namespace": self.release.namespace, "labels": labels}
        data = {"manifests.json": json.dumps(manifests, sort_keys=True)}
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, force=True)

    def load_manifests(self, slot: str) -> tuple[list[dict[str, Any]], str]:
        """The saved manifests of a slot, and the SHA-256 of its archive.

        Raises
        ------
        DeploymentError
            If there are none, or they were changed.
        """
        try:
            bodies = json.loads((self.get("ConfigMap", self._config_map_name(slot)) or {})["data"]["manifests.json"])
            pod = next(body for body in bodies if body["kind"] == "Deployment")["spec"]["template"]["spec"]
            return bodies, {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}[
                PACKAGE_SHA256_VARIABLE
            ]
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise DeploymentError(
                f"the saved manifests of {slot} cannot be read",
                where=f"{self.cluster.where}, ConfigMap {self._config_map_name(slot)}",
                why="The ConfigMap was deleted or changed",
                do="deploy a version, which replaces the current one",
            ) from error

    def _config_map_name(self, slot: str) -> str:
        return f"{self.release.name}-{slot}"


def _yields(owner: str) -> bool:
    return owner.startswith(_YIELDING_OWNERS)


def history_of_deployment(live: dict[str, Any] | None) -> tuple[str, ...]:
    """Slots that received all the traffic, the current one last. Unchanged while a rollout is in progress."""
    return history_from_tags(live["metadata"].get("annotations", {})) if live else ()


def slot_of(found: dict[str, Any]) -> str:
    """The slot that an object was last applied for."""
    return found["metadata"].get("labels", {}).get(SLOT_LABEL, "")


def role_of(found: dict[str, Any]) -> str:
    """`live`, `canary` or `record`."""
    return found["metadata"].get("labels", {}).get(ROLE_LABEL, "")
