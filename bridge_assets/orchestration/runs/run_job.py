"""Runs a job in this process and records it in Dagster's storage, so that the UI shows it afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution import compute_logs
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.workspace.load_target import WorkspaceFileTarget

from bridge_assets.orchestration.assets.features import NO_TRAINING_KEY
from bridge_assets.orchestration.partitions import RANGE_END, RANGE_START
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.runs.dagster_home import ensure_dagster_home
from bridge_assets.orchestration.runs.liveness import run_liveness_lock
from bridge_assets.orchestration.runs.progress import RunProgress
from bridge_assets.settings import DataSettings, workspace_file

#: Module of the code location, and its variable that holds the definitions.
_CODE_LOCATION = ("bridge_assets.definitions", "defs")


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
    canceled : bool
        Whether the run was stopped by Ctrl-C or SIGTERM.
    interrupted_step : str or None
        The step in which it was stopped; None if that was between two steps.
    finished_steps : list of str
        The steps that succeeded.
    no_model_reason : str
        Why there was too little to train a model on, so that everything that needs one was skipped; otherwise empty.
    """

    success: bool
    run_id: str
    seconds: float
    materializations: dict[str, dict[str, Any]]
    checks: dict[str, tuple[bool, str, str]]
    errors: list[tuple[str, str]]
    canceled: bool = False
    interrupted_step: str | None = None
    finished_steps: list[str] = field(default_factory=list)
    no_model_reason: str = ""


def run_job(
    job: str,
    years: tuple[int, int] | None = None,
    run_config: dict[str, Any] | None = None,
    terminal: TextIO | None = None,
) -> RunResult:
    """Run a job of the code location as one run, in this process.

    Parameters
    ----------
    job : str
        Name of the job.
    years : tuple of (int, int), optional
        First and last survey year; None for a job without partitions.
    run_config : dict, optional
        As in the launchpad.
    terminal : TextIO, optional
        Where the steps are shown (`RunProgress`); default: nowhere.
    """
    ensure_dagster_home(DataSettings.load())
    started, run_id = time.monotonic(), str(uuid.uuid4())
    # Failures are in the result and in Dagster's log; a stack trace on the terminal would bury the summary.
    quiet_loggers = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    reconstructable_job = _reconstructable_job(job)
    progress = RunProgress(terminal)
    with dg.DagsterInstance.get() as instance, run_liveness_lock(instance, run_id), progress:
        instance.add_event_listener(run_id, lambda entry: _follow(entry, progress, instance))
        run = instance.create_run_for_job(
            reconstructable_job.get_definition(),
            run_id=run_id,
            tags={} if years is None else {RANGE_START: str(years[0]), RANGE_END: str(years[1])},
            run_config={**(run_config or {}), **quiet_loggers},
            remote_job_origin=_remote_origin(job),
            job_code_origin=reconstructable_job.get_python_origin(),
        )
        # dbt also prints its log to the terminal; `<home>/dbt` has a copy.
        with Path(os.devnull).open("w") as devnull, contextlib.redirect_stdout(devnull), _logs_only_to_files():
            result = _execute(reconstructable_job, run, instance)
        Platform().close_to_others()
        stopped = instance.get_run_by_id(run_id)
    canceled = stopped is not None and stopped.status == dg.DagsterRunStatus.CANCELED
    seconds = time.monotonic() - started
    if result is None:
        return RunResult(False, run_id, seconds, {}, {}, [], canceled, progress.interrupted, progress.finished)
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
    return RunResult(
        result.success,
        run_id,
        seconds,
        materialized,
        checks,
        step_errors(result),
        canceled,
        progress.interrupted,
        progress.finished,
        _no_model_reason(result),
    )


def _execute(job: ReconstructableJob, run: dg.DagsterRun, instance: dg.DagsterInstance) -> dg.JobExecutionResult | None:
    """Execute the run; None if it was stopped before its first step or after its last."""
    try:
        with _quiet_about_skipped_checks():
            return execute_run(job, run, instance)
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        instance.report_run_canceled(run)
        return None


@contextlib.contextmanager
def _logs_only_to_files() -> Iterator[None]:
    """Capture what steps print in Dagster's log files, as always, but do not also print it on the terminal.

    For that Dagster starts four processes, which print stack traces on Ctrl-C.
    """

    @contextlib.contextmanager
    def no_mirror(path: str, stream: TextIO) -> Iterator[tuple[None, None]]:
        yield None, None

    mirror = compute_logs.tail_to_stream
    compute_logs.tail_to_stream = no_mirror
    try:
        yield
    finally:
        compute_logs.tail_to_stream = mirror


def _follow(entry: dg.EventLogEntry, progress: RunProgress, instance: dg.DagsterInstance) -> None:
    """Show the event. When a step was interrupted, request the cancellation that Dagster then records; without a
    request it would call the run failed, and the daemon might retry it.
    """
    progress.on_event(entry)
    event = entry.dagster_event
    if progress.interrupted and event is not None and event.is_step_failure:
        run = instance.get_run_by_id(entry.run_id)
        if run is not None and not run.is_finished:
            instance.report_run_canceling(run)


@contextlib.contextmanager
def _quiet_about_skipped_checks() -> Iterator[None]:
    """Keep off the terminal what Dagster warns about a blocking check that was skipped with its asset: that steps "will
    proceed without gating on it". They do not proceed: without the asset, Dagster skips them too.
    """

    def keep(record: logging.LogRecord) -> bool:
        return "emitted no result" not in str(record.msg)

    logger = logging.getLogger("dagster._core.execution.plan.active")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _no_model_reason(result: dg.JobExecutionResult) -> str:
    """What training_set observed if there was too little to train on; empty if it was materialized."""
    observations = [event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()]
    reasons = [each.metadata.get(NO_TRAINING_KEY) for each in observations if each.asset_key.path == ["training_set"]]
    return next((str(reason.value) for reason in reasons if reason), "")


def _reconstructable_job(job: str) -> ReconstructableJob:
    module, variable = _CODE_LOCATION
    return ReconstructableRepository.for_module(module, variable).get_reconstructable_job(job)


def _remote_origin(job: str) -> RemoteJobOrigin:
    """Where `dagster dev -w workspace.yaml` finds the job: the UI shows a run under its job, and on the timeline, only
    if the run names the same origin. `execute_in_process` records none.
    """
    (location,) = WorkspaceFileTarget([str(workspace_file())]).create_origins()
    return RemoteJobOrigin(
        repository_origin=RemoteRepositoryOrigin(
            code_location_origin=location, repository_name=SINGLETON_REPOSITORY_NAME
        ),
        job_name=job,
    )


def step_errors(result: dg.ExecuteInProcessResult | dg.JobExecutionResult) -> list[tuple[str, str]]:
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
