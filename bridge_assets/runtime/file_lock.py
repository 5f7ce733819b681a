"""One writer at a time on this machine: a lock that the kernel drops when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bridge_assets.errors import DeploymentError

_POLL_SECONDS = 0.05


@contextmanager
def exclusive_lock(path: Path, action: str, where: Path | str, timeout: float) -> Iterator[None]:
    """Hold a lock file.

    Parameters
    ----------
    path : Path
        The file; its folder is made where it is not there.
    action, where : str
        For the message.
    timeout : float
        Seconds to wait for another writer.

    Raises
    ------
    DeploymentError
        If another writer does not end in that time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as lock:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    lock.seek(0)
                    holder = lock.read().strip() or "unknown"
                    raise DeploymentError(
                        f"{action} was refused",
                        where=where,
                        why=f"Another deployment (process {holder}) has not ended in {timeout:g} s",
                        do="wait for it to end, then run again",
                    ) from None
            time.sleep(_POLL_SECONDS)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def fail_if_in_progress(operations: Sequence[str], action: str, where: str) -> None:
    """Refuse to go on beside what the provider says is under way: another machine's deployment, or a killed one's rest.

    Raises
    ------
    DeploymentError
        If anything is.
    """
    if operations:
        raise DeploymentError(
            f"{action} was refused",
            where=where,
            why=f"Another deployment is under way: {', '.join(operations)}",
            do="wait for it to end, then run again",
        )
