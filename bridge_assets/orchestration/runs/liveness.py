"""Detects runs of `bridge-assets run` that were killed: Dagster's storage still shows them as started.

A run holds a lock on a file for as long as its process lives. A file that no process has locked belongs to a dead run;
the next run reports it as failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from bridge_assets.file_lock import LockHeldError, file_lock

ORPHANED_RUN_MESSAGE = "The process of this run ended without reporting: it was killed, or the machine went down."


@contextmanager
def run_liveness_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock file of a run, after reporting runs whose process has ended as failed."""
    lock_folder = Path(instance.root_directory) / "alive"
    fail_orphaned_runs(instance, lock_folder)
    pending_lock_file, lock_file = lock_folder / f".{run_id}", lock_folder / run_id
    with file_lock(pending_lock_file):
        pending_lock_file.rename(lock_file)  # no other process ever sees this run's file without its lock
        try:
            yield
        finally:
            lock_file.unlink(missing_ok=True)


def fail_orphaned_runs(instance: dg.DagsterInstance, lock_folder: Path) -> None:
    """Report the runs whose process has ended as failed."""
    for path in lock_folder.glob("[!.]*"):
        try:
            with file_lock(path, timeout=0):
                run = instance.get_run_by_id(path.name)
                if run is not None and not run.is_finished:
                    instance.report_run_failed(run, ORPHANED_RUN_MESSAGE)
                path.unlink(missing_ok=True)
        except LockHeldError:
            continue
