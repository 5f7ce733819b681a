"""Calls to a workspace of Azure Machine Learning: credentials, retries, waiting, and the meaning of errors.

Does not belong here: endpoints (`endpoint`) and models (`models`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from bridge_assets.errors import DeploymentError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential
    from azure.core.polling import LROPoller

T = TypeVar("T")

_SIGN_IN_HINT = (
    "set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET to credentials that are valid, or run az login"
)


@dataclass(frozen=True)
class WaitPolicy:
    """How long to wait, in seconds.

    Attributes
    ----------
    operation_seconds : float
        For one operation, such as creating a deployment.
    poll_seconds : float
        Between two polls of an operation; Azure may demand a longer pause.
    backoff_factor : float
        Factor of azure-core's RetryPolicy: the second try follows after twice that, the third after four times.
        Throttled requests wait as long as Azure demands.
    traffic_seconds : float
        For a change of traffic to reach the endpoint.
    """

    operation_seconds: float
    poll_seconds: float = 5.0
    backoff_factor: float = 0.8
    traffic_seconds: float = 60.0


@dataclass(frozen=True)
class Workspace:
    """A workspace in the cloud that AZUREML_CURRENT_CLOUD names, with the credentials of DefaultAzureCredential."""

    subscription: str
    resource_group: str
    name: str
    wait_policy: WaitPolicy

    @property
    def id(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )

    @cached_property
    def credential(self) -> TokenCredential:
        from azure.identity import DefaultAzureCredential

        return DefaultAzureCredential()

    @cached_property
    def client(self) -> MLClient:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the SDK warns about its own schemas at import
            from azure.ai.ml import MLClient

        return MLClient(
            self.credential,
            self.subscription,
            self.resource_group,
            self.name,
            enable_telemetry=False,
            show_progress=False,
            polling_interval=self.wait_policy.poll_seconds,
            retry_backoff_factor=self.wait_policy.backoff_factor,
        )

    def get_or_none(self, call: Callable[[], T]) -> T | None:
        """The result of a call; None if the resource does not exist."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return call()
        except ResourceNotFoundError:
            return None

    def wait(self, poller: LROPoller[T], action: str) -> T:
        """Wait for an operation.

        Raises
        ------
        DeploymentError
            If it does not end within `wait_policy.operation_seconds`.
        azure.core.exceptions.HttpResponseError
            If it failed.
        """
        poller.wait(self.wait_policy.operation_seconds)
        if not poller.done():
            raise DeploymentError(
                f"{action} did not end in {self.wait_policy.operation_seconds / 60:g} minutes",
                where=self.id,
                why="Azure reports that it is still in progress",
                do="look at the endpoint's page in Azure ML studio or increase wait_minutes, then run again",
            )
        return poller.result()

    def poll_until(self, fetch: Callable[[], T], done: Callable[[T], bool], seconds: float) -> T:
        """Fetch until a condition holds or the time is up; returns the last result."""
        deadline = time.monotonic() + seconds
        while not done(latest := fetch()) and time.monotonic() < deadline:
            time.sleep(self.wait_policy.poll_seconds)
        return latest

    def post(self, url: str, body: Any, headers: Mapping[str, str]) -> str:
        """Send a request to an endpoint. Does not use `online_endpoints.invoke`, which sends a deployment named in one
        request with every later request of the process (azure-ai-ml 1.35 keeps it in a constant).
        """
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import RetryPolicy
        from azure.core.rest import HttpRequest

        retrying = RetryPolicy(retry_backoff_factor=self.wait_policy.backoff_factor)
        with PipelineClient(url, policies=[retrying]) as client:
            request = HttpRequest("POST", url, json=body, headers=dict(headers))
            response = client.send_request(request, retry_on_methods=["POST"])  # predicting twice is harmless
            response.raise_for_status()
            return response.text()


def error_reason(error: BaseException) -> str:
    """An error in one line, without a full stop, and without the SDK's repetition of Azure's message."""
    message = str(error).partition("\nCode: ")[0]
    return f"{type(error).__name__}: {' '.join(message.split())}".rstrip(".")


@contextmanager
def translate_errors(action: str, where: str) -> Iterator[None]:
    """Raise errors of Azure's libraries as DeploymentError with a remedy."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError

    try:
        yield
    except AzureError as error:
        status = getattr(error, "status_code", None)
        if isinstance(error, ClientAuthenticationError):
            do = _SIGN_IN_HINT
        elif status == 403:
            do = (
                "give the application that AZURE_CLIENT_ID names, or the account of az login, the role AzureML Data "
                "Scientist on the workspace and Storage Blob Data Contributor on its storage account"
            )
        elif status == 429:
            do = "run again later, or request a higher quota for the subscription in this region"
        else:
            do = "fix the cause, then deploy again, which resumes from the current state"
        raise DeploymentError(f"{action} failed", where=where, why=error_reason(error), do=do) from error
