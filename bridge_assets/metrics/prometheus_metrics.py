"""Prometheus metrics of the served app: requests, errors, latency, batch sizes, predictions and the model version.

Shipped in a bundle (`deployment.core.code_archive`), so it imports nothing else of bridge_assets, and
prometheus-client only when an instance is made.

Several server processes may share one folder, `PROMETHEUS_MULTIPROC_DIR` (prometheus-client's multiprocess mode): each
writes files there, and whichever is scraped answers for all. Counts of a process that ended are kept, so that no
counter goes back; its requests in progress and its model version are not.

Labels take few values, whatever is requested: the routes of the app, status codes, and model versions.
"""

from __future__ import annotations

import fcntl
import math
import os
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: The variable of prometheus-client that names the folder which several processes share.
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

#: Upper bounds of the latency histogram, in seconds. A request of one row takes less than a millisecond, one
#: of 10,000 rows some 300 (`benchmarks/served_metrics.py`); 0.5 is the objective's (`alerting.prometheus_alerts`).
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: Upper bounds of rows per request; a request has at most 10,000 (`serve.requests.request_rows.MAX_ROWS`).
ROWS_BUCKETS = (1, 10, 32, 100, 320, 1000, 3200, 10_000)

#: Output of a model -> upper bounds of its predictions. Probabilities are dense near the base rate of some 5 %.
PREDICTION_BUCKETS = {
    "fall_probability": (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0),
    "expected_change": (-2.0, -1.5, -1.0, -0.75, -0.5, -0.4, -0.3, -0.2, -0.1, -0.05, 0.0, 0.25, 0.5),
}

#: Up to so many predictions are counted one by one, which is faster. Measured: 0.3 microseconds each, or 20 for all.
_FEW = 16

#: Reasons of `bridge_assets_request_errors_total` by status; other statuses from 400 on are invalid requests, and from
#: 500 on internal errors. 0: the client had gone before it was answered.
_REASONS = {0: "disconnected", 401: "unauthorized", 429: "rate_limit", 503: "overloaded"}


class PrometheusMetrics:
    """Counters and histograms of an app that predicts.

    Parameters
    ----------
    registry : CollectorRegistry, optional
        Where they are registered; default: one of their own, with the CPU time and memory of this process.

    Raises
    ------
    ImportError
        If prometheus-client is not installed.
    OSError
        If `PROMETHEUS_MULTIPROC_DIR` is set and cannot be written.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        folder = os.environ.get(MULTIPROCESS_FOLDER)
        self._folder = Path(folder) if folder else None
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
            # A process that was killed may have had this one's id; what it had in progress is over.
            if _begin_to_run(self._folder):
                _remove_live_gauges(self._folder, os.getpid())

        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        is_own = registry is None
        if registry is None:
            registry = CollectorRegistry()
            if not self._folder:  # of all processes there is nothing to say
                ProcessCollector(registry=registry)
        self._registry, self._lock = registry, threading.Lock()
        self._requests = Counter(
            "bridge_assets_requests",
            "Requests that were answered, by route of the app ('other': no such route), purpose and status.",
            ("route", "purpose", "status"),
            registry=registry,
        )
        self._errors = Counter(
            "bridge_assets_request_errors",
            "Requests that were not answered with success, by purpose and reason.",
            ("purpose", "reason"),
            registry=registry,
        )
        self._latency = Histogram(
            "bridge_assets_request_seconds",
            "Seconds from a request's headers to the end of its answer, including the time in which its body is sent.",
            ("route", "purpose"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._rows = Histogram(
            "bridge_assets_request_rows", "Rows of a request.", buckets=ROWS_BUCKETS, registry=registry
        )
        self._in_progress = Gauge(
            "bridge_assets_requests_in_progress",
            "Requests that are being answered now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._model = Gauge(
            "bridge_assets_model_info",
            "1 for the model version that is served, 0 for one that was served earlier by the same process.",
            ("version", "slot", "output"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._predictions: dict[str, Any] = {}
        # Nobody reads the series but `exposition`: then counts are kept in Python until it is called.
        self._tallies: dict[tuple[str, str, int], _Tally] | None = {} if is_own and not self._folder else None
        self._rows_tally = _Tally(self._rows) if self._tallies is not None else None
        self._predicted: dict[tuple[str, str], _Tally] = {}
        self._running = 0
        self._served: tuple[str, str, str] | None = None

    def declare(self, purposes: Mapping[str, str]) -> None:
        """Begin the counters of an app's routes at 0: the first error is then an increase, not a new series.

        Parameters
        ----------
        purposes : mapping
            Route -> `predict`, `health` or `other`.
        """
        for route, purpose in purposes.items():
            self._requests.labels(route, purpose, "200")
            for reason in (*_REASONS.values(), "internal", "invalid"):
                self._errors.labels(purpose, reason)

    def start_request(self) -> None:
        """Count a request as in progress."""
        if self._tallies is None:
            self._in_progress.inc()
        else:
            with self._lock:
                self._running += 1

    def end_request(self, route: str, purpose: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Parameters
        ----------
        route : str
            A route of the app, not the path that was requested: every value is a time series.
        purpose : str
            `predict`, `health` or `other`.
        status : int
            Of the answer; 0 = none was sent.
        seconds : float
        """
        if self._tallies is None:
            self._in_progress.dec()
            self._requests.labels(route, purpose, str(status)).inc()
            self._latency.labels(route, purpose).observe(seconds)
        else:
            key = (route, purpose, status)
            with self._lock:
                self._running -= 1
                tally = self._tallies.get(key)
                if tally is None:
                    counter = self._requests.labels(route, purpose, str(status))
                    tally = self._tallies[key] = _Tally(self._latency.labels(route, purpose), counter)
                tally.count(seconds)
        if status >= 400 or not status:
            reason = _REASONS.get(status) or ("internal" if status >= 500 else "invalid")
            self._errors.labels(purpose, reason).inc()

    def observe_predictions(self, predictions: Sequence[float], version: str, output: str) -> None:
        """Count the predictions of a request.

        Parameters
        ----------
        predictions : sequence of float
            One for each row.
        version : str
            Of the model that made them.
        output : str
            `fall_probability` or `expected_change`.
        """
        if self._rows_tally is None or len(predictions) > _FEW:
            self._rows.observe(len(predictions))
            if len(predictions):
                _observe_many(self._histogram(output).labels(version), predictions)
            return
        tally = self._predicted.get((version, output)) or _Tally(self._histogram(output).labels(version))
        with self._lock:  # threads predict as well
            self._rows_tally.count(len(predictions))
            tally = self._predicted.setdefault((version, output), tally)
            for prediction in predictions:
                if math.isfinite(prediction):  # one that is not would make the sum none for ever
                    tally.count(prediction)

    def set_model(self, version: str, slot: str, output: str) -> None:
        """Record that this process serves this version from now on."""
        served = (version, slot, output)
        if self._served and self._served != served:
            self._model.labels(*self._served).set(0)
        self._model.labels(*served).set(1)
        self._histogram(output).labels(version)  # a series of zeros, so that the first predictions are an increase
        self._served = served

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics, as a scrape answers them.

        Parameters
        ----------
        accept : str
            The header of the request.

        Returns
        -------
        tuple of (bytes, str)
            Body and content type.
        """
        from prometheus_client.exposition import choose_encoder

        registry = _SharedFolder(self._folder) if self._folder else self._registry
        self._post()
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    def _post(self) -> None:
        """Add what has been counted in Python to the series."""
        if self._tallies is None or self._rows_tally is None:
            return
        with self._lock:
            self._in_progress.set(self._running)
            for tally in (*self._tallies.values(), *self._predicted.values(), self._rows_tally):
                tally.post()

    def _histogram(self, output: str) -> Any:
        with self._lock:
            if output not in self._predictions:
                from prometheus_client import Histogram

                self._predictions[output] = Histogram(
                    f"bridge_assets_{output}",
                    f"Predictions of {output}, by the model version that made them.",
                    ("version",),
                    buckets=PREDICTION_BUCKETS[output],
                    registry=self._registry,
                )
            return self._predictions[output]


class _Tally:
    """Counts values for a histogram, and their number for a counter, in Python until they are posted.

    A series has a lock, and is added to in three places for each value: ten times the time.
    """

    def __init__(self, histogram: Any, counter: Any = None) -> None:
        self._histogram, self._counter, self._bounds = histogram, counter, histogram._upper_bounds
        self._counts, self._sum = [0] * len(self._bounds), 0.0

    def count(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def post(self) -> None:
        """Add the values to the series."""
        counts, self._counts = self._counts, [0] * len(self._bounds)
        total, self._sum = self._sum, 0.0
        self._histogram._sum.inc(total)
        for bucket, count in zip(self._histogram._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        if self._counter is not None:
            self._counter.inc(sum(counts))


def _observe_many(histogram: Any, values: Sequence[float]) -> None:
    """Like `observe` for each value, but one addition for each bucket: 10,000 rows in a tenth of a millisecond."""
    import numpy as np

    bounds, buckets, total = histogram._upper_bounds, histogram._buckets, histogram._sum
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]  # one value that is not a number would make the sum none for ever
    counts = np.bincount(np.searchsorted(bounds, array, side="left"), minlength=len(bounds))
    total.inc(float(array.sum()))
    for index in np.flatnonzero(counts):
        buckets[index].inc(int(counts[index]))


class _SharedFolder:
    """A registry of what the processes that share a folder have written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> list[Any]:
        from prometheus_client.multiprocess import MultiProcessCollector

        for process in {int(path.stem.rpartition("_")[2]) for path in self._folder.glob("gauge_live*.db")}:
            if not _is_running(self._folder, process):
                _remove_live_gauges(self._folder, process)
        paths = [str(path) for path in sorted(self._folder.glob("*.db"))]
        try:
            return list(MultiProcessCollector.merge(paths))
        except Exception:  # a file that a killed process had just created is empty; the others count
            return list(MultiProcessCollector.merge([path for path in paths if _is_readable(path)]))


def _is_readable(path: str) -> bool:
    from prometheus_client.multiprocess import MultiProcessCollector

    try:
        MultiProcessCollector.merge([path])
    except Exception:  # whatever is wrong with its bytes
        return False
    return True


def _remove_live_gauges(folder: Path, process: int) -> None:
    for path in folder.glob(f"gauge_live*_{process}.db"):
        with suppress(FileNotFoundError):  # another process was faster
            path.unlink()


#: Folder -> the open file whose lock says that this process runs; it is released by its end, whatever that is.
_locks: dict[Path, int] = {}


def _begin_to_run(folder: Path) -> bool:
    """Lock this process's file in a folder until the process ends. Returns whether that had not been done before."""
    if folder in _locks:
        return False
    _locks[folder] = os.open(folder / f"{os.getpid()}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(_locks[folder], fcntl.LOCK_EX)
    return True


def _after_fork() -> None:
    """A forked process has files of its own, and so a lock of its own."""
    folders = list(_locks)
    while _locks:
        os.close(_locks.popitem()[1])
    for folder in folders:
        _begin_to_run(folder)
        _remove_live_gauges(folder, os.getpid())


os.register_at_fork(after_in_child=_after_fork)


def _is_running(folder: Path, process: int) -> bool:
    """Whether the process that wrote to a folder still runs. Another one may have its id by now: so a lock says it."""
    try:
        descriptor = os.open(folder / f"{process}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
