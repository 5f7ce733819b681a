"""Turns errors that a person can act on into Dagster failures: the message only, no stack trace and no retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from bridge_assets.errors import BridgeAssetsError


@contextmanager
def user_errors_as_failures() -> Iterator[None]:
    """Turn the library's own errors into a `Failure` whose description is the message.

    A retry would not help: within seconds no missing file appears, no closed gate opens and no full disk is freed.
    """
    try:
        yield
    except BridgeAssetsError as error:
        raise dg.Failure(
            description=message_with_remedy(error), metadata={"error": type(error).__name__}, allow_retries=False
        ) from error


def message_with_remedy(error: BridgeAssetsError) -> str:
    """The error message, followed by the asset to materialise if a stage has to run again."""
    return f"{error} Materialise {error.stage} again." if error.stage else str(error)
