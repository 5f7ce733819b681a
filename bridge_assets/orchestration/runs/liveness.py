"""What a killed run leaves behind in Dagster's storage: a run that seems to go on, and its place in a pool.

Without this the next run would wait for that place for ever. A run that this machine started in a process of its own
holds a lock on a file while it lives; a file that nobody locks any more is of a run that is dead.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

ORPHANED_RUN_MESSAGE = "The process of this run ended without a word: it was killed, or the machine went down."


@contextmanager
def run_liveness_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the sign of life of a run, after seeing to the runs that have lost theirs."""
    lock_folder = Path(instance.root_directory) / "alive"
    lock_folder.mkdir(parents=True, exist_ok=True)
    fail_orphaned_runs(instance, lock_folder)
    pending_lock_file, lock_file = lock_folder / f".{run_id}", lock_folder / run_id
    with pending_lock_file.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        pending_lock_file.rename(lock_file)  # nobody ever sees a sign of this run that is not locked
        try:
            yield
        finally:
            lock_file.unlink(missing_ok=True)


def fail_orphaned_runs(instance: dg.DagsterInstance, lock_folder: Path) -> None:
    """Report dead runs as failed, and give back their places in pools."""
    for lock_file in lock_folder.glob("[!.]*"):
        with lock_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            run = instance.get_run_by_id(lock_file.name)
            if run is not None and not run.is_finished:
                instance.report_run_failed(run, ORPHANED_RUN_MESSAGE)
            instance.event_log_storage.free_concurrency_slots_for_run(lock_file.name)
            lock_file.unlink(missing_ok=True)
