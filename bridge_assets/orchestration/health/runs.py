"""Runs that do not move: without an event for long, much longer than usual, or waiting to start."""

from __future__ import annotations

from statistics import median

import dagster as dg

from bridge_assets.orchestration.health.findings import Findings, minutes
from bridge_assets.settings.operations import HealthSettings

#: Runs that one reading looks at; more than these at once are a problem of their own.
_MAX_RUNS = 500

#: Successful runs of a job that say how long it usually takes.
_USUAL_RUNS = 20

#: With fewer, nothing is known about what is usual.
_LEAST_RUNS = 3

_RUNNING = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]


def stuck_runs(instance: dg.DagsterInstance, settings: HealthSettings, now: float, own_run: str = "") -> Findings:
    """Runs in progress that seem to be stuck.

    Parameters
    ----------
    instance : DagsterInstance
    settings : HealthSettings
    now : float
        Seconds since the epoch. A start in the future (the clock was set back) counts as now.
    own_run : str
        The run that asks, which is left out.
    """
    problems, usual = [], {}
    running = [each for each in _records(instance, _RUNNING) if each.dagster_run.run_id != own_run]
    for record in running:
        run = record.dagster_run
        took = now - (record.start_time or record.create_timestamp.timestamp())
        silent = now - _last_event(instance, run.run_id)
        if run.job_name not in usual:
            usual[run.job_name] = _usual_seconds(instance, run.job_name)
        normal = usual[run.job_name]
        if silent > settings.silent_minutes * 60:
            problems.append(f"{_name(run)} has had no event for {minutes(silent)}")
        elif normal and took > max(normal * settings.slow_factor, settings.slow_minutes * 60):
            problems.append(f"{_name(run)} has been running for {minutes(took)}, usually it takes {minutes(normal)}")
    waiting = _records(instance, _WAITING)
    for record in waiting:
        waited = now - record.create_timestamp.timestamp()
        if waited > settings.queued_minutes * 60:
            problems.append(f"{_name(record.dagster_run)} has waited for {minutes(waited)} to start")
    return Findings(
        problems,
        {"running": len(running), "waiting": len(waiting), "stuck": len(problems)},
        "look at the run's log in the UI; terminate it if its process is gone (a run whose pod or machine died can "
        "only be marked as failed), and see the limits of the queue in dagster.yaml if it waits",
        f"{len(running)} runs in progress, {len(waiting)} waiting, none is stuck",
    )


def _records(instance: dg.DagsterInstance, statuses: list[dg.DagsterRunStatus]) -> list[dg.RunRecord]:
    return list(instance.get_run_records(dg.RunsFilter(statuses=statuses), limit=_MAX_RUNS))


def _last_event(instance: dg.DagsterInstance, run_id: str) -> float:
    """When a run last said something, in seconds since the epoch; now if it has no events yet."""
    page = instance.get_records_for_run(run_id, limit=1, ascending=False)
    return page.records[0].event_log_entry.timestamp if page.records else float("inf")


def _usual_seconds(instance: dg.DagsterInstance, job: str) -> float:
    """Median duration of the last successful runs of a job; 0 if there are too few."""
    succeeded = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
    records = instance.get_run_records(succeeded, limit=_USUAL_RUNS)
    took = [each.end_time - each.start_time for each in records if each.end_time and each.start_time]
    return median(took) if len(took) >= _LEAST_RUNS else 0.0


def _name(run: dg.DagsterRun) -> str:
    return f"run {run.run_id[:8]} of {run.job_name}"
