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


class Conflict(DeploymentError):
    """Somebody else changed the object, or owns a field of it.

    Attributes
    ----------
    fields : mapping of str to str
        Path of each such field -> what the server says of its owner.
    """

    fields: Mapping[str, str] = MappingProxyType({})


def explained(error: ApiException, what: str, where: str, tries: int) -> DeploymentError:
    """The error that a person is told.

    Parameters
    ----------
    error : ApiException
    what : str
        What was asked for, as RBAC calls it: `patch deployments bridge-fall`.
    where : str
    tries : int
        Times that it was asked for, where asking again could help.
    """
    status, config = _status(error), os.environ.get("KUBECONFIG") or "~/.kube/config"
    said = " ".join(str(status.get("message") or error.reason).split())
    if error.status == 409:
        return _conflict(what, where, said, (status.get("details") or {}).get("causes") or [])
    do = "correct what it says, then run again"
    if error.status == 401:
        do = f"log in to the cluster again: KUBECONFIG ({config}) holds credentials that have expired or are wrong"
    elif error.status == 403:
        do = (
            f"let the user of KUBECONFIG ({config}) `{what}` in this namespace: "
            "configs/k8s/deployer/rbac.yaml holds all that a deployment needs"
        )
    elif error.status == 429 or (error.status or 0) >= 500:
        do = f"run again later: it was tried {tries} times"
    why = f"{error.status} {error.reason}: {said}"
    return DeploymentError(f"the cluster refused `{what}`", where=where, why=why, do=do)


def _conflict(what: str, where: str, said: str, causes: list[dict[str, Any]]) -> Conflict:
    fields = {cause["field"]: str(cause.get("message")) for cause in causes if cause.get("field")}
    listed = ", ".join(f"{field} ({owner})" for field, owner in fields.items())
    conflict = Conflict(
        f"`{what}` is in conflict with somebody else's change",
        where=where,
        why=f"Somebody else owns {listed}" if fields else said,
        do="take these fields out of the manifests, or let the other one give them up" if fields else "run again",
    )
    conflict.fields = fields
    return conflict


def _status(error: ApiException) -> dict[str, Any]:
    """The `Status` object of an error; a proxied app's own JSON error does as well."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        return {}
    return {**said, "message": said.get("message") or said.get("error")} if isinstance(said, dict) else {}
