"""Errors that a person can act on, shown in Dagster as such: the message, without a stack trace and without a retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from bridge_assets.errors import BridgeAssetsError


@contextmanager
def user_errors_as_failures() -> Iterator[None]:
    """Turn the library's own errors into a `Failure` whose description is the message.

    Retrying cannot help: a missing file does not appear, a closed gate does not open, a full disk does not empty itself
    within seconds.
    """
    try:
        yield
    except BridgeAssetsError as error:
        raise dg.Failure(
            description=message_with_remedy(error), metadata={"error": type(error).__name__}, allow_retries=False
        ) from error


def message_with_remedy(error: BridgeAssetsError) -> str:
    """The message, and which asset to materialise where a stage has to run again."""
    return f"{error} Materialise {error.stage} again." if error.stage else str(error)
