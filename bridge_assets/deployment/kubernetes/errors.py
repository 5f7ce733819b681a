"""Turns errors of a cluster's API server into DeploymentErrors with a cause and a remedy."""

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
    """The object was changed concurrently, or another manager owns a field of it.

    Attributes
    ----------
    fields : mapping of str to str
        Path of each such field -> the server's message about its owner.
    """

    fields: Mapping[str, str] = MappingProxyType({})


def to_deployment_error(error: ApiException, what: str, where: str, attempts: int) -> DeploymentError:
    """The DeploymentError for an API error.

    Parameters
    ----------
    error : ApiException
    what : str
        The request in the words of RBAC, such as `patch deployments bridge-fall`.
    where : str
    attempts : int
        How often a retryable request was sent.
    """
    status, config = _status(error), os.environ.get("KUBECONFIG") or "~/.kube/config"
    message = " ".join(str(status.get("message") or error.reason).split())
    if error.status == 409:
        return _conflict_error(what, where, message, (status.get("details") or {}).get("causes") or [])
    do = "fix the cause, then run again"
    if error.status == 401:
        do = f"log in to the cluster again: the credentials in KUBECONFIG ({config}) are invalid or have expired"
    elif error.status == 403:
        do = (
            f"allow the user of KUBECONFIG ({config}) to `{what}` in this namespace; "
            "configs/k8s/deployer/rbac.yaml lists every permission that a deployment needs"
        )
    elif error.status == 429 or (error.status or 0) >= 500:
        do = f"run again later (the request was sent {attempts} times)"
    why = f"{error.status} {error.reason}: {message}"
    return DeploymentError(f"the cluster refused `{what}`", where=where, why=why, do=do)


def _conflict_error(what: str, where: str, message: str, causes: list[dict[str, Any]]) -> ConflictError:
    fields = {cause["field"]: str(cause.get("message")) for cause in causes if cause.get("field")}
    listed = ", ".join(f"{field} ({owner})" for field, owner in fields.items())
    conflict = ConflictError(
        f"`{what}` conflicts with another change",
        where=where,
        why=f"Another manager owns {listed}" if fields else message,
        do="remove these fields from the manifests, or from the other manager" if fields else "run again",
    )
    conflict.fields = fields
    return conflict


def _status(error: ApiException) -> dict[str, Any]:
    """The `Status` object of an error, or the JSON error of a proxied app."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return {}
    return {**status, "message": status.get("message") or status.get("error")} if isinstance(status, dict) else {}
