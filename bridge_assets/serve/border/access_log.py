"""The server's log: one line of JSON per event, without any content of a request body.

Successful health checks are not logged: a provider sends one every few seconds.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bridge_assets.serve.state import AppState


def log_event(event: str, **fields: Any) -> None:
    """Write an event to stdout."""
    timestamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    with suppress(OSError):  # nobody reads the log any more, or its disk is full: requests are still answered
        sys.stdout.write(json.dumps({"at": timestamp, "event": event, **fields}) + "\n")
        sys.stdout.flush()


class AccessLog:
    """Middleware: pins each request to the current version, adds response headers, and logs a line."""

    def __init__(self, app: ASGIApp, state: AppState) -> None:
        self._app, self._state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        model, started = self._state.current_model(), time.perf_counter()
        scope.setdefault("state", {})["answering"] = model
        status, sent, received = 0, 0, 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Model-Version"], headers["X-Model-Slot"] = model.version, model.slot
                if self._state.draining:
                    headers["Connection"] = "close"  # the client's next request goes to another server
            sent += len(message.get("body", b""))
            await send(message)

        async def receive_counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, receive_counting, send_with_headers)
        except Exception:
            log_event("failed", path=scope["path"], trace=traceback.format_exc())
            if status:
                raise
            body = {"error": "internal server error; see the server's log"}
            await JSONResponse(body, 500)(scope, receive, send_with_headers)
        if status >= 400 or scope["method"] != "GET":
            log_event(
                "answered",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(1000 * (time.perf_counter() - started), 1),
                bytes_in=received,
                bytes_out=sent,
                version=model.version,
                slot=model.slot,
            )
