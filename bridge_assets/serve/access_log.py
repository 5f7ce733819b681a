"""The log of the server: one line of JSON an event, without anything that was sent in a body.

Successful questions after health are left out: a provider asks every few seconds.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bridge_assets.serve.state import Door


def say(event: str, **about: Any) -> None:
    """Write an event to stdout."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stdout.write(json.dumps({"at": at, "event": event, **about}) + "\n")
    sys.stdout.flush()


class AccessLog:
    """Gives each request the version that answers it for good, the answer its headers, and the log a line."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering, began = self._door.answering(), time.perf_counter()
        scope.setdefault("state", {})["answering"] = answering
        status, sent, received = 0, 0, 0

        async def marked(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Model-Version"], headers["X-Model-Slot"] = answering.version, answering.slot
                if self._door.closing:
                    headers["Connection"] = "close"  # whoever comes again is to come to another server
            sent += len(message.get("body", b""))
            await send(message)

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, counted, marked)
        except Exception:
            say("failed", path=scope["path"], trace=traceback.format_exc())
            if status:
                raise
            said = {"error": "the server failed to answer; its log says why"}
            await JSONResponse(said, 500)(scope, receive, marked)
        if status >= 400 or scope["method"] != "GET":
            say(
                "answered",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(1000 * (time.perf_counter() - began), 1),
                bytes_in=received,
                bytes_out=sent,
                version=answering.version,
                slot=answering.slot,
            )
