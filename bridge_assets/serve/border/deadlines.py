"""Deadlines of tasks that nearly always finish in time.

`asyncio.timeout` sets and cancels a timer for each request, which costs as much as parsing it. Here one timer looks
through the tasks about once a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds between two looks: a deadline passes up to so much later.
_LOOK_SECONDS = 1.0


class Deadlines:
    """The deadlines of the tasks of one event loop."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._is_looking = False

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Raise TimeoutError inside the current task if the block takes longer, by up to a second."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._until[task] = loop.time() + seconds
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        try:
            yield
        except asyncio.CancelledError:
            # As `asyncio.timeout` does: if somebody else cancels the task as well, that counts.
            if task in self._late and task.uncancel() <= 0:
                raise TimeoutError from None
            raise
        finally:
            self._until.pop(task, None)
            self._late.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, until in self._until.items() if until <= now]:
            del self._until[task]
            self._late.add(task)
            task.cancel()
        self._is_looking = bool(self._until)
        if self._is_looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)
