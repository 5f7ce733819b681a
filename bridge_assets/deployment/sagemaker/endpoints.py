"""Endpoints of SageMaker: what they do in their own time, and what they answer.

Belongs here: waiting for an endpoint, moving it, removing it, asking it. Does not belong here: which of that makes a
deployment (`sagemaker`).
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from bridge_assets.deployment.sagemaker.client import Conflicting, Objects
from bridge_assets.deployment.sagemaker.resources import ENDPOINT, Found, Records
from bridge_assets.errors import DeploymentError

_JSON = {"ContentType": "application/json", "Accept": "application/json"}


@dataclass(frozen=True)
class Patience:
    """How long something may take, and how often it is looked at; both in seconds."""

    seconds: float
    poll_seconds: float

    def looks(self) -> Iterator[None]:
        """A wait, then a look, and so on until the time is over."""
        for _ in range(math.ceil(self.seconds / self.poll_seconds)):
            time.sleep(self.poll_seconds)
            yield


@dataclass(frozen=True)
class Endpoints:
    """Endpoints of one owner."""

    records: Records
    patience: Patience

    @property
    def objects(self) -> Objects:
        return Objects(self.records.aws, self.records.owner)

    def in_service(self, name: str, config: str) -> Found:
        """Wait until an endpoint answers with a configuration."""
        found = self.settled(name)
        status = found.status if found else "gone"
        do = f"look at the log /aws/sagemaker/Endpoints/{name} in CloudWatch, then deploy again"
        if found is None or status != "InService":
            why = found.reason if found else "Somebody removed it meanwhile"
            raise DeploymentError(f"the endpoint {name} is {status}", where=self.records.aws.where, why=why, do=do)
        if found.config != config:
            why = f"It answers with {found.config} again: {found.reason}"
            raise DeploymentError(
                f"SageMaker took the update of the endpoint {name} back", where=self.records.aws.where, why=why, do=do
            )
        return found

    def settled(self, name: str) -> Found | None:
        """An endpoint once SageMaker is not busy with it."""
        return self.idle(self.records.find(ENDPOINT, name))

    def idle(self, found: Found | None) -> Found | None:
        """What was found, once SageMaker is not busy with it."""
        return self._awaited(found, lambda found: not found.busy)

    def remove(self, found: Found | None) -> list[str]:
        """Remove an endpoint; name it. One that SageMaker is busy with cannot be removed, and is not waited for."""
        if found is None:
            return []
        if found.status != "Deleting":
            if found.busy:
                raise self._kept_busy(found, "It is just being made, or changed")
            self.records.remove(found)
        self._awaited(self.records.again(found), lambda found: False)
        return [f"endpoint {found.name}"]

    def _awaited(self, found: Found | None, enough: Callable[[Found], bool]) -> Found | None:
        """An endpoint, looked at until that is enough, or it is gone."""
        if found is None or enough(found):
            return found
        for _ in self.patience.looks():
            now = self.records.again(found)
            if now is None or enough(now):
                return now
            found = now
        raise self._kept_busy(found, f"{self.patience.seconds / 60:g} minutes have passed")

    def _kept_busy(self, found: Found, why: str) -> DeploymentError:
        return DeploymentError(
            f"the endpoint {found.name} is still {found.status}",
            where=self.records.aws.where,
            why=f"{why}, and SageMaker lets nobody change or remove an endpoint that it is busy with",
            do="wait until SageMaker has ended or failed it, then deploy again: that removes what is left",
        )

    def update(self, endpoint: str, config: str, **how: Any) -> None:
        """Point an endpoint at another configuration."""
        try:
            self.records.aws.ask(
                "sagemaker", "update_endpoint", EndpointName=endpoint, EndpointConfigName=config, **how
            )
        except Conflicting:  # an earlier try of the request, before its line was cut, may have been heard
            found = self.records.find(ENDPOINT, endpoint)
            if found is None or config not in found.configs:
                raise

    def invoke(self, endpoint: str, body: bytes) -> bytes:
        """The answer of an endpoint to a body of JSON."""
        return self.records.aws.read("sagemaker-runtime", "invoke_endpoint", EndpointName=endpoint, Body=body, **_JSON)

    def invoke_later(self, endpoint: str, body: bytes, folder: str) -> bytes:
        """The answer of an asynchronous endpoint. It takes its question from S3 and leaves the answer there; both are
        removed.
        """
        asked = f"{folder}/{secrets.token_hex(8)}.json"
        written = [asked]
        self.objects.put(asked, body)
        try:
            told = self.records.aws.ask(
                "sagemaker-runtime", "invoke_endpoint_async", EndpointName=endpoint, InputLocation=asked, **_JSON
            )
            written += [told["OutputLocation"], told["FailureLocation"]]
            for _ in replace(self.patience, poll_seconds=min(self.patience.poll_seconds, 1.0)).looks():
                answer, failure = map(self.objects.get, written[1:])
                if answer is not None:
                    return answer
                if failure is not None:
                    raise self._no_answer(endpoint, " ".join(failure.decode(errors="replace").split())[:500])
            raise self._no_answer(endpoint, f"After {self.patience.seconds:g} s nothing is at {told['OutputLocation']}")
        finally:
            for url in written:
                self.objects.drop(url)

    def _no_answer(self, endpoint: str, why: str) -> DeploymentError:
        do = f"look at the log /aws/sagemaker/Endpoints/{endpoint} in CloudWatch"
        return DeploymentError(f"the endpoint {endpoint} did not answer", where=self.records.aws.where, why=why, do=do)
