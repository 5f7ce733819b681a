"""File locks between processes on one machine. The kernel releases a lock when its process ends, even after a crash.

Belongs here: holding a lock. Does not belong here: operations that a cloud provider reports as in progress
(`deployment.core`).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from bridge_assets.errors import DeploymentError

_POLL_SECONDS = 0.05


class LockHeldError(Exception):
    """Another process held the lock until the timeout; `holder` is its process id. Callers raise their own error."""

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(f"{path} is held by process {holder}")


@contextmanager
def file_lock(path: Path, timeout: float | None = None, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock on a file.

    Parameters
    ----------
    path : Path
        The lock file. It and its folder are created if they do not exist; the file is left in place afterwards.
    timeout : float, optional
        Seconds to wait for another holder; None waits until the lock is released.
    on_wait : callable, optional
        Called once, with the holder's process id, if the lock is not free.

    Raises
    ------
    LockHeldError
        If the holder does not release the lock within `timeout`.
    OSError
        If the file cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as lock:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not _try_lock(lock):
            if on_wait:
                on_wait(_holder(lock))
                on_wait = None
            if deadline is not None and time.monotonic() >= deadline:
                raise LockHeldError(path, _holder(lock))
            time.sleep(_POLL_SECONDS)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def exclusive_lock(path: Path, action: str, where: Path | str, timeout: float) -> Iterator[None]:
    """Hold the deployment lock of an endpoint.

    Parameters
    ----------
    path : Path
        The lock file; its folder is created if it does not exist.
    action, where : str
        What was attempted, and on which endpoint; for the error message.
    timeout : float
        Seconds to wait for another deployment.

    Raises
    ------
    DeploymentError
        If another deployment does not finish within `timeout`.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(path, timeout))
        except LockHeldError as held:
            raise DeploymentError(
                f"{action} was refused",
                where=where,
                why=f"Another deployment (process {held.holder}) did not finish within {timeout:g} s",
                do="wait for it to finish, then run again",
            ) from None
        yield


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read().strip() or "unknown"
