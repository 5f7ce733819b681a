"""What happens to every request: its version and id, who may call, the metrics, the log, and the answer to an error.

One ASGI callable, since each one around the app costs a request as much as parsing it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bridge_assets.serve.border.access import AccessRules, Guard
from bridge_assets.serve.border.access_log import log_event, trace_of
from bridge_assets.serve.border.answers import new_request_id, send_error

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bridge_assets.metrics.measure_requests import RequestMeter
    from bridge_assets.serve.state import AppState

#: A request id of a client that is taken over: what proxies and tracing libraries send. Anything else could forge a
#: line of a log that somebody reads.
_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")

#: Characters of a path in the log. A chosen limit: the routes of the app are shorter.
_MAX_PATH = 200


class RequestMiddleware:
    """Pins each request to the current version, admits it, answers it, and counts and logs the answer.

    Parameters
    ----------
    app : ASGIApp
    state : AppState
    rules : AccessRules
        Who may call.
    health_paths : frozenset of str
        Without a token, and not counted by the limit.
    endpoints : mapping
        Path -> the ASGI callable of its POST, called without the routing of `app`.
    meter : RequestMeter, optional
    """

    def __init__(
        self,
        app: ASGIApp,
        state: AppState,
        rules: AccessRules,
        health_paths: frozenset[str],
        endpoints: Mapping[str, ASGIApp],
        meter: RequestMeter | None = None,
    ) -> None:
        self._app, self._state, self._endpoints, self._meter = app, state, endpoints, meter
        self._refusal = Guard(app, rules, health_paths).refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        model, started, status, sent = self._state.current_model(), time.perf_counter(), 0, 0
        sent_id = _request_id(scope)
        request_id = sent_id.decode()
        shared = scope.setdefault("state", {})
        shared["answering"], shared["request_id"], shared["bytes_in"] = model, request_id, 0
        headers = [*model.headers, (b"x-request-id", sent_id)]

        async def send_with_headers(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *headers]
                if self._state.draining:  # the client's next request goes to another server
                    message["headers"].append((b"connection", b"close"))
            else:
                sent += len(message.get("body", b""))
            await send(message)

        if self._meter:
            self._meter.begin()
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await send_error(scope, send_with_headers, refusal.status, refusal.message, refusal.headers)
            else:
                app = self._endpoints.get(scope["path"], self._app) if scope["method"] == "POST" else self._app
                await app(scope, receive, send_with_headers)
        except Exception as error:
            log_event("failed", path=scope["path"][:_MAX_PATH], request_id=request_id, trace=trace_of(error))
            if status:
                raise
            await send_error(scope, send_with_headers, 500, "internal server error; see the server's log")
        finally:
            seconds = time.perf_counter() - started
            if self._meter:
                self._meter.end(scope["path"], status, seconds)
            if status >= 400 or scope["method"] != "GET":
                log_event(
                    "answered",
                    method=scope["method"],
                    path=scope["path"][:_MAX_PATH],
                    status=status,
                    milliseconds=round(1000 * seconds, 2),
                    bytes_in=shared["bytes_in"],
                    bytes_out=sent,
                    version=model.version,
                    slot=model.slot,
                    request_id=request_id,
                )


def _request_id(scope: Scope) -> bytes:
    """The client's X-Request-ID if it is a harmless one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            if _SANE_ID.fullmatch(value):
                return value
            break
    return new_request_id()
