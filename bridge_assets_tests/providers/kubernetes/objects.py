"""The storage of a Kubernetes API server: objects by kind and name, the owners of fields, and server-side apply.

Like the real one: a field that another manager set to another value is a conflict (409; its causes name manager and
field); a field that an apply leaves out is removed if nobody else owns it; an apply without changes keeps the
`resourceVersion`; a change of `spec` increases `generation`; a default that the server sets has no owner, and setting
`replicas` through the `scale` subresource gives it none; a quota refuses the next object of a kind. A dry run validates
strictly against the real schemas: 500 for unknown and ill-typed fields, 422 for missing ones. The apply itself does not
validate again, because that would take most of a test's time.
"""

from __future__ import annotations

import copy
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from providers.kubernetes.errors import ApiError, conflict_error, quota_message
from providers.kubernetes.owners import REPLICAS, FieldPath, Manager, Owners, scale_owners, update_owners
from providers.kubernetes.schemas import validate

Key = tuple[str, str]

#: Lists that are merged item by item, and the fields that identify an item; any other list is a single value.
_MERGE_KEYS = {
    "containers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "port", "protocol"),
    "volumeMounts": ("mountPath",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}


@dataclass
class ObjectStore:
    """Objects of one namespace, by plural and name. Hold `lock` to read more than one.

    Attributes
    ----------
    owners : dict
        Fields of an object by their managers. Defaults of the server belong to nobody.
    quotas : dict of str to int
        Plural -> largest number of objects in the namespace, those that are being terminated included.
    """

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    owners: dict[Key, Owners] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _version: int = 0

    def get(self, key: Key) -> dict[str, Any]:
        if key not in self.objects:
            raise ApiError(404, "NotFound", f'{key[0]} "{key[1]}" not found')
        return self.objects[key]

    def all(self, plural: str, selector: dict[str, str] | None = None) -> list[dict[str, Any]]:
        found = [each for (kind, _), each in sorted(self.objects.items()) if kind == plural]
        return [each for each in found if selects(selector or {}, each["metadata"].get("labels", {}))]

    def create(self, key: Key, document: dict[str, Any]) -> dict[str, Any]:
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f'{key[0]} "{key[1]}" already exists')
        self._check_quota(key)
        return self._write(key, copy.deepcopy(document))

    def replace(self, key: Key, document: dict[str, Any]) -> dict[str, Any]:
        version = self.get(key)["metadata"]["resourceVersion"]
        if document["metadata"].get("resourceVersion", version) != version:
            message = "the object has been modified; please apply your changes to the latest version and try again"
            raise ApiError(409, "Conflict", f'Operation cannot be fulfilled on {key[0]} "{key[1]}": {message}')
        return self._write(key, copy.deepcopy(document))

    def delete(self, key: Key, version: str | None) -> dict[str, Any]:
        if version not in (None, self.get(key)["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", f"Precondition failed: ResourceVersion of {key[1]} is another")
        self.owners.pop(key, None)
        self.changes.append(f"DELETE {'/'.join(key)}")
        return self.objects.pop(key)

    def apply(
        self, key: Key, document: dict[str, Any], field_manager: str, *, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Server-side apply."""
        manager = Manager(field_manager, applied=True)
        if key not in self.objects:
            self._check_quota(key)
        live = self.objects.get(key)
        owners = copy.deepcopy(self.owners.get(key, {}))
        current_fields, wanted = dict(_flatten(live)) if live else {}, dict(_flatten(_without_identity(document)))
        others = {other: paths for other, paths in owners.items() if other != manager}
        conflicts = [
            (other, path)
            for other, paths in sorted(others.items())
            for path in sorted(paths & wanted.keys())
            if current_fields.get(path) != wanted[path]
        ]
        if conflicts and not force:
            raise conflict_error(conflicts)
        for other, path in conflicts:
            owners[other].discard(path)
        owned_by_others: set[FieldPath] = set().union(*others.values()) if others else set()
        dropped = owners.get(manager, set()) - wanted.keys() - owned_by_others
        merged = {path: value for path, value in current_fields.items() if path not in dropped} | wanted
        result = _unflatten(merged) | {"apiVersion": document["apiVersion"], "kind": document["kind"]}
        result.setdefault("metadata", {})["name"] = key[1]
        if dry_run:
            validate(result)
        if key[0] == "deployments":
            result["spec"].setdefault("replicas", 1)
            _check_selector(key, result, live)
        if dry_run:
            return result
        self.owners[key] = {**owners, manager: set(wanted)}
        return live if live is not None and _same(live, result) else self._write(key, result)

    def set_field(self, key: Key, manager: str, path: FieldPath, value: Any) -> None:
        """Update one field as another client, such as `kubectl edit`."""
        document = copy.deepcopy(self.get(key))
        place = document
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
        self._write(key, document)
        self.owners[key] = update_owners(self.owners.get(key, {}), Manager(manager), path)

    def scale(self, key: Key, manager: str, replicas: int) -> None:
        """Set `replicas` through the `scale` subresource, as an autoscaler or `kubectl scale`."""
        live = self.get(key)
        if live["spec"]["replicas"] != replicas:
            self._write(key, {**copy.deepcopy(live), "spec": {**live["spec"], "replicas": replicas}})
            self.owners[key] = scale_owners(self.owners.get(key, {}), Manager(manager, subresource="scale"))

    def owners_of_replicas(self, name: str) -> set[str]:
        """Names of the managers that own the number of a Deployment's pods."""
        return {each.name for each, paths in self.owners["deployments", name].items() if REPLICAS in paths}

    def set_status(self, key: Key, status: dict[str, Any]) -> None:
        """Set the status of an object as a controller."""
        if key in self.objects and self.objects[key].get("status") != status:
            self._version += 1
            self.objects[key] = {**self.objects[key], "status": status}
            self.objects[key]["metadata"] = {**self.objects[key]["metadata"], "resourceVersion": str(self._version)}

    def snapshot(self) -> dict[str, Any]:
        """All objects except pods, without the status that controllers set."""
        with self.lock:
            return {
                "/".join(key): {name: value for name, value in each.items() if name != "status"}
                | {"metadata": _user_metadata(each)}
                for key, each in sorted(self.objects.items())
                if key[0] != "pods"
            }

    def _check_quota(self, key: Key) -> None:
        if (used := len(self.all(key[0]))) >= self.quotas.get(key[0], used + 1):
            raise ApiError(403, "Forbidden", quota_message(*key, used))

    def _write(self, key: Key, document: dict[str, Any]) -> dict[str, Any]:
        live = self.objects.get(key)
        self._version += 1
        metadata = document["metadata"]
        metadata["resourceVersion"] = str(self._version)
        metadata["uid"] = live["metadata"]["uid"] if live else str(uuid.uuid4())
        generation = live["metadata"].get("generation", 1) if live else 0
        changed = live is None or live.get("spec") != document.get("spec")
        metadata["generation"] = generation + 1 if changed else generation
        self.objects[key] = document
        if key[0] != "pods":
            self.changes.append(f"{'UPDATE' if live else 'CREATE'} {'/'.join(key)}")
        return document


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in selector.items())


def _check_selector(key: Key, result: dict[str, Any], live: dict[str, Any] | None) -> None:
    selector = result["spec"]["selector"]
    if live and live["spec"]["selector"] != selector:
        raise ApiError(422, "Invalid", f'Deployment "{key[1]}" is invalid: spec.selector: field is immutable')
    if not selects(selector["matchLabels"], result["spec"]["template"]["metadata"]["labels"]):
        message = "spec.template.metadata.labels: `selector` does not match template `labels`"
        raise ApiError(422, "Invalid", f'Deployment "{key[1]}" is invalid: {message}')


def _flatten(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Every value of a document that an apply merges separately."""
    keys = _MERGE_KEYS.get(path[-1], ()) if path else ()
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flatten(inner, (*path, name))
    elif isinstance(value, list) and keys and all(isinstance(item, dict) for item in value):
        for item in value:
            merge_key = {name: item[name] for name in keys if name in item}
            yield from _flatten(item, (*path, f"[{json.dumps(merge_key, sort_keys=True)}]"))
    else:
        yield path, value


def _unflatten(leaves: dict[FieldPath, Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, value in leaves.items():
        place = root
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place.setdefault(path[-1], copy.deepcopy(value))
    return _restore_lists(root)


def _restore_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.startswith("[") for name in value):
        return [_restore_lists(item) for item in value.values()]
    return {name: _restore_lists(inner) for name, inner in value.items()}


_SERVER_FIELDS = ("resourceVersion", "uid", "generation")


def _without_identity(document: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in document["metadata"].items() if key not in ("name", "namespace")}
    others = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "metadata")}
    return others | ({"metadata": metadata} if metadata else {})


def _user_metadata(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document["metadata"].items() if key not in _SERVER_FIELDS}


def _same(live: dict[str, Any], result: dict[str, Any]) -> bool:
    return {**live, "metadata": _user_metadata(live)} == {**result, "metadata": _user_metadata(result)}
