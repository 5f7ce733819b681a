"""Counts the requests of an ASGI app for Prometheus, and answers `/metrics`.

`/metrics` needs the token where one is set, unlike a health check: whoever reads it before and after a request sees in
which bucket the prediction for that bridge lies. Prometheus sends it with `authorization: {credentials_file: ...}`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from bridge_assets.metrics.prometheus_metrics import PrometheusMetrics

METRICS_PATH = "/metrics"

#: Label of every path that is no route of the app: clients may request any number of them.
_NO_ROUTE = ("other", "other")


class MeasureRequests:
    """Middleware: counts each request with its status and duration.

    Parameters
    ----------
    app : ASGIApp
    metrics : PrometheusMetrics
    purposes : mapping
        Route of the app -> `predict`, `health` or `other`.
    """

    def __init__(self, app: ASGIApp, metrics: PrometheusMetrics, purposes: Mapping[str, str]) -> None:
        self._app, self._metrics = app, metrics
        self._labels = {route: (route, purpose) for route, purpose in purposes.items()}
        metrics.declare(purposes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.start_request()
        try:
            await self._app(scope, receive, send_and_see)
        except Exception:
            status = 500
            raise
        finally:
            route, purpose = self._labels.get(scope["path"], _NO_ROUTE)
            self._metrics.end_request(route, purpose, status, time.perf_counter() - started)


async def answer_scrape(metrics: PrometheusMetrics | None, request: Request) -> Response:
    """The metrics, made in a thread, so that requests are not blocked meanwhile; 501 if there are none."""
    if metrics is None:
        what = "there are no metrics: prometheus-client is not installed beside this server; build its image again"
        return JSONResponse({"error": what}, 501)
    body, content_type = await asyncio.to_thread(metrics.exposition, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})
