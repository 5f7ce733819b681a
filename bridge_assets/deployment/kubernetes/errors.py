"""Turns errors of a cluster's API server into DeploymentErrors with a cause and a remedy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import DeploymentError

if TYPE_CHECKING:
    from kubernetes.client.exceptions import ApiException


#: RBAC's answer; other admission rules answer 403 too. Source: `forbiddenMessage` in
#: k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go.
_NO_RIGHT = re.compile(r"\bcannot \S+ (resource|path) ")

#: A quota's answer. Source: plugin/pkg/admission/resourcequota of Kubernetes ("exceeded quota", "failed quota", "status
#: unknown for quota").
_QUOTA = re.compile(r"\b(exceeded|failed|unknown for) quota\b")

#: Server-side apply answers a field that is unknown or ill-typed, or that cannot be converted, with a 500 that begins
#: so. Source: structuredmerge.go in k8s.io/apimachinery/pkg/util/managedfields/internal; the first seen on 1.36.
_WRONG_FIELD = (
    "failed to create typed patch object",
    "failed to convert new typed object",
    "failed to convert new object",
)


class ConflictError(DeploymentError):
    """The object was changed concurrently, or another manager owns a field of it.

    Attributes
    ----------
    fields : mapping of str to tuple of str
        Path of each such field -> the server's messages about its owners, one per owner.
    """

    fields: Mapping[str, tuple[str, ...]] = MappingProxyType({})


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
    status = _status(error)
    message = " ".join(str(status.get("message") or error.reason).split())
    if error.status == 409:
        return _conflict_error(what, where, message, (status.get("details") or {}).get("causes") or [])
    do = _remedy(error.status or 0, message, what, attempts)
    why = f"{error.status} {error.reason}: {message}"
    return DeploymentError(f"the cluster refused `{what}`", where=where, why=why, do=do)


def is_wrong_manifest(status: int, message: str) -> bool:
    """Whether an answer of the server means that the manifest has to change, so that a retry would be refused too.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        The message, or the body that contains it.
    """
    return status in (400, 422) or (status == 500 and any(each in message for each in _WRONG_FIELD))


def is_quota(message: str) -> bool:
    """Whether a quota refused something. Objects that are being removed count until they are gone."""
    return bool(_QUOTA.search(message))


def _remedy(status: int, message: str, what: str, attempts: int) -> str:
    config = os.environ.get("KUBECONFIG") or "~/.kube/config"
    if status == 401:
        return f"log in to the cluster again: the credentials in KUBECONFIG ({config}) are invalid or have expired"
    if status == 403 and _NO_RIGHT.search(message):
        return (
            f"allow the user of KUBECONFIG ({config}) to `{what}` in this namespace; "
            "configs/k8s/deployer/rbac.yaml lists every permission that a deployment needs"
        )
    if status == 403 and is_quota(message):
        return "raise this quota of the namespace, or remove what uses it up, then run again"
    if is_wrong_manifest(status, message):
        return "correct what it says in the manifest, then run again"
    if status == 429 or status >= 500:
        return f"run again later (the request was sent {attempts} times)"
    return "fix the cause, then run again"


def _conflict_error(what: str, where: str, message: str, causes: list[dict[str, Any]]) -> ConflictError:
    fields: dict[str, tuple[str, ...]] = {}
    for cause in causes:
        if field := cause.get("field"):
            fields[field] = (*fields.get(field, ()), str(cause.get("message")))
    listed = ", ".join(f"{field} ({', '.join(owners)})" for field, owners in fields.items())
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
