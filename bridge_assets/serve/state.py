"""State that the app shares with its server process."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge_assets.serve.loaded_model import LoadedModel


_THREADS = min(8, len(os.sched_getaffinity(0)))


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
    executor : ThreadPoolExecutor
        Parses requests and predicts.
    """

    current_model: Callable[[], LoadedModel]
    draining: bool = False
    pending_requests: int = 0
    executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "predict"))
