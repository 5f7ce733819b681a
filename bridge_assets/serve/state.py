"""What the app and the process around it share."""

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
    """What the app and the process around it share.

    Attributes
    ----------
    current_model : callable
        Returns the version that answers a new request.
    draining : bool
        The process is shutting down: not ready any more, but still answering requests.
    pending_requests : int
        Requests running or waiting for a thread.
    executor : ThreadPoolExecutor
        Parses requests and predicts.
    """

    current_model: Callable[[], LoadedModel]
    draining: bool = False
    pending_requests: int = 0
    executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "predict"))
