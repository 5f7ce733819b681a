"""Errors that a person can act on, shown as such: the message, without a stack trace around it and without a retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from bridge_assets.deployment.gate.decision import GateClosed
from bridge_assets.errors import (
    DeploymentError,
    MissingExtraError,
    ModelError,
    ModelVersionError,
    SettingsError,
    SheetError,
    SourceError,
    StorageError,
)

#: What the library raises for a person to read.
OUR_ERRORS = (
    SourceError,
    StorageError,
    SettingsError,
    ModelError,
    ModelVersionError,
    GateClosed,
    DeploymentError,
    SheetError,
    MissingExtraError,
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn the library's own errors into a `Failure` whose description is the message.

    Retrying cannot help: a file does not come, a gate does not open, a disk does not empty itself within seconds.
    """
    try:
        yield
    except OUR_ERRORS as error:
        raise dg.Failure(
            description=str(error), metadata={"error": type(error).__name__}, allow_retries=False
        ) from error
