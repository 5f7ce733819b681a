"""An HTTP server that answers each scrape of Prometheus by reading something else: each part of it by itself, in time.

A part that fails, or that does not end in time, is a metric of the answer (`bridge_assets_exporter_part_success`); the
other parts are there. A part that is still being read is not read a second time, so a storage that is locked holds one
thread and no more.

Belongs here: threads, time and the answer. Does not belong here: what is read (`orchestration.exporter`).
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import error_summary
from bridge_assets.metrics.measure_requests import METRICS_PATH

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

#: Seconds that an answer takes at most, and the share of what the scraper says it waits for. Prometheus waits 10 s
#: (`scrape_timeout`) unless it is told otherwise, and says so in `SCRAPE_TIMEOUT_HEADER`.
SCRAPE_SECONDS, SCRAPE_SHARE = 8.0, 0.8

SCRAPE_TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"


@dataclass(frozen=True)
class Reading:
    """The values of one metric.

    Attributes
    ----------
    name : str
        Without labels, with its unit at the end.
    help : str
        What a value says.
    labels : tuple of str
        Names of the labels.
    values : mapping
        Values of the labels -> value.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[tuple[str, ...], float] = field(default_factory=dict)


Read = Callable[[], Iterable[Reading]]


class Exporter:
    """Reads all parts at each scrape.

    Parameters
    ----------
    parts : mapping
        Name of a part -> function that reads it, called in a thread. An error is not raised but counted.
    seconds : float
        How long an answer takes at most.
    """

    def __init__(self, parts: Mapping[str, Read], seconds: float = SCRAPE_SECONDS) -> None:
        self._parts = [_Part(name, read) for name, read in parts.items()]
        self._seconds = seconds

    def collect(self, seconds: float | None = None) -> list[Any]:
        """Read every part within `seconds`, as metric families of prometheus-client."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        deadline = time.monotonic() + (self._seconds if seconds is None else min(seconds, self._seconds))
        attempts = [part.begin() for part in self._parts]
        success = GaugeMetricFamily(
            "bridge_assets_exporter_part_success", "1 if this part could be read in time, otherwise 0.", labels=["part"]
        )
        took = GaugeMetricFamily(
            "bridge_assets_exporter_part_seconds", "Seconds that reading this part has taken so far.", labels=["part"]
        )
        errors = CounterMetricFamily(
            "bridge_assets_exporter_part_errors", "Times that reading this part failed.", labels=["part"]
        )
        families: list[Any] = []
        for part, attempt in zip(self._parts, attempts, strict=True):
            attempt.ended.wait(max(0.0, deadline - time.monotonic()))
            readings = attempt.readings if attempt.ended.is_set() else None
            success.add_metric([part.name], float(readings is not None))
            took.add_metric([part.name], attempt.seconds or time.monotonic() - attempt.began)
            errors.add_metric([part.name], part.errors)
            families += [_family(reading) for reading in readings or ()]
        return [*families, success, took, errors]

    def exposition(self, accept: str = "", seconds: float | None = None) -> tuple[bytes, str]:
        """Answer a scrape.

        Parameters
        ----------
        accept : str
            Its Accept header.
        seconds : float, optional
            How long the answer may take, if that is less than usual.

        Returns
        -------
        tuple of (bytes, str)
            Body and content type.
        """
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        return encode(_Families(self.collect(seconds))), content_type


@dataclass
class _Attempt:
    """One reading of a part; `readings` is None if it failed."""

    began: float
    ended: threading.Event = field(default_factory=threading.Event)
    readings: list[Reading] | None = None
    seconds: float = 0.0


class _Part:
    def __init__(self, name: str, read: Read) -> None:
        self.name, self.errors = name, 0
        self._read, self._lock, self._last_error = read, threading.Lock(), ""
        self._attempt: _Attempt | None = None

    def begin(self) -> _Attempt:
        """Begin to read, unless that is going on already."""
        with self._lock:
            if self._attempt is None or self._attempt.ended.is_set():
                self._attempt = _Attempt(time.monotonic())
                # A daemon: one that waits for a locked storage does not hold up the end of the process.
                threading.Thread(target=self._run, args=(self._attempt,), name=self.name, daemon=True).start()
            return self._attempt

    def _run(self, attempt: _Attempt) -> None:
        try:
            attempt.readings = list(self._read())
            self._last_error = ""
        except Exception as error:  # whatever it is, the other parts are answered
            self.errors += 1
            if self._last_error != (summary := error_summary(error)):
                self._last_error = summary
                sys.stderr.write(f"{self.name} cannot be read: {summary}\n")
        finally:
            attempt.seconds = time.monotonic() - attempt.began
            attempt.ended.set()


class _Families:
    """A registry of families that have been collected."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families


def _family(reading: Reading) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(reading.name, reading.help, labels=reading.labels)
    for labels, value in reading.values.items():
        family.add_metric(labels, value)
    return family


def make_exporter_app(exporter: Exporter) -> Starlette:
    """The ASGI app of an exporter: `/metrics`, and `/health`, which reads nothing."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def metrics(request: Request) -> Response:
        waits = _seconds(request.headers.get(SCRAPE_TIMEOUT_HEADER, ""))
        body, content_type = await asyncio.to_thread(exporter.exposition, request.headers.get("accept", ""), waits)
        return Response(body, headers={"Content-Type": content_type})

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route(METRICS_PATH, metrics), Route("/health", health)])


def _seconds(timeout: str) -> float | None:
    try:
        return max(0.0, float(timeout) * SCRAPE_SHARE)
    except ValueError:
        return None
