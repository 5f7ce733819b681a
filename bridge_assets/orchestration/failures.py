"""Errors that a person can act on, shown as such: the message, without a stack trace around it and without a retry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from bridge_assets.deployment.errors import DeploymentError
from bridge_assets.deployment.gate import GateClosed
from bridge_assets.models.candidate import CandidateError
from bridge_assets.models.errors import ModelError
from bridge_assets.nbi.errors import SourceError
from bridge_assets.reporting.looker import MissingExtraError, SheetError
from bridge_assets.settings import SettingsError
from bridge_assets.storage import StorageError

#: What the library raises for a person to read.
OUR_ERRORS = (
    SourceError,
    StorageError,
    SettingsError,
    ModelError,
    CandidateError,
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
