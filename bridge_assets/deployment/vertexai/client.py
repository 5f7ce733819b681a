"""Calls to Google Cloud: credentials, retries, and waiting for long-running operations.

Belongs here: what Vertex AI and Cloud Storage have in common. Does not belong here: endpoints (`endpoints`), models and
archives (`model_registry`), and the meaning of errors (`errors`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from bridge_assets.deployment.vertexai.errors import SIGN_IN_HINT, is_transient, retry_after_seconds
from bridge_assets.errors import DeploymentError, NotConfiguredError, error_summary

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.aiplatform_v1 import EndpointServiceClient, ModelServiceClient, PredictionServiceClient
    from google.cloud.storage import Client

T = TypeVar("T")

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True)
class WaitPolicy:
    """How long to wait, in seconds.

    Attributes
    ----------
    operation_seconds : float
        For one operation, such as deploying a model; then it is cancelled.
    request_seconds : float
        For the response to one call.
    retry_seconds : float
        How long a throttled or unanswered call is retried.
    backoff_seconds : tuple of float
        The first and the longest pause between two tries; the service may demand a longer one.
    poll_seconds : float
        Between two polls of an operation.
    cancel_seconds : float
        For a cancelled operation to end.
    traffic_seconds : float
        For a change of traffic to reach the endpoint.
    """

    operation_seconds: float
    request_seconds: float = 60.0
    retry_seconds: float = 120.0
    backoff_seconds: tuple[float, float] = (1.0, 30.0)
    poll_seconds: float = 5.0
    cancel_seconds: float = 300.0
    traffic_seconds: float = 60.0


@dataclass(frozen=True)
class GoogleCloud:
    """A project in a location, and how to connect to it.

    Attributes
    ----------
    project, location : str
    wait_policy : WaitPolicy
    api_endpoint, storage_endpoint : str
        Addresses of Vertex AI (`host` or `host:port`, TLS) and Cloud Storage (URL). Empty = Google's public ones.
    credentials : Credentials, optional
        Default: application default credentials.
    root_certificates : bytes, optional
        PEM of the certificate authorities trusted for Vertex AI. Default: gRPC's own.
    """

    project: str
    location: str
    wait_policy: WaitPolicy
    api_endpoint: str = ""
    storage_endpoint: str = ""
    credentials: Credentials | None = None
    root_certificates: bytes | None = None

    @property
    def host(self) -> str:
        return self.api_endpoint or f"{self.location}-aiplatform.googleapis.com"

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    # The gapic clients instead of `aiplatform.Model` and `Endpoint`, because they accept ids, time-outs and retries.

    @cached_property
    def endpoints(self) -> EndpointServiceClient:
        from google.cloud.aiplatform_v1 import EndpointServiceClient

        return self._client(EndpointServiceClient)

    @cached_property
    def models(self) -> ModelServiceClient:
        from google.cloud.aiplatform_v1 import ModelServiceClient

        return self._client(ModelServiceClient)

    @cached_property
    def predictions(self) -> PredictionServiceClient:
        from google.cloud.aiplatform_v1 import PredictionServiceClient

        return self._client(PredictionServiceClient)

    @cached_property
    def storage(self) -> Client:
        from google.cloud.storage import Client

        options = {"api_endpoint": self.storage_endpoint} if self.storage_endpoint else None
        return Client(project=self.project, credentials=self._resolved_credentials, client_options=options)

    def _client(self, kind: Any) -> Any:
        import grpc

        transport: Any = "grpc"
        if self.root_certificates is not None:
            trusted = grpc.ssl_channel_credentials(root_certificates=self.root_certificates)
            transport = partial(kind.get_transport_class("grpc"), ssl_channel_credentials=trusted)
        options = {"api_endpoint": self.host}
        return kind(credentials=self._resolved_credentials, client_options=options, transport=transport)

    @cached_property
    def _resolved_credentials(self) -> Credentials:
        if self.credentials is not None:
            return self.credentials
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            return google.auth.default(scopes=SCOPES)[0]
        except DefaultCredentialsError as error:
            raise NotConfiguredError(
                "no Google credentials were found", where=self.host, why=error_summary(error), do=SIGN_IN_HINT
            ) from error

    def call(self, method: Callable[..., T], request: Any) -> T:
        """Call an idempotent method, with retries."""
        return self.with_retries(lambda: self.call_once(method, request))

    def call_once(self, method: Callable[..., T], request: Any) -> T:
        """Call a method without retries; the caller retries with `with_retries`."""
        return method(request=request, retry=None, timeout=self.wait_policy.request_seconds)

    def get_or_none(self, method: Callable[..., T], request: Any) -> T | None:
        """The result of a reading method; None if the resource does not exist."""
        from google.api_core.exceptions import NotFound

        try:
            return self.call(method, request)
        except NotFound:
            return None

    def list_all(self, method: Callable[..., Iterable[T]], request: Any) -> list[T]:
        """All pages of a list; empty if the parent does not exist."""
        return self.get_or_none(lambda **how: list(method(**how)), request) or []

    def with_retries(self, steps: Callable[[], T]) -> T:
        """Run steps, and retry them after a transient error: throttled, unavailable, response lost.

        Steps that create something must check first whether it exists, because a lost response may have been a success.
        """
        from google.api_core import retry

        failures: list[Exception] = []

        def pauses() -> Iterator[float]:
            for pause in retry.exponential_sleep_generator(*self.wait_policy.backoff_seconds):
                yield max(pause, retry_after_seconds(failures[-1]))

        answer: Any = retry.retry_target(
            steps, is_transient, pauses(), timeout=self.wait_policy.retry_seconds, on_error=failures.append
        )
        return answer

    def pending_operations(self, resource: str) -> list[str]:
        """Operations in progress on a resource."""
        from google.api_core.exceptions import NotFound

        names, page = [], ""
        while True:
            request = {"name": resource, "page_token": page}
            try:
                response = self.call(self.endpoints.list_operations, request)
            except NotFound:
                return names
            names += [operation.name for operation in response.operations if not operation.done]
            if not (page := response.next_page_token):
                return names

    def wait_for(self, operations: Iterable[str], action: str) -> None:
        """Wait for operations, together at most `wait_policy.operation_seconds`.

        Raises
        ------
        DeploymentError
            If one does not end. It continues until it is cancelled (`cancel`).
        google.api_core.exceptions.GoogleAPICallError
            If one failed.
        """
        from google.api_core.exceptions import from_grpc_status

        deadline = time.monotonic() + self.wait_policy.operation_seconds
        for name in operations:
            while not (operation := self.call(self.endpoints.get_operation, {"name": name})).done:
                if time.monotonic() >= deadline:
                    raise DeploymentError(
                        f"{action} did not end in {self.wait_policy.operation_seconds / 60:g} minutes",
                        where=self.host,
                        why=f"Operation {name.rpartition('/')[2]} is still in progress",
                        do="read the logs of the container in the console or increase wait_minutes, then run again",
                    )
                time.sleep(self.wait_policy.poll_seconds)
            if operation.error.code:
                raise from_grpc_status(operation.error.code, operation.error.message)

    def cancel(self, operations: Iterable[str]) -> None:
        """Cancel operations and wait until they have ended, cancelled or not.

        Raises
        ------
        DeploymentError
            If one does not end.
        """
        from google.api_core.exceptions import ClientError, MethodNotImplemented

        for name in operations:
            with suppress(ClientError, MethodNotImplemented):  # it has ended already, or cannot be cancelled
                self.call(self.endpoints.cancel_operation, {"name": name})
            deadline = time.monotonic() + self.wait_policy.cancel_seconds
            while not self.call(self.endpoints.get_operation, {"name": name}).done:
                if time.monotonic() >= deadline:
                    raise DeploymentError(
                        "an operation cannot be cancelled",
                        where=self.host,
                        why=f"{name} is still in progress {self.wait_policy.cancel_seconds:g} s later",
                        do="wait until it has ended, then deploy again, which removes leftovers",
                    )
                time.sleep(self.wait_policy.poll_seconds)
