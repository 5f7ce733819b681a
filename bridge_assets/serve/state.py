"""What the app and the process around it share."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge_assets.serve.loaded_model import Answering


_THREADS = min(8, len(os.sched_getaffinity(0)))


@dataclass
class Door:
    """What the app and the process around it share.

    Attributes
    ----------
    answering : callable
        The version that answers a new request.
    closing : bool
        The process was told to end: not ready any more, while what still comes is answered.
    waiting : int
        Requests that have a thread or wait for one.
    threads : ThreadPoolExecutor
        Where rows are read and answered.
    """

    answering: Callable[[], Answering]
    closing: bool = False
    waiting: int = 0
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "predict"))
