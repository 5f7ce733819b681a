"""The meaning of errors of Google's libraries: whether they are transient, how long to wait, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bridge_assets.errors import DeploymentError, error_summary

SIGN_IN_HINT = (
    "set GOOGLE_APPLICATION_CREDENTIALS to a valid key or workload identity file, or run "
    "gcloud auth application-default login"
)


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed a moment later."""
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError
    from requests import ConnectionError, Timeout

    if isinstance(error, exceptions.MethodNotImplemented) or _is_credentials_error(error):
        return False
    # AlreadyExists: an operation of ours, whose response was lost, has created it. Aborted: another change interfered.
    transient = (exceptions.TooManyRequests, exceptions.ServerError, exceptions.AlreadyExists, exceptions.Aborted)
    return isinstance(error, (*transient, TransportError, ConnectionError, Timeout))


def _is_credentials_error(error: Exception) -> bool:
    from google.api_core.exceptions import Unauthorized
    from google.auth.exceptions import GoogleAuthError, TransportError

    # gRPC reports credentials that cannot be renewed as UNAVAILABLE.
    return (
        isinstance(error, Unauthorized)
        or (isinstance(error, GoogleAuthError) and not isinstance(error, TransportError))
        or "metadata from plugin failed" in str(error)
    )


def retry_after_seconds(error: Exception) -> float:
    """Seconds that the service demands to wait: RetryInfo over gRPC, Retry-After over HTTP; 0 if none."""
    from google.rpc.error_details_pb2 import RetryInfo

    for detail in getattr(error, "details", None) or ():
        if isinstance(detail, RetryInfo):
            return detail.retry_delay.ToTimedelta().total_seconds()
    retry_after = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    return float(retry_after) if retry_after.isdigit() else 0.0


@contextmanager
def translate_errors(action: str, where: str) -> Iterator[None]:
    """Raise errors of Google's libraries as DeploymentError with a remedy."""
    from google.api_core.exceptions import Forbidden, GoogleAPIError, RetryError, TooManyRequests
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        cause = error.cause if isinstance(error, RetryError) and error.cause else error
        if _is_credentials_error(cause):
            do = f"renew the credentials: {SIGN_IN_HINT}"
        elif isinstance(cause, Forbidden):
            do = (
                "give the account of GOOGLE_APPLICATION_CREDENTIALS the roles roles/aiplatform.user on the project and "
                "roles/storage.objectUser on the bucket"
            )
        elif isinstance(cause, TooManyRequests):
            do = "run again later, or request a higher quota for the project in this location"
        else:
            do = "fix the cause, then deploy again, which resumes from the current state"
        raise DeploymentError(f"{action} failed", where=where, why=error_summary(cause), do=do) from error
