"""Errors of an API server, in its own words."""

from __future__ import annotations

import json
from typing import Any

from providers.kubernetes.owners import FieldPath, Manager, path_text


class ApiError(Exception):
    """An error response in the format of the API server."""

    def __init__(self, status: int, reason: str, message: str, causes: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "code": status,
        }
        if reason:  # an error that the server did not classify has none
            self.body |= {"reason": reason, "details": {"causes": causes or []}}


def conflict_error(conflicts: list[tuple[Manager, FieldPath]]) -> ApiError:
    """409 with one cause per manager and field, as `NewConflictError` of k8s.io/apimachinery writes it."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path_text(path)}
        for manager, path in conflicts
    ]
    if len(causes) == 1:
        message = f"1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = []
        for manager in dict.fromkeys(manager for manager, _ in conflicts):
            lines += [
                f"conflicts with {manager}:",
                *(f"- {path_text(path)}" for by, path in conflicts if by == manager),
            ]
        message = f"{len(causes)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", f"Apply failed with {message}", causes)


def denied_error(verb: str, group: str, resource: str, name: str, namespace: str) -> ApiError:
    """403 of RBAC, also for a request that comes before the server has loaded the rights."""
    what = f'{_with_group(resource.partition("/")[0], group)} "{name}"' if name else _with_group(resource, group)
    who = "system:serviceaccount:bridges:bridge-assets-deployer"
    denied = f'User "{who}" cannot {verb} resource "{resource}" in API group "{group}" in the namespace "{namespace}"'
    return ApiError(403, "Forbidden", f"{what} is forbidden: {denied}")


def quota_message(plural: str, name: str, used: int) -> str:
    """What a quota on the number of objects says: the whole of an error, or of a ReplicaSet's condition."""
    counts = f"requested: {plural}=1, used: {plural}={used}, limited: {plural}={used}"
    return f'{plural} "{name}" is forbidden: exceeded quota: small, {counts}'


def typed_patch_error(name: str, document: dict[str, Any], problem: str) -> ApiError:
    """500, without a reason: the body of an apply has an unknown or ill-typed field."""
    api, kind = document["apiVersion"], document["kind"]
    version = api if "/" in api else f"/{api}"
    message = f"failed to create typed patch object (bridges/{name}; {version}, Kind={kind}): {problem}"
    return ApiError(500, "", message)


def type_problem(expected: str, value: Any) -> str:
    """What structured-merge-diff says about a value of another type."""
    if expected in ("integer", "number"):
        return f"expected numeric (int or float), got {_GO_TYPES.get(type(value), 'map[string]interface {}')}"
    if expected == "string":
        return f"expected string, got &value.valueUnstructured{{Value:{json.dumps(value)}}}"
    return f"expected {_SCHEMA_KINDS.get(expected, expected)}, got &{{{json.dumps(value)}}}"


_GO_TYPES = {str: "string", bool: "bool", list: "[]interface {}"}
_SCHEMA_KINDS = {"array": "list", "object": "map"}


def _with_group(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural
