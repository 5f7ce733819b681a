"""Jobs, runs in progress, daemons, sensors and schedules of an instance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from bridge_assets.metrics.exporter import Reading

#: Statuses of runs that have not ended.
_OPEN = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def read_jobs(instance: dg.DagsterInstance, jobs: Sequence[str]) -> Iterator[Reading]:
    """When each job last succeeded and failed, and how long it took. A job that never did has no value.

    Parameters
    ----------
    instance : DagsterInstance
    jobs : sequence of str
        Their names; `__ASSET_JOB` is what the UI calls a materialization of assets without a job.
    """
    succeeded: dict[tuple[str, ...], float] = {}
    failed: dict[tuple[str, ...], float] = {}
    seconds: dict[tuple[str, ...], float] = {}
    for job in jobs:
        for status, ends in ((dg.DagsterRunStatus.SUCCESS, succeeded), (dg.DagsterRunStatus.FAILURE, failed)):
            for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=[status]), limit=1):
                if record.end_time:
                    ends[job,] = record.end_time
                if record.end_time and record.start_time and ends is succeeded:
                    seconds[job,] = record.end_time - record.start_time
    label = ("dagster_job",)
    yield Reading(
        "bridge_assets_job_last_success_timestamp_seconds", "End of the last successful run.", label, succeeded
    )
    yield Reading("bridge_assets_job_last_failure_timestamp_seconds", "End of the last failed run.", label, failed)
    yield Reading("bridge_assets_job_last_success_duration_seconds", "How long that run took.", label, seconds)


def read_queue(instance: dg.DagsterInstance) -> Iterator[Reading]:
    """How many runs have not ended, and since when the oldest of them has been waiting or running."""
    counts: dict[tuple[str, ...], float] = {}
    oldest: dict[tuple[str, ...], float] = {}
    for status in _OPEN:
        filters, name = dg.RunsFilter(statuses=[status]), status.value.lower()
        counts[name,] = instance.get_runs_count(filters)
        for record in instance.get_run_records(filters, limit=1, ascending=True) if counts[name,] else ():
            oldest[name,] = record.start_time or record.create_timestamp.timestamp()
    yield Reading("bridge_assets_runs_open", "Runs that have not ended, by status.", ("status",), counts)
    yield Reading(
        "bridge_assets_runs_open_since_timestamp_seconds",
        "When the oldest run of this status was started or, before that, created.",
        ("status",),
        oldest,
    )


def read_daemons(instance: dg.DagsterInstance) -> Iterator[Reading]:
    """The last heartbeat of each daemon, and the errors that it reported with it."""
    heartbeats = instance.get_daemon_heartbeats()
    yield Reading(
        "bridge_assets_daemon_heartbeat_timestamp_seconds",
        "Last heartbeat of this daemon of Dagster.",
        ("daemon",),
        {(daemon,): heartbeat.timestamp for daemon, heartbeat in heartbeats.items()},
    )
    yield Reading(
        "bridge_assets_daemon_errors",
        "Errors that it reported with its last heartbeat.",
        ("daemon",),
        {(daemon,): len(heartbeat.errors or ()) for daemon, heartbeat in heartbeats.items()},
    )


def read_ticks(instance: dg.DagsterInstance) -> Iterator[Reading]:
    """Whether each sensor and schedule runs, when its last tick was, and whether that failed."""
    running: dict[tuple[str, ...], float] = {}
    at: dict[tuple[str, ...], float] = {}
    failed: dict[tuple[str, ...], float] = {}
    for state in instance.all_instigator_state() if instance.schedule_storage else ():
        labels = (state.name, state.instigator_type.value.lower())
        running[labels] = float(state.is_running)
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
        if ended := [tick for tick in ticks if tick.status is not TickStatus.STARTED]:
            at[labels] = ended[0].timestamp
            failed[labels] = float(ended[0].status is TickStatus.FAILURE)
    label = ("name", "kind")
    yield Reading("bridge_assets_instigator_running", "1 if this sensor or schedule is switched on.", label, running)
    yield Reading("bridge_assets_last_tick_timestamp_seconds", "Its last tick that has ended.", label, at)
    yield Reading("bridge_assets_last_tick_failed", "1 if that tick failed.", label, failed)
