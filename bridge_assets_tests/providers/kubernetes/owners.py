"""Who owns which field of an object: managers as the API server prints them, and paths of fields."""

from __future__ import annotations

import json
from dataclasses import dataclass

#: Keys of a field; a part in brackets is an item of a list, by its merge keys in JSON.
FieldPath = tuple[str, ...]

REPLICAS: FieldPath = ("spec", "replicas")


@dataclass(frozen=True, order=True)
class Manager:
    """Owner of fields.

    Attributes
    ----------
    name : str
    subresource : str
        `scale` if it set the field there.
    applied : bool
        Whether by an apply; otherwise by an update.
    """

    name: str
    subresource: str = ""
    applied: bool = False

    def __str__(self) -> str:
        """As `printManager` of k8s.io/apimachinery prints it in a conflict."""
        text = f'"{self.name}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return text if self.applied else f"{text} using apps/v1 at 2026-01-01T00:00:00Z"


Owners = dict[Manager, set[FieldPath]]


def scale_owners(owners: Owners, manager: Manager) -> Owners:
    """Owners after a manager has set `replicas` to another value through the `scale` subresource.

    The server tracks a scale only if somebody owns the field already: it starts from the owners of `replicas` alone,
    and an object without any is not tracked (`ScaleHandler`, `skipNonAppliedManager` of k8s.io/apimachinery).
    """
    if not any(REPLICAS in paths for paths in owners.values()):
        return owners
    after = {other: paths - {REPLICAS} for other, paths in owners.items()}
    return after | {manager: after.get(manager, set()) | {REPLICAS}}


def update_owners(owners: Owners, manager: Manager, path: FieldPath) -> Owners:
    """Owners after a manager has set one field of the object to another value."""
    after = {other: paths - {path} for other, paths in owners.items()}
    return after | {manager: after.get(manager, set()) | {path}}


def path_text(path: FieldPath) -> str:
    """A path as the server prints it: `.spec.template.spec.containers[name="server"].image`."""
    return "".join(_item_text(part) if part.startswith("[") else f".{part}" for part in path)


def _item_text(part: str) -> str:
    keys = json.loads(part[1:-1])
    return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(keys.items())) + "]"
