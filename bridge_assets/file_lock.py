"""Locks between processes of this machine: a lock on a file, which the kernel drops when its process ends, however it
ends.

Belongs here: holding a lock. Does not belong here: operations that a cloud provider reports as under way
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
    """Another process held the lock until the timeout; `holder` is its id. Callers raise an error of their own."""

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(f"{path} is held by process {holder}")


@contextmanager
def file_lock(path: Path, timeout: float | None = None, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a file.

    Parameters
    ----------
    path : Path
        The lock file. It and its folder are created if they do not exist; it is left in place afterwards.
    timeout : float, optional
        Seconds to wait for another holder; None = until it ends.
    on_wait : callable, optional
        Called once, with the holder's process id, if the lock is not free.

    Raises
    ------
    LockHeldError
        If another holder does not release the lock in that time.
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
    """Hold the lock of an endpoint.

    Parameters
    ----------
    path : Path
        The lock file; its folder is created if it does not exist.
    action, where : str
        For the message.
    timeout : float
        Seconds to wait for another deployment.

    Raises
    ------
    DeploymentError
        If another deployment does not end in that time.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(path, timeout))
        except LockHeldError as held:
            raise DeploymentError(
                f"{action} was refused",
                where=where,
                why=f"Another deployment (process {held.holder}) has not ended in {timeout:g} s",
                do="wait for it to end, then run again",
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
