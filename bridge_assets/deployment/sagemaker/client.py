"""Requests to AWS on boto3: sent again where that helps, every refusal explained; and objects in S3 that are ours.

Belongs here: what is the same for every service. Does not belong here: SageMaker's resources (`sagemaker_requests`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from bridge_assets.deployment.core.tags import OWNER, check_owner
from bridge_assets.errors import DeploymentError, in_one_line

#: Longest that a Retry-After is heeded, in seconds: a choice, far below the time-out of a deployment's step.
MOST_SECONDS_TOLD = 60.0

_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, where they are temporary), "
    "or AWS_PROFILE; renew what has expired"
)

#: Code of an error -> what to do about it. Codes: AWS's common errors, and those of S3 and SageMaker.
_DO = {
    **dict.fromkeys(
        (
            *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "InvalidAccessKeyId"),
            *("UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidToken"),
        ),
        _CREDENTIALS,
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "403"),
        "allow it to the identity behind AWS_ACCESS_KEY_ID or AWS_PROFILE, or use another one",
    ),
    **dict.fromkeys(
        ("ThrottlingException", "Throttling", "SlowDown", "429", "500", "503", "InternalFailure", "ServiceUnavailable"),
        "run again in some minutes",
    ),
    "ResourceLimitExceeded": "ask AWS for a higher quota, or choose another instance type or fewer instances",
    "NoSuchBucket": "create the bucket, or correct its name in configs/environment.yaml",
}

_NOT_THERE = ("404", "NoSuchKey", "ResourceNotFound")


class Missing(DeploymentError):
    """There is no such thing."""


class Conflicting(DeploymentError):
    """The name is taken, or the thing is in the middle of a change: only another look tells what stands."""


@dataclass(frozen=True)
class Aws:
    """One region, with the credentials that boto3 finds.

    Attributes
    ----------
    region : str
    attempts : int
        Most times that one request is sent: 5xx, throttling and cut connections are worth another try.
    """

    region: str
    attempts: int = 6
    _clients: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def where(self) -> str:
        return f"AWS, {self.region}"

    def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request.

        Raises
        ------
        Missing, Conflicting
        DeploymentError
            In every other case in which it is not answered; says what to do.
        """
        return self._explained(operation, lambda: getattr(self.client(service), operation)(**parameters))

    def read(self, service: str, operation: str, **parameters: Any) -> bytes:
        """The body of an answer that is a stream. Raises as `ask`."""
        return self._explained(operation, lambda: getattr(self.client(service), operation)(**parameters)["Body"].read())

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The answers to a request that lists something. Raises as `ask`."""
        pages = iter(self.client(service).get_paginator(operation).paginate(**parameters))
        while (page := self._explained(operation, lambda: next(pages, None))) is not None:
            yield page

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._explained("signing in", lambda: self._new_client(service))
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        from botocore.config import Config

        # SageMaker waits 60 seconds for a container's answer; giving up before it would ask the question twice.
        retries = {"mode": "standard", "total_max_attempts": self.attempts}
        client = self._session.client(service, config=Config(retries=retries, connect_timeout=10, read_timeout=70))
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"needs-retry.{name}", self._told_to_wait)
        return client

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.Session(region_name=self.region)

    def _told_to_wait(self, response: Any, attempts: int, **_: Any) -> float | None:
        """Seconds until the next try; None leaves it to botocore."""
        # botocore's standard mode knows throttling by its error codes alone: it neither tries a bare 429 again (a
        # proxy's, or a serverless endpoint's that is still starting), nor reads Retry-After.
        if response is None or attempts >= self.attempts or response[0].status_code not in (429, 503):
            return None
        told = response[0].headers.get("Retry-After", "")
        if told.isascii() and told.isdigit():
            return min(float(told), MOST_SECONDS_TOLD)
        return 2.0 ** (attempts - 1) if response[0].status_code == 429 else None

    def _explained(self, operation: str, send: Callable[[], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return send()
        except ClientError as error:
            raise self._refusal(operation, error.response.get("Error", {})) from error
        except BotoCoreError as error:
            lacking = any(word in type(error).__name__ for word in ("Credential", "Token", "Profile"))
            raise DeploymentError(
                f"{operation} did not get through",
                where=self.where,
                why=in_one_line(error),
                do=_CREDENTIALS if lacking else "look at the network and the region, then run again",
            ) from error

    def _refusal(self, operation: str, error: Mapping[str, str]) -> DeploymentError:
        code, message = error.get("Code", ""), " ".join(error.get("Message", "").split())
        # SageMaker tells by its words alone that something is not there, taken, or in the middle of a change.
        if code in _NOT_THERE or message.startswith("Could not find"):
            refusal = Missing
        elif message.startswith(("Cannot create already existing", "Cannot update in-progress")):
            refusal = Conflicting
        else:
            refusal = DeploymentError
        do = _DO.get(code, "correct what the message says, then run again")
        return refusal(f"{operation} was refused", where=self.where, why=f"{code}: {message}".rstrip("."), do=do)


@dataclass(frozen=True)
class Objects:
    """Objects in S3 by their URL (s3://bucket/key), with our owner tag in their metadata."""

    aws: Aws
    owner: str

    def put(self, url: str, content: bytes) -> None:
        """Upload an object, unless it is there with the same checksum.

        Raises
        ------
        NotOurs
            If somebody else's is there.
        """
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        found = self._head(url)
        if found is not None:
            check_owner(found["Metadata"], self.owner, "the object", url)
            if found.get("ChecksumSHA256") == checksum:
                return
        # S3 compares the checksum with what arrived before it keeps anything.
        sums = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
        self.aws.ask("s3", "put_object", **_place(url), Body=content, **sums, Metadata={OWNER: self.owner})

    def get(self, url: str) -> bytes | None:
        try:
            return self.aws.read("s3", "get_object", **_place(url))
        except Missing:
            return None

    def remove(self, url: str) -> bool:
        """Remove an object of ours; whether there was one."""
        found = self._head(url)
        if found is None or found["Metadata"].get(OWNER) != self.owner:
            return False
        self.drop(url)
        return True

    def drop(self, url: str) -> None:
        """Remove an object, or nothing: one that carries no tag, since SageMaker wrote it for us."""
        self.aws.ask("s3", "delete_object", **_place(url))

    def below(self, folder: str) -> Iterator[str]:
        """URLs of the objects right below a folder."""
        place = _place(f"{folder}/")
        for page in self.aws.pages("s3", "list_objects_v2", Bucket=place["Bucket"], Prefix=place["Key"], Delimiter="/"):
            for each in page.get("Contents", ()):
                yield f"s3://{place['Bucket']}/{each['Key']}"

    def _head(self, url: str) -> dict[str, Any] | None:
        try:
            return self.aws.ask("s3", "head_object", **_place(url), ChecksumMode="ENABLED")
        except Missing:
            return None


def _place(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {"Bucket": parts.netloc, "Key": parts.path.removeprefix("/")}
