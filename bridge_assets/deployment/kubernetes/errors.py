"""What a refusal of a cluster's API server means, and what to do about it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import DeploymentError

if TYPE_CHECKING:
    from kubernetes.client.exceptions import ApiException


class ConflictError(DeploymentError):
    """Somebody else changed the object, or owns a field of it.

    Attributes
    ----------
    fields : mapping of str to str
        Path of each such field -> what the server says of its owner.
    """

    fields: Mapping[str, str] = MappingProxyType({})


def to_deployment_error(error: ApiException, what: str, where: str, attempts: int) -> DeploymentError:
    """The error that a person is told.

    Parameters
    ----------
    error : ApiException
    what : str
        What was asked for, as RBAC calls it: `patch deployments bridge-fall`.
    where : str
    attempts : int
        Times that it was asked for, where asking again could help.
    """
    status, config = _status(error), os.environ.get("KUBECONFIG") or "~/.kube/config"
    message = " ".join(str(status.get("message") or error.reason).split())
    if error.status == 409:
        return _conflict_error(what, where, message, (status.get("details") or {}).get("causes") or [])
    do = "correct what it says, then run again"
    if error.status == 401:
        do = f"log in to the cluster again: KUBECONFIG ({config}) holds credentials that have expired or are wrong"
    elif error.status == 403:
        do = (
            f"let the user of KUBECONFIG ({config}) `{what}` in this namespace: "
            "configs/k8s/deployer/rbac.yaml holds all that a deployment needs"
        )
    elif error.status == 429 or (error.status or 0) >= 500:
        do = f"run again later: it was tried {attempts} times"
    why = f"{error.status} {error.reason}: {message}"
    return DeploymentError(f"the cluster refused `{what}`", where=where, why=why, do=do)


def _conflict_error(what: str, where: str, message: str, causes: list[dict[str, Any]]) -> ConflictError:
    fields = {cause["field"]: str(cause.get("message")) for cause in causes if cause.get("field")}
    listed = ", ".join(f"{field} ({owner})" for field, owner in fields.items())
    conflict = ConflictError(
        f"`{what}` is in conflict with somebody else's change",
        where=where,
        why=f"Somebody else owns {listed}" if fields else message,
        do="take these fields out of the manifests, or let the other one give them up" if fields else "run again",
    )
    conflict.fields = fields
    return conflict


def _status(error: ApiException) -> dict[str, Any]:
    """The `Status` object of an error; a proxied app's own JSON error does as well."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return {}
    return {**status, "message": status.get("message") or status.get("error")} if isinstance(status, dict) else {}
