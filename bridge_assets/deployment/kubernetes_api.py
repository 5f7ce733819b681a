"""The API server of a cluster, as far as a deployment needs it: plain JSON objects in and out.

Belongs here: credentials, requests with their retries, and errors that say what to do. Does not belong here: what is
asked for (`kubernetes` and its siblings). It goes through `ApiClient.call_api` of the kubernetes client, whose typed
models would drop every field that they do not know yet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bridge_assets.deployment.errors import DeploymentError, NotConfigured, in_one_line

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from kubernetes.client.exceptions import ApiException

#: Kinds of a release -> their API and its name for them, in the order in which they are applied.
KINDS = {
    "ServiceAccount": ("v1", "serviceaccounts"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Service": ("v1", "services"),
    "Deployment": ("apps/v1", "deployments"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
}

#: Further kinds that a deployment itself writes or reads.
_OTHERS = {
    "ConfigMap": ("v1", "configmaps"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "Pod": ("v1", "pods"),
}

#: Seconds to connect, and between two pieces of an answer: a choice.
_TIMEOUT = (5, 30)

#: Longest that an answer 429 or 503 may make us wait, in seconds: a choice.
_LONGEST_WAIT = 60

_APPLY = "application/apply-patch+yaml"


class Conflict(DeploymentError):
    """Somebody else changed the object, or owns a field of it.

    Attributes
    ----------
    fields : mapping of str to str
        Path of each such field -> what the server says of its owner.
    """

    fields: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Cluster:
    """A namespace of a cluster.

    Attributes
    ----------
    context : str
        Of the kubeconfig; empty = its current one, or, without a kubeconfig, the cluster that this process runs in.
    namespace : str
    retries : int
        Times that a request is sent again after 429, a server's error or a cut connection. Every request here may be
        sent twice: an apply changes nothing the second time, and a deleted object is gone.
    backoff : float
        Seconds before the second retry; doubled each time. `Retry-After` goes before it.
    """

    context: str
    namespace: str
    retries: int = 5
    backoff: float = 0.5

    @property
    def where(self) -> str:
        return f"cluster {self.context or 'of the current context'}, namespace {self.namespace}"

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object; None where there is none."""
        return self._object("GET", kind, name)

    def list(self, kind: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Objects with these labels. Raises as `get`."""
        chosen = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        return (self._object("GET", kind, query=[("labelSelector", chosen)]) or {}).get("items", [])

    def apply(
        self,
        document: Mapping[str, Any],
        *,
        force: bool = False,
        dry_run: bool = False,
        manager: str = "bridge-assets",
    ) -> None:
        """Server-side apply: the object has these fields afterwards, and no more those that we once gave it.

        Parameters
        ----------
        document : mapping
        force : bool
            Take over fields that somebody else set.
        dry_run : bool
            Let the server check everything, and change nothing.
        manager : str
            Who applies, in the server's books of which field is whose.

        Raises
        ------
        Conflict
            If somebody else set a field to another value, and not `force`.
        DeploymentError
            If the server refuses the document.
        """
        query = [("fieldManager", manager), ("force", str(force).lower()), ("fieldValidation", "Strict")]
        query += [("dryRun", "All")] * dry_run
        self._object("PATCH", document["kind"], document["metadata"]["name"], query=query, body=document)

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object. Raises Conflict where there is one of that name."""
        return self._object("POST", document["kind"], body=document) or {}

    def replace(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Write an object as a whole. Raises Conflict where it changed since its `resourceVersion` was read."""
        name = document["metadata"]["name"]
        written = self._object("PUT", document["kind"], name, body=document)
        if written is None:
            raise self._conflict(f"{document['kind']} {name}", "It is gone")
        return written

    def delete(self, kind: str, name: str, resource_version: str | None = None) -> bool:
        """Remove an object and what its controller made; whether it was there."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if resource_version:
            options["preconditions"] = {"resourceVersion": resource_version}
        return self._object("DELETE", kind, name, body=options) is not None

    def ask(self, service: str, port: str, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON to a Service, through the API server: no route into the cluster is needed.

        Raises
        ------
        DeploymentError
            If no pod answers, or it answers with an error.
        """
        url = f"{self._url('v1', 'services', f'{service}:{port}')}/proxy{path}"
        return self._send("POST", url, f"create services/proxy {service}", body=body)

    def log(self, pod: str, lines: int, *, previous: bool) -> str:
        """The last lines of a pod's log; nothing where there is none."""
        url = f"{self._url('v1', 'pods', pod)}/log"
        query = [("tailLines", str(lines)), ("previous", str(previous).lower())]
        try:
            return self._text("GET", url, f"get pods/log {pod}", query) or ""
        except DeploymentError:  # a container that never started has none
            return ""

    def _object(
        self, method: str, kind: str, name: str = "", *, query: list[tuple[str, str]] | None = None, body: Any = None
    ) -> dict[str, Any] | None:
        api, plural = KINDS.get(kind) or _OTHERS[kind]
        verb = {"POST": "create", "PUT": "update"}.get(method, method.lower() if name else "list")
        return self._send(method, self._url(api, plural, name), f"{verb} {plural} {name}".strip(), query, body)

    def _url(self, api: str, plural: str, name: str = "") -> str:
        root = "/api/v1" if api == "v1" else f"/apis/{api}"
        url = f"{root}/namespaces/{quote(self.namespace, safe='')}/{plural}"
        return f"{url}/{quote(name, safe=':')}" if name else url

    def _send(
        self, method: str, url: str, what: str, query: list[tuple[str, str]] | None = None, body: Any = None
    ) -> Any:
        text = self._text(method, url, what, query, body)
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise DeploymentError(
                f"the answer to `{what}` is no JSON",
                where=self.where,
                why=f"{in_one_line(error)}: {text!r:.200}",
                do="look at what answers there",
            ) from error

    def _text(
        self, method: str, url: str, what: str, query: list[tuple[str, str]] | None = None, body: Any = None
    ) -> str | None:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {
            "Accept": "*/*" if url.endswith("/log") else "application/json",
            "Content-Type": _APPLY if method == "PATCH" else "application/json",
        }
        try:
            answer: Any = self._client.call_api(
                url,
                method,
                query_params=query or [],
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
            return answer.data.decode("utf-8")
        except ApiException as error:
            if error.status == 404 and "/proxy/" not in url:
                return None
            raise self._explained(error, what) from error
        except HTTPError as error:
            raise DeploymentError(
                f"`{what}` did not come through",
                where=f"{self._client.configuration.host}, {self.where}",
                why=in_one_line(error),
                do="see whether the cluster can be reached, then run again",
            ) from error

    def _explained(self, error: ApiException, what: str) -> DeploymentError:
        status = _status(error)
        said = " ".join(str(status.get("message") or error.reason).split())
        if error.status == 409:
            return self._conflict(what, said, status)
        why, do = f"{error.status} {error.reason}: {said}", "correct what it says, then run again"
        config = os.environ.get("KUBECONFIG") or "~/.kube/config"
        if error.status == 401:
            do = f"log in to the cluster again: KUBECONFIG ({config}) holds credentials that have expired or are wrong"
        elif error.status == 403:
            do = (
                f"let the user of KUBECONFIG ({config}) `{what}` in this namespace: "
                "configs/k8s/deployer/rbac.yaml holds all that a deployment needs"
            )
        elif error.status == 429 or (error.status or 0) >= 500:
            do = f"run again later: it was tried {self.retries + 1} times"
        return DeploymentError(f"the cluster refused `{what}`", where=self.where, why=why, do=do)

    def _conflict(self, what: str, said: str, status: Mapping[str, Any] | None = None) -> Conflict:
        causes = ((status or {}).get("details") or {}).get("causes") or []
        fields = {cause["field"]: str(cause.get("message")) for cause in causes if cause.get("field")}
        do = "take these fields out of the manifests, or let the other one give them up" if fields else "run again"
        listed = ", ".join(f"{field} ({owner})" for field, owner in fields.items())
        conflict = Conflict(
            f"`{what}` is in conflict with somebody else's change",
            where=self.where,
            why=f"Somebody else owns {listed}" if fields else said,
            do=do,
        )
        conflict.fields = fields
        return conflict

    @cached_property
    def _client(self) -> ApiClient:
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
        from urllib3 import Retry
        from yaml import YAMLError

        retries = Retry(
            total=self.retries,
            backoff_factor=self.backoff,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,
            raise_on_status=False,
            retry_after_max=_LONGEST_WAIT,
        )
        configuration = Configuration()
        configuration.retries = retries  # pyright: ignore[reportAttributeAccessIssue] # it is typed as None
        try:
            # Named, because the client looks at KUBECONFIG once only, when it is imported.
            load_kube_config(os.environ.get("KUBECONFIG"), self.context or None, configuration)
        except (ConfigException, OSError, YAMLError) as error:
            try:
                if self.context:
                    raise
                load_incluster_config(configuration)
            except (ConfigException, OSError, YAMLError) as other:
                raise NotConfigured(
                    "there are no credentials for a cluster",
                    where=self.where,
                    why=in_one_line(error) + ("" if other is error else f"; {in_one_line(other)}"),
                    do="set KUBECONFIG to a file with this context, or run inside the cluster",
                ) from error
        return ApiClient(configuration)


def _status(error: ApiException) -> dict[str, Any]:
    """The `Status` object of an error; a proxied app's own JSON error does as well."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        return {}
    return {**said, "message": said.get("message") or said.get("error")} if isinstance(said, dict) else {}
