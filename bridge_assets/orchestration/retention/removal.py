"""Removes runs from Dagster's storage, with their events, captured output and, with SQLite, their files."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from bridge_assets.orchestration.retention.evidence import TAG_PREFIX

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

_PAGE = 500

#: After so many removed runs, one line of progress.
_PROGRESS = 500


@dataclass
class Removal:
    """What was removed, or would be.

    Attributes
    ----------
    removed : int
        Runs.
    kept : dict of str to int
        Reason -> old runs that stay because of it.
    ticks : int
        Sensors and schedules whose old ticks were removed.
    by_job : dict of str to int
        Job -> removed runs.
    """

    removed: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    ticks: int = 0
    by_job: dict[str, int] = field(default_factory=dict)


def remove_old_runs(
    instance: dg.DagsterInstance,
    before: float,
    keep: Mapping[str, str],
    dry_run: bool,
    log: Callable[[str], object] = lambda text: None,
) -> Removal:
    """Remove the runs that ended before a moment, and the ticks before it.

    Parameters
    ----------
    instance : DagsterInstance
    before : float
        Seconds since the epoch.
    keep : mapping of str to str
        Run -> why it stays.
    dry_run : bool
        Only count.
    log : callable
        Takes a line of progress.
    """
    result, is_latest = Removal(), _latest_runs(instance)
    # Listed first: removing while paging would skip runs.
    for record in list(_ended_before(instance, before)):
        run = record.dagster_run
        reason = keep.get(run.run_id) or _tagged(run) or is_latest(run)
        if reason:
            result.kept[reason] = result.kept.get(reason, 0) + 1
            continue
        result.removed += 1
        result.by_job[run.job_name] = result.by_job.get(run.job_name, 0) + 1
        if not dry_run:
            _remove(instance, run.run_id)
            if result.removed % _PROGRESS == 0:
                log(f"{result.removed:,} runs removed")
    result.ticks = _purge_ticks(instance, before, dry_run)
    return result


def _latest_runs(instance: dg.DagsterInstance) -> Callable[[dg.DagsterRun], str]:
    """Says why a run stays that is the latest of its job and outcome: "last success" has to have a date."""
    latest: dict[tuple[str, dg.DagsterRunStatus], str] = {}

    def reason(run: dg.DagsterRun) -> str:
        key = (run.job_name, run.status)
        if key not in latest:
            [newest] = instance.get_runs(dg.RunsFilter(job_name=run.job_name, statuses=[run.status]), limit=1)
            latest[key] = newest.run_id
        return f"the latest run of {run.job_name} with its outcome" if latest[key] == run.run_id else ""

    return reason


def _ended_before(instance: dg.DagsterInstance, before: float) -> Iterator[dg.RunRecord]:
    created = dg.RunsFilter(statuses=_FINISHED, created_before=datetime.datetime.fromtimestamp(before, datetime.UTC))
    cursor = None
    while page := instance.get_run_records(created, limit=_PAGE, cursor=cursor):
        yield from (record for record in page if _ended(record) < before)
        cursor = page[-1].dagster_run.run_id


def _ended(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()


def _tagged(run: dg.DagsterRun) -> str:
    tag = next((tag for tag in run.tags if tag.startswith(TAG_PREFIX)), "")
    return f"the tag {tag}" if tag else ""


def _remove(instance: dg.DagsterInstance, run_id: str) -> None:
    # The run goes last: a kill in between leaves it to be found and finished the next time.
    instance.event_log_storage.delete_events(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    instance.delete_run(run_id)
    path_of = getattr(instance.event_log_storage, "path_for_shard", None)  # SQLite: one file a run, emptied only
    if path_of:
        path = Path(path_of(run_id))
        for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            each.unlink(missing_ok=True)


def _purge_ticks(instance: dg.DagsterInstance, before: float, dry_run: bool) -> int:
    """Remove old ticks; returns how many sensors and schedules had some."""
    purged = 0
    for state in instance.all_instigator_state() if instance.schedule_storage else ():
        if instance.get_ticks(state.instigator_origin_id, state.selector_id, before=before, limit=1):
            purged += 1
            if not dry_run:
                instance.purge_ticks(state.instigator_origin_id, state.selector_id, before)
    return purged
