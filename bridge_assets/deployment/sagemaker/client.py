"""Requests to AWS with boto3, with retries and explained errors; and objects of ours in S3.

Belongs here: what is the same for every AWS service. Does not belong here: SageMaker's resources (`resources`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from bridge_assets.deployment.core.tags import OWNER_TAG, check_owner
from bridge_assets.errors import DeploymentError, error_summary

#: Longest Retry-After that is obeyed, in seconds. A choice, far below the time-out of one step of a deployment.
MAX_RETRY_AFTER_SECONDS = 60.0

_CREDENTIALS_HINT = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary credentials), "
    "or AWS_PROFILE; renew expired credentials"
)

#: Error code -> remedy. AWS's common errors, and those of S3 and SageMaker.
_REMEDIES = {
    **dict.fromkeys(
        (
            *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "InvalidAccessKeyId"),
            *("UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "InvalidToken"),
        ),
        _CREDENTIALS_HINT,
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "403"),
        "grant this permission to the identity behind AWS_ACCESS_KEY_ID or AWS_PROFILE, or use another identity",
    ),
    **dict.fromkeys(
        ("ThrottlingException", "Throttling", "SlowDown", "429", "500", "503", "InternalFailure", "ServiceUnavailable"),
        "run again in a few minutes",
    ),
    "ResourceLimitExceeded": "ask AWS for a higher quota, or choose another instance type or fewer instances",
    "NoSuchBucket": "create the bucket, or correct its name in configs/environment.yaml",
}

_NOT_FOUND_CODES = ("404", "NoSuchKey", "ResourceNotFound")


class NotFoundError(DeploymentError):
    """The resource does not exist."""


class ConflictError(DeploymentError):
    """The name exists, or the resource is being changed; its state must be read again."""


@dataclass(frozen=True)
class AwsClient:
    """One region, with the credentials that boto3 finds.

    Attributes
    ----------
    region : str
    max_attempts : int
        How often one request is sent at most: 5xx, throttling and broken connections are retried.
    """

    region: str
    max_attempts: int = 6
    _clients: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def where(self) -> str:
        return f"AWS, {self.region}"

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request.

        Raises
        ------
        NotFoundError, ConflictError
        DeploymentError
            For every other error; with a remedy.
        """
        return self._translate_errors(operation, lambda: getattr(self.client(service), operation)(**parameters))

    def read_stream(self, service: str, operation: str, **parameters: Any) -> bytes:
        """The body of a streamed response. Raises as `call`."""
        return self._translate_errors(
            operation, lambda: getattr(self.client(service), operation)(**parameters)["Body"].read()
        )

    def paginate(self, service: str, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The pages of a list operation. Raises as `call`."""
        pages = iter(self.client(service).get_paginator(operation).paginate(**parameters))
        while (page := self._translate_errors(operation, lambda: next(pages, None))) is not None:
            yield page

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._translate_errors("signing in", lambda: self._new_client(service))
        return self._clients[service]

    def _new_client(self, service: str) -> Any:
        from botocore.config import Config

        # SageMaker waits 60 seconds for a container's response; a shorter time-out would send the request twice.
        retries = {"mode": "standard", "total_max_attempts": self.max_attempts}
        client = self._session.client(service, config=Config(retries=retries, connect_timeout=10, read_timeout=70))
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register_first(f"needs-retry.{name}", self._retry_delay)
        return client

    @cached_property
    def _session(self) -> Any:
        import boto3

        return boto3.Session(region_name=self.region)

    def _retry_delay(self, response: Any, attempts: int, **_: Any) -> float | None:
        """Seconds until the next try; None leaves the decision to botocore."""
        # botocore's standard mode detects throttling by error code only: it does not retry a plain 429 (from a proxy,
        # or a serverless endpoint that is still starting), and does not read Retry-After.
        if response is None or attempts >= self.max_attempts or response[0].status_code not in (429, 503):
            return None
        retry_after = response[0].headers.get("Retry-After", "")
        if retry_after.isascii() and retry_after.isdigit():
            return min(float(retry_after), MAX_RETRY_AFTER_SECONDS)
        return 2.0 ** (attempts - 1) if response[0].status_code == 429 else None

    def _translate_errors(self, operation: str, send: Callable[[], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return send()
        except ClientError as error:
            raise self._to_error(operation, error.response.get("Error", {})) from error
        except BotoCoreError as error:
            lacking = any(word in type(error).__name__ for word in ("Credential", "Token", "Profile"))
            raise DeploymentError(
                f"{operation} could not be sent",
                where=self.where,
                why=error_summary(error),
                do=_CREDENTIALS_HINT if lacking else "check the network and the region, then run again",
            ) from error

    def _to_error(self, operation: str, error: Mapping[str, str]) -> DeploymentError:
        code, message = error.get("Code", ""), " ".join(error.get("Message", "").split())
        # SageMaker reports missing, existing and changing resources only in the message, not by a code.
        if code in _NOT_FOUND_CODES or message.startswith("Could not find"):
            refusal = NotFoundError
        elif message.startswith(("Cannot create already existing", "Cannot update in-progress")):
            refusal = ConflictError
        else:
            refusal = DeploymentError
        remedy = _REMEDIES.get(code, "fix the cause, then run again")
        return refusal(f"{operation} was refused", where=self.where, why=f"{code}: {message}".rstrip("."), do=remedy)


@dataclass(frozen=True)
class S3Objects:
    """Objects in S3 by their URL (s3://bucket/key), with our owner tag in their metadata."""

    aws: AwsClient
    owner: str

    def put(self, url: str, content: bytes) -> None:
        """Upload an object unless it exists with the same checksum.

        Raises
        ------
        OwnershipError
            If the existing object belongs to somebody else.
        """
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        found = self._head(url)
        if found is not None:
            check_owner(found["Metadata"], self.owner, "the object", url)
            if found.get("ChecksumSHA256") == checksum:
                return
        # S3 verifies the checksum before it stores the object.
        sums = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
        self.aws.call(
            "s3", "put_object", **_bucket_and_key(url), Body=content, **sums, Metadata={OWNER_TAG: self.owner}
        )

    def get(self, url: str) -> bytes | None:
        try:
            return self.aws.read_stream("s3", "get_object", **_bucket_and_key(url))
        except NotFoundError:
            return None

    def remove(self, url: str) -> bool:
        """Remove an object of ours; returns whether there was one."""
        found = self._head(url)
        if found is None or found["Metadata"].get(OWNER_TAG) != self.owner:
            return False
        self.delete(url)
        return True

    def delete(self, url: str) -> None:
        """Delete an object if it exists, whoever owns it: SageMaker writes objects for us without our tag."""
        self.aws.call("s3", "delete_object", **_bucket_and_key(url))

    def list_folder(self, folder: str) -> Iterator[str]:
        """URLs of the objects directly in a folder."""
        location = _bucket_and_key(f"{folder}/")
        for page in self.aws.paginate(
            "s3", "list_objects_v2", Bucket=location["Bucket"], Prefix=location["Key"], Delimiter="/"
        ):
            for each in page.get("Contents", ()):
                yield f"s3://{location['Bucket']}/{each['Key']}"

    def _head(self, url: str) -> dict[str, Any] | None:
        try:
            return self.aws.call("s3", "head_object", **_bucket_and_key(url), ChecksumMode="ENABLED")
        except NotFoundError:
            return None


def _bucket_and_key(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {"Bucket": parts.netloc, "Key": parts.path.removeprefix("/")}
