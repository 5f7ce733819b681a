"""The server's log: one line of JSON per event, without any content of a request body.

Successful health checks are not logged: a provider sends one every few seconds.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from bridge_assets.serve.border.json_bytes import to_json


def log_event(event: str, **fields: Any) -> None:
    """Write an event to stdout."""
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    with suppress(OSError):  # nobody reads the log any more, or its disk is full: requests are still answered
        sys.stdout.write(to_json({"at": timestamp, "event": event, **fields}).decode() + "\n")
        sys.stdout.flush()


def trace_of(error: BaseException) -> str:
    """Where an error was raised, and its type. Not its message: that may quote what a client has sent."""
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__), type(error).__name__]
    return "".join(lines)
