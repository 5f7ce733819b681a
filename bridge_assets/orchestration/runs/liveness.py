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

DEATH = "The process of this run ended without a word: it was killed, or the machine went down."


@contextmanager
def alive(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the sign of life of a run, after seeing to the runs that have lost theirs."""
    signs = Path(instance.root_directory) / "alive"
    signs.mkdir(parents=True, exist_ok=True)
    see_to_dead_runs(instance, signs)
    unlocked, sign = signs / f".{run_id}", signs / run_id
    with unlocked.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        unlocked.rename(sign)  # nobody ever sees a sign of this run that is not locked
        try:
            yield
        finally:
            sign.unlink(missing_ok=True)


def see_to_dead_runs(instance: dg.DagsterInstance, signs: Path) -> None:
    """Report dead runs as failed, and give back their places in pools."""
    for sign in signs.glob("[!.]*"):
        with sign.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            run = instance.get_run_by_id(sign.name)
            if run is not None and not run.is_finished:
                instance.report_run_failed(run, DEATH)
            instance.event_log_storage.free_concurrency_slots_for_run(sign.name)
            sign.unlink(missing_ok=True)
