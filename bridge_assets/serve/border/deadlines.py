"""Deadlines of tasks that nearly always finish in time.

`asyncio.timeout` sets and cancels a timer for each request, which costs as much as parsing it. Here one timer looks
through the tasks about once a second.
"""

from __future__ import annotations

import asyncio
from typing import Any

#: Seconds between two looks: a deadline passes up to so much later.
_LOOK_SECONDS = 1.0


class Deadlines:
    """The deadlines of the tasks of one event loop."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._is_looking = False

    def begin(self, seconds: float) -> asyncio.Task[Any]:
        """Cancel the current task if it does not `end` in time, or up to a second later; returns the task."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._until[task] = loop.time() + seconds
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """The task has done in time what it had begun."""
        self._until.pop(task, None)

    def is_late(self, task: asyncio.Task[Any]) -> bool:
        """Whether a task was cancelled for its deadline alone, which is then undone; to be asked once."""
        if task not in self._late:
            return False
        self._late.discard(task)
        return task.uncancel() <= 0  # as `asyncio.timeout` does: if somebody else cancelled it as well, that counts

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, until in self._until.items() if until <= now]:
            del self._until[task]
            self._late.add(task)
            task.cancel()
        self._is_looking = bool(self._until)
        if self._is_looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)
