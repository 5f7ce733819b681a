"""State that the app shares with its server process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge_assets.serve.batches import Batches
from bridge_assets.serve.border.deadlines import Deadlines

if TYPE_CHECKING:
    from bridge_assets.metrics.prometheus_metrics import PrometheusMetrics
    from bridge_assets.serve.loaded_model import LoadedModel


#: Threads that parse and predict. At most four: each may need 20 MB, and a pod that is limited to one processor sees
#: all of its node.
_THREADS = min(4, len(os.sched_getaffinity(0)))


@dataclass
class AppState:
    """State that the app shares with its server process.

    Attributes
    ----------
    current_model : callable
        Returns the version for a new request.
    draining : bool
        The process is shutting down: no longer ready, but still serving requests.
    pending_requests : int
        Number of requests running or waiting for a thread.
    buffered_bytes : int
        Bytes of large bodies in memory (`predict_endpoint.SMALL_BODY_BYTES`).
    parsing_large : asyncio.Lock
        Held while a large body is parsed: one takes up to 110 MB, and Python parses one at a time anyway.
    deadlines : Deadlines
        Of the requests whose bodies are being read.
    executor : ThreadPoolExecutor
        Parses requests and predicts.
    metrics : PrometheusMetrics or None
        What `/metrics` answers.
    batches : Batches
        Predicts the rows of requests that wait at the same time.
    """

    current_model: Callable[[], LoadedModel]
    draining: bool = False
    pending_requests: int = 0
    buffered_bytes: int = 0
    parsing_large: asyncio.Lock = field(default_factory=asyncio.Lock)
    deadlines: Deadlines = field(default_factory=Deadlines)
    executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "predict"))
    metrics: PrometheusMetrics | None = None
    batches: Batches = field(default_factory=Batches)

    def record_model(self) -> None:
        """Record in the metrics which version is served now."""
        if self.metrics is not None:
            model = self.current_model()
            self.metrics.set_model(model.version, model.slot, model.output_name)
