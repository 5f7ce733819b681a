"""Counts the requests of an ASGI app for Prometheus, and answers `/metrics`.

`/metrics` needs the token where one is set, unlike a health check: whoever reads it before and after a request sees in
which bucket the prediction for that bridge lies. Prometheus sends it with `authorization: {credentials_file: ...}`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from bridge_assets.metrics.prometheus_metrics import PrometheusMetrics

METRICS_PATH = "/metrics"

#: Label of every path that is no route of the app: clients may request any number of them.
_NO_ROUTE = ("other", "other")


class RequestMeter:
    """Counts each request with its status and duration, by the route of the app that it was for.

    Parameters
    ----------
    metrics : PrometheusMetrics
    purposes : mapping
        Route of the app -> `predict`, `health` or `other`.
    """

    def __init__(self, metrics: PrometheusMetrics, purposes: Mapping[str, str]) -> None:
        self.begin, self._end = metrics.start_request, metrics.end_request
        self._labels = {route: (route, purpose) for route, purpose in purposes.items()}
        metrics.declare(purposes)

    def end(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request; a status of 0 = no answer was sent."""
        route, purpose = self._labels.get(path, _NO_ROUTE)
        self._end(route, purpose, status, seconds)


async def answer_scrape(metrics: PrometheusMetrics | None, request: Request) -> Response:
    """The metrics, made in a thread, so that requests are not blocked meanwhile; 501 if there are none."""
    if metrics is None:
        what = "there are no metrics: prometheus-client is not installed beside this server; build its image again"
        return JSONResponse({"error": what}, 501)
    body, content_type = await asyncio.to_thread(metrics.exposition, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})
