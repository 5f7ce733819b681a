"""Runs a job in this process and records it in Dagster's storage, so that the UI shows it afterwards."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from bridge_assets.orchestration.partitions import RANGE_END, RANGE_START
from bridge_assets.orchestration.runs.dagster_home import ensure_dagster_home
from bridge_assets.orchestration.runs.liveness import run_liveness_lock
from bridge_assets.settings import DataSettings


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes
    ----------
    success : bool
    run_id : str
    seconds : float
    materializations : dict
        Asset -> metadata of its last materialization in this run.
    checks : dict
        `asset:check` -> (passed, severity, description).
    errors : list of (str, str)
        Step and message of everything that failed.
    """

    success: bool
    run_id: str
    seconds: float
    materializations: dict[str, dict[str, Any]]
    checks: dict[str, tuple[bool, str, str]]
    errors: list[tuple[str, str]]


def run_job(
    defs: dg.Definitions,
    job: str,
    years: tuple[int, int],
    run_config: dict[str, Any] | None = None,
    on_progress: Callable[[str], None] = lambda line: None,
) -> RunResult:
    """Run a job over a range of survey years as one run, in this process.

    Parameters
    ----------
    defs : Definitions
    job : str
        Name of the job.
    years : tuple of (int, int)
        First and last survey year.
    run_config : dict, optional
        As in the launchpad.
    on_progress : callable
        Called with one line whenever a step ends.
    """
    ensure_dagster_home(DataSettings.load())
    started, run_id = time.monotonic(), str(uuid.uuid4())
    # Errors are in the result and in Dagster's log; a stack trace on the terminal would only hide the message.
    quiet_loggers = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.get() as instance, run_liveness_lock(instance, run_id):
        instance.add_event_listener(run_id, lambda entry: _report_step(entry, on_progress))
        # dbt also prints its log to the terminal; `<home>/dbt` has a copy.
        with Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull):
            result = defs.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_id=run_id,
                tags={RANGE_START: str(years[0]), RANGE_END: str(years[1])},
                run_config={**(run_config or {}), **quiet_loggers},
                raise_on_error=False,
            )
    materialized = {
        event.asset_key.to_user_string(): {key: value.value for key, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    checks = {
        f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}": (
            evaluation.passed,
            evaluation.severity.value,
            evaluation.description or "",
        )
        for evaluation in result.get_asset_check_evaluations()
    }
    return RunResult(result.success, run_id, time.monotonic() - started, materialized, checks, step_errors(result))


def _report_step(entry: dg.EventLogEntry, on_progress: Callable[[str], None]) -> None:
    event = entry.dagster_event
    if event is None or not event.step_key:
        return
    if event.is_step_success:
        on_progress(f"  {event.step_key:<48}{event.step_success_data.duration_ms / 1000:6.1f} s")
    elif event.is_step_failure:
        on_progress(f"  {event.step_key:<48}failed")


def step_errors(result: dg.ExecuteInProcessResult) -> list[tuple[str, str]]:
    found = []
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            message = failure.user_failure_data.description if failure.user_failure_data else None
            error = failure.error
            while error and error.cause:
                error = error.cause
            found.append((event.step_key or "", message or (error.message.strip() if error else "no error message")))
    return found
