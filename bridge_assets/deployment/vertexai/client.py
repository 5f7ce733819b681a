"""Calls to Google Cloud: as whom, how often a call is tried, and waiting for long-running operations.

Belongs here: what Vertex AI and Cloud Storage have in common. Does not belong here: what is asked of them
(`vertex_endpoints`, `vertex_records`), and what an error means (`google_errors`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from bridge_assets.deployment.vertexai.errors import SIGN_IN, asked_for, may_pass
from bridge_assets.errors import DeploymentError, NotConfigured, in_one_line

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.aiplatform_v1 import EndpointServiceClient, ModelServiceClient, PredictionServiceClient
    from google.cloud.storage import Client

T = TypeVar("T")

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True)
class Patience:
    """How long is waited, in seconds.

    Attributes
    ----------
    operation : float
        For one step, such as deploying a model: it is given up and cancelled then.
    request : float
        For the answer to one call.
    retries : float
        A call that was throttled or not answered is tried again for so long.
    backoff : tuple of float
        The first and the longest pause between two tries; the service may ask for a longer one.
    poll : float
        Between two looks at an operation.
    cancel : float
        For an operation to end that was cancelled.
    settle : float
        For a change of traffic to reach the front door.
    """

    operation: float
    request: float = 60.0
    retries: float = 120.0
    backoff: tuple[float, float] = (1.0, 30.0)
    poll: float = 5.0
    cancel: float = 300.0
    settle: float = 60.0


@dataclass(frozen=True)
class GoogleCloud:
    """A project in a location, and how it is reached.

    Attributes
    ----------
    project, location : str
    patience : Patience
    api_endpoint, storage_endpoint : str
        Addresses of Vertex AI (`host` or `host:port`, TLS) and Cloud Storage (URL). Empty = Google's public ones.
    credentials : Credentials, optional
        Default: application default credentials.
    roots : bytes, optional
        PEM of the authorities that Vertex AI's certificate may be signed by. Default: gRPC's own.
    """

    project: str
    location: str
    patience: Patience
    api_endpoint: str = ""
    storage_endpoint: str = ""
    credentials: Credentials | None = None
    roots: bytes | None = None

    @property
    def host(self) -> str:
        return self.api_endpoint or f"{self.location}-aiplatform.googleapis.com"

    @property
    def parent(self) -> str:
        return f"projects/{self.project}/locations/{self.location}"

    # The gapic clients, not `aiplatform.Model` and `Endpoint`: there ids, time-outs and retries can be said.

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
        return Client(project=self.project, credentials=self._identity, client_options=options)

    def _client(self, kind: Any) -> Any:
        import grpc

        transport: Any = "grpc"
        if self.roots is not None:
            trusted = grpc.ssl_channel_credentials(root_certificates=self.roots)
            transport = partial(kind.get_transport_class("grpc"), ssl_channel_credentials=trusted)
        options = {"api_endpoint": self.host}
        return kind(credentials=self._identity, client_options=options, transport=transport)

    @cached_property
    def _identity(self) -> Credentials:
        if self.credentials is not None:
            return self.credentials
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            return google.auth.default(scopes=SCOPES)[0]
        except DefaultCredentialsError as error:
            raise NotConfigured(
                "there are no Google credentials", where=self.host, why=in_one_line(error), do=SIGN_IN
            ) from error

    def ask(self, method: Callable[..., T], request: Any) -> T:
        """Call a method that may be called twice: one that reads, or sets what it is told."""
        return self.tried(lambda: self.once(method, request))

    def once(self, method: Callable[..., T], request: Any) -> T:
        """Call a method a single time; what surrounds it is tried again (`tried`)."""
        return method(request=request, retry=None, timeout=self.patience.request)

    def found(self, method: Callable[..., T], request: Any) -> T | None:
        """What a method that reads finds; None where there is nothing by that name."""
        from google.api_core.exceptions import NotFound

        try:
            return self.ask(method, request)
        except NotFound:
            return None

    def listed(self, method: Callable[..., Iterable[T]], request: Any) -> list[T]:
        """All pages of a list; nothing where what it would be a list of is not there."""
        return self.found(lambda **how: list(method(**how)), request) or []

    def tried(self, steps: Callable[[], T]) -> T:
        """Do something, and do it again after an answer that may pass: throttled, unavailable, lost.

        Steps that make something must look whether it is there first: a lost answer may have been a yes.
        """
        from google.api_core import retry

        failures: list[Exception] = []

        def pauses() -> Iterator[float]:
            for pause in retry.exponential_sleep_generator(*self.patience.backoff):
                yield max(pause, asked_for(failures[-1]))

        answer: Any = retry.retry_target(
            steps, may_pass, pauses(), timeout=self.patience.retries, on_error=failures.append
        )
        return answer

    def pending(self, resource: str) -> list[str]:
        """Operations on a resource that have not ended."""
        from google.api_core.exceptions import NotFound

        names, page = [], ""
        while True:
            request = {"name": resource, "page_token": page}
            try:
                listed = self.ask(self.endpoints.list_operations, request)
            except NotFound:
                return names
            names += [operation.name for operation in listed.operations if not operation.done]
            if not (page := listed.next_page_token):
                return names

    def wait(self, operations: Iterable[str], doing: str) -> None:
        """Wait for operations, together at most `patience.operation`.

        Raises
        ------
        DeploymentError
            If one does not end. It goes on: `cancel` it.
        google.api_core.exceptions.GoogleAPICallError
            If one failed.
        """
        from google.api_core.exceptions import from_grpc_status

        until = time.monotonic() + self.patience.operation
        for name in operations:
            while not (operation := self.ask(self.endpoints.get_operation, {"name": name})).done:
                if time.monotonic() >= until:
                    raise DeploymentError(
                        f"{doing} did not end in {self.patience.operation / 60:g} minutes",
                        where=self.host,
                        why=f"Operation {name.rpartition('/')[2]} is still in progress",
                        do="read the logs of the container in the console, or set wait_minutes higher; run again",
                    )
                time.sleep(self.patience.poll)
            if operation.error.code:
                raise from_grpc_status(operation.error.code, operation.error.message)

    def cancel(self, operations: Iterable[str]) -> None:
        """Cancel operations and wait until they have ended, one way or the other.

        Raises
        ------
        DeploymentError
            If one does not end.
        """
        from google.api_core.exceptions import ClientError, MethodNotImplemented

        for name in operations:
            with suppress(ClientError, MethodNotImplemented):  # it has ended meanwhile, or will have to end by itself
                self.ask(self.endpoints.cancel_operation, {"name": name})
            until = time.monotonic() + self.patience.cancel
            while not self.ask(self.endpoints.get_operation, {"name": name}).done:
                if time.monotonic() >= until:
                    raise DeploymentError(
                        "an operation cannot be cancelled",
                        where=self.host,
                        why=f"{name} is still in progress {self.patience.cancel:g} s after that",
                        do="wait for it to end, then deploy again, which removes what it made",
                    )
                time.sleep(self.patience.poll)
