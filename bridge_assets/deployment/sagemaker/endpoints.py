"""SageMaker endpoints: their slow operations, and predictions.

Belongs here: waiting for, updating, removing and invoking an endpoint. Does not belong here: the steps of a deployment
(`target`).
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from bridge_assets.deployment.sagemaker.client import ConflictError, S3Objects
from bridge_assets.deployment.sagemaker.resources import ENDPOINT, Resource, ResourceClient
from bridge_assets.errors import DeploymentError

_JSON = {"ContentType": "application/json", "Accept": "application/json"}


@dataclass(frozen=True)
class WaitPolicy:
    """How long an operation may take, and how often its status is polled; both in seconds."""

    timeout_seconds: float
    poll_seconds: float

    def polls(self) -> Iterator[None]:
        """Wait for a poll interval and yield, until the time is up."""
        for _ in range(math.ceil(self.timeout_seconds / self.poll_seconds)):
            time.sleep(self.poll_seconds)
            yield


@dataclass(frozen=True)
class Endpoints:
    """Endpoints of one owner."""

    resources: ResourceClient
    wait_policy: WaitPolicy

    @property
    def objects(self) -> S3Objects:
        return S3Objects(self.resources.aws, self.resources.owner)

    def wait_in_service(self, name: str, config: str) -> Resource:
        """Wait until an endpoint serves a configuration."""
        found = self.find_idle(name)
        status = found.status if found else "gone"
        do = f"look at the log /aws/sagemaker/Endpoints/{name} in CloudWatch, then deploy again"
        if found is None or status != "InService":
            why = found.failure_reason if found else "It was removed in the meantime"
            raise DeploymentError(f"the endpoint {name} is {status}", where=self.resources.aws.where, why=why, do=do)
        if found.current_config != config:
            why = f"It serves {found.current_config} again: {found.failure_reason}"
            raise DeploymentError(
                f"SageMaker rolled back the update of the endpoint {name}",
                where=self.resources.aws.where,
                why=why,
                do=do,
            )
        return found

    def find_idle(self, name: str) -> Resource | None:
        """An endpoint, once no operation on it is in progress."""
        return self.wait_until_idle(self.resources.find(ENDPOINT, name))

    def wait_until_idle(self, found: Resource | None) -> Resource | None:
        """Wait until no operation on an endpoint is in progress, and return its new state."""
        return self._poll_until(found, lambda found: not found.is_busy)

    def remove(self, found: Resource | None) -> list[str]:
        """Remove an endpoint and return its name. Raises at once while another operation on it is in progress."""
        if found is None:
            return []
        if found.status != "Deleting":
            if found.is_busy:
                raise self._busy_error(found, "It is being created or changed")
            self.resources.remove(found)
        self._poll_until(self.resources.describe_again(found), lambda found: False)
        return [f"endpoint {found.name}"]

    def _poll_until(self, found: Resource | None, done: Callable[[Resource], bool]) -> Resource | None:
        """Poll an endpoint until a condition holds, or it no longer exists (None)."""
        if found is None or done(found):
            return found
        for _ in self.wait_policy.polls():
            latest = self.resources.describe_again(found)
            if latest is None or done(latest):
                return latest
            found = latest
        raise self._busy_error(found, f"{self.wait_policy.timeout_seconds / 60:g} minutes have passed")

    def _busy_error(self, found: Resource, why: str) -> DeploymentError:
        return DeploymentError(
            f"the endpoint {found.name} is still {found.status}",
            where=self.resources.aws.where,
            why=f"{why}, and SageMaker does not allow changing or removing an endpoint during an operation",
            do="wait until the operation has ended or failed, then deploy again, which also removes leftovers",
        )

    def update(self, endpoint: str, config: str, **deployment_config: Any) -> None:
        """Point an endpoint at another configuration."""
        try:
            self.resources.aws.call(
                "sagemaker", "update_endpoint", EndpointName=endpoint, EndpointConfigName=config, **deployment_config
            )
        except ConflictError:  # an earlier try, whose response was lost, may have succeeded
            found = self.resources.find(ENDPOINT, endpoint)
            if found is None or config not in found.configs_in_use:
                raise

    def invoke(self, endpoint: str, body: bytes) -> bytes:
        """Send a JSON body to an endpoint and return its response."""
        return self.resources.aws.read_stream(
            "sagemaker-runtime", "invoke_endpoint", EndpointName=endpoint, Body=body, **_JSON
        )

    def invoke_async(self, endpoint: str, body: bytes, folder: str) -> bytes:
        """Send a JSON body to an asynchronous endpoint. Request and response are objects in S3, which are removed."""
        input_url = f"{folder}/{secrets.token_hex(8)}.json"
        urls = [input_url]
        self.objects.put(input_url, body)
        try:
            response = self.resources.aws.call(
                "sagemaker-runtime", "invoke_endpoint_async", EndpointName=endpoint, InputLocation=input_url, **_JSON
            )
            urls += [response["OutputLocation"], response["FailureLocation"]]
            for _ in replace(self.wait_policy, poll_seconds=min(self.wait_policy.poll_seconds, 1.0)).polls():
                answer, failure = map(self.objects.get, urls[1:])
                if answer is not None:
                    return answer
                if failure is not None:
                    raise self._invocation_error(endpoint, " ".join(failure.decode(errors="replace").split())[:500])
            raise self._invocation_error(
                endpoint,
                f"After {self.wait_policy.timeout_seconds:g} s there is no response at {response['OutputLocation']}",
            )
        finally:
            for url in urls:
                self.objects.delete(url)

    def _invocation_error(self, endpoint: str, why: str) -> DeploymentError:
        do = f"look at the log /aws/sagemaker/Endpoints/{endpoint} in CloudWatch"
        return DeploymentError(
            f"the endpoint {endpoint} did not respond", where=self.resources.aws.where, why=why, do=do
        )
