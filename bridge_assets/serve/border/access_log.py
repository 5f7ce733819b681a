"""The server's log: one line of JSON per event, without any content of a request body.

Successful health checks are not logged: a provider sends one every few seconds.
"""

from __future__ import annotations

import sys
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bridge_assets.serve.border.json_bytes import to_json


def log_event(event: str, **fields: Any) -> None:
    """Write an event to stdout."""
    now = time.time()
    timestamp = f"{_second(int(now))}.{int(now % 1 * 1000):03}+00:00"
    with suppress(OSError):  # nobody reads the log any more, or its disk is full: requests are still answered
        sys.stdout.write(to_json({"at": timestamp, "event": event, **fields}).decode() + "\n")
        sys.stdout.flush()


@lru_cache(maxsize=2)
def _second(since_1970: int) -> str:
    """A second in UTC, such as 2026-11-30T17:20:05: formatting it takes longer than the rest of a line."""
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def trace_of(error: BaseException) -> str:
    """Where an error was raised, and its type. Not its message: that may quote what a client has sent."""
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__), type(error).__name__]
    return "".join(lines)
