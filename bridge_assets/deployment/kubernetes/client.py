"""Requests to a cluster's API server, with plain JSON objects.

Belongs here: credentials, requests and retries. Does not belong here: which objects are requested (`objects` and its
siblings), and what an error status means (`errors`). Uses `ApiClient.call_api` of the kubernetes client, because its
typed models drop fields that they do not know yet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bridge_assets.deployment.kubernetes.errors import ConflictError, is_wrong_manifest, to_deployment_error
from bridge_assets.errors import DeploymentError, NotConfiguredError, error_summary

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse, Retry

#: Kinds of objects in a release -> API version and plural name, in the order in which they are applied.
RELEASE_KINDS = {
    "ServiceAccount": ("v1", "serviceaccounts"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Service": ("v1", "services"),
    "Deployment": ("apps/v1", "deployments"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
}

#: Other kinds that a deployment reads or writes.
_OTHER_KINDS = {
    "ConfigMap": ("v1", "configmaps"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "Pod": ("v1", "pods"),
}

#: Seconds to connect, and between two chunks of a response. A choice.
_TIMEOUT = (5, 30)

#: Longest Retry-After that is obeyed, in seconds. A choice.
_MAX_RETRY_AFTER_SECONDS = 60

_APPLY_CONTENT_TYPE = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Cluster:
    """A namespace of a cluster.

    Attributes
    ----------
    context : str
        Context of the kubeconfig; empty = the current one or, without a kubeconfig, the cluster of this process.
    namespace : str
    retries : int
        Retries after 429, a server error or a broken connection, but not after a 500 that refuses the manifest. Every
        request here may be sent twice: a second apply changes nothing, and a deleted object stays deleted.
    backoff : float
        Seconds before the second retry, doubled each time. `Retry-After` takes precedence.
    """

    context: str
    namespace: str
    retries: int = 5
    backoff: float = 0.5

    @property
    def where(self) -> str:
        return f"cluster {self.context or 'of the current context'}, namespace {self.namespace}"

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object, or None if it does not exist."""
        return self._request_object("GET", kind, name)

    def list(self, kind: str, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Objects with these labels. Raises as `get`."""
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        return (self._request_object("GET", kind, query=[("labelSelector", selector)]) or {}).get("items", [])

    def apply(
        self,
        manifest: Mapping[str, Any],
        *,
        force: bool = False,
        dry_run: bool = False,
        field_manager: str = "bridge-assets",
    ) -> None:
        """Server-side apply: set the manifest's fields, and remove fields that an earlier apply of ours set.

        Parameters
        ----------
        manifest : mapping
        force : bool
            Take over fields that another manager owns.
        dry_run : bool
            Only let the server validate; change nothing.
        field_manager : str
            Name under which the server records the ownership of these fields.

        Raises
        ------
        ConflictError
            If another manager set a field to another value, and not `force`.
        DeploymentError
            If the server rejects the document.
        """
        query = [("fieldManager", field_manager), ("force", str(force).lower()), ("fieldValidation", "Strict")]
        query += [("dryRun", "All")] * dry_run
        self._request_object("PATCH", manifest["kind"], manifest["metadata"]["name"], query=query, body=manifest)

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object. Raises ConflictError if the name exists."""
        return self._request_object("POST", document["kind"], body=document) or {}

    def replace(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a whole object. Raises ConflictError if it changed since its `resourceVersion` was read."""
        name = document["metadata"]["name"]
        written = self._request_object("PUT", document["kind"], name, body=document)
        if written is None:
            raise ConflictError(
                f"{document['kind']} {name} was deleted in the meantime", where=self.where, do="run again"
            )
        return written

    def delete(self, kind: str, name: str, resource_version: str | None = None) -> bool:
        """Delete an object and its dependents; returns whether it existed."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if resource_version:
            options["preconditions"] = {"resourceVersion": resource_version}
        return self._request_object("DELETE", kind, name, body=options) is not None

    def post_to_service(self, service: str, port: str, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON to a Service through the API server's proxy, so that no route into the cluster is needed.

        Raises
        ------
        DeploymentError
            If no pod responds, or responds with an error.
        """
        url = f"{self._url('v1', 'services', f'{service}:{port}')}/proxy{path}"
        return self._request_json("POST", url, f"create services/proxy {service}", body=body)

    def log(self, pod: str, lines: int, *, previous: bool) -> str:
        """The last lines of a pod's log; empty if it has no log."""
        url = f"{self._url('v1', 'pods', pod)}/log"
        query = [("tailLines", str(lines)), ("previous", str(previous).lower())]
        try:
            return self._request_text("GET", url, f"get pods/log {pod}", query) or ""
        except DeploymentError:  # a container that never started has no log
            return ""

    def _request_object(
        self, method: str, kind: str, name: str = "", *, query: list[tuple[str, str]] | None = None, body: Any = None
    ) -> dict[str, Any] | None:
        api, plural = RELEASE_KINDS.get(kind) or _OTHER_KINDS[kind]
        verb = {"POST": "create", "PUT": "update"}.get(method, method.lower() if name else "list")
        return self._request_json(method, self._url(api, plural, name), f"{verb} {plural} {name}".strip(), query, body)

    def _url(self, api: str, plural: str, name: str = "") -> str:
        root = "/api/v1" if api == "v1" else f"/apis/{api}"
        url = f"{root}/namespaces/{quote(self.namespace, safe='')}/{plural}"
        return f"{url}/{quote(name, safe=':')}" if name else url

    def _request_json(
        self, method: str, url: str, what: str, query: list[tuple[str, str]] | None = None, body: Any = None
    ) -> Any:
        text = self._request_text(method, url, what, query, body)
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise DeploymentError(
                f"the response to `{what}` is not JSON",
                where=self.where,
                why=f"{error_summary(error)}: {text!r:.200}",
                do="check that the address is that of a Kubernetes API server",
            ) from error

    def _request_text(
        self, method: str, url: str, what: str, query: list[tuple[str, str]] | None = None, body: Any = None
    ) -> str | None:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {
            "Accept": "*/*" if url.endswith("/log") else "application/json",
            "Content-Type": _APPLY_CONTENT_TYPE if method == "PATCH" else "application/json",
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
            if error.status == 404 and method in ("GET", "PUT", "DELETE"):
                return None
            raise to_deployment_error(error, what, self.where, self.retries + 1) from error
        except HTTPError as error:
            raise DeploymentError(
                f"`{what}` did not reach the cluster",
                where=f"{self._client.configuration.host}, {self.where}",
                why=error_summary(error),
                do="check the connection to the cluster, then run again",
            ) from error

    @cached_property
    def _client(self) -> ApiClient:
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
        from yaml import YAMLError

        configuration = Configuration()
        configuration.retries = _retry_policy(self.retries, self.backoff)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            # Passed explicitly, because the client reads KUBECONFIG only once, when it is imported.
            load_kube_config(os.environ.get("KUBECONFIG"), self.context or None, configuration)
        except (ConfigException, OSError, YAMLError) as error:
            try:
                if self.context:
                    raise
                load_incluster_config(configuration)
            except (ConfigException, OSError, YAMLError) as other:
                raise NotConfiguredError(
                    "no credentials for a cluster were found",
                    where=self.where,
                    why=error_summary(error) + ("" if other is error else f"; {error_summary(other)}"),
                    do="set KUBECONFIG to a file with this context, or run inside the cluster",
                ) from error
        return ApiClient(configuration)


def _retry_policy(attempts: int, backoff: float) -> Retry:
    from urllib3 import Retry
    from urllib3.exceptions import MaxRetryError

    class CappedRetry(Retry):
        def increment(
            self,
            method: str | None = None,
            url: str | None = None,
            response: BaseHTTPResponse | None = None,
            error: Exception | None = None,
            _pool: Any = None,
            _stacktrace: TracebackType | None = None,
        ) -> Self:
            if response is not None and is_wrong_manifest(response.status, response.data.decode("utf-8", "replace")):
                raise MaxRetryError(_pool, url or "", error)  # urllib3 then returns the response as it is
            return super().increment(method, url, response, error, _pool, _stacktrace)

        def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
            seconds = super().get_retry_after(response)
            return None if seconds is None else min(seconds, _MAX_RETRY_AFTER_SECONDS)

    retried_statuses = (429, 500, 502, 503, 504)
    return CappedRetry(
        attempts, backoff_factor=backoff, status_forcelist=retried_statuses, allowed_methods=None, raise_on_status=False
    )
