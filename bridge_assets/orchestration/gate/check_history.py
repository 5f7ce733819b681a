"""Reads the evaluations of checks from Dagster's event log for the gate.

The gate decides without Dagster; this module only reads every recorded evaluation of a check, from any run, with what
it judged (`judged`).

A check passed only where a step of a run said so and succeeded. Dagster's webserver also accepts evaluations from
anyone who reaches its port (`POST /report_asset_check/...`, without credentials), and so does Python
(`report_runless_asset_event`); they belong to no run and do not count. Who can write to Dagster's storage can still
forge a run, unless the environment holds a key (`deployment.gate.signature`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.execution.stats import StepEventStatus

from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS, CheckEvaluation, Decision, decide
from bridge_assets.deployment.gate.signature import gate_key
from bridge_assets.orchestration.event_log import evaluations
from bridge_assets.orchestration.gate.judged import judged_of, signature_problem, signed_time

if TYPE_CHECKING:
    from bridge_assets.deployment.gate.content import VersionContent
    from bridge_assets.settings import GateSettings


def check_evaluations(
    instance: dg.DagsterInstance, asset: str, check: str, succeeded: StepSucceeded | None = None
) -> Iterator[CheckEvaluation]:
    """Every recorded evaluation of a check, in any order. A check that raised an error left no evaluation.

    An evaluation of several survey years is one per year: where it failed and says which years did, the others passed.

    Parameters
    ----------
    instance : DagsterInstance
    asset, check : str
    succeeded : callable, optional
        Run and step -> whether it succeeded; shared by the checks of one decision, so that each step is looked up once.
    """
    key = gate_key()
    for event, evaluation, refused in check_history(instance, dg.AssetCheckKey(dg.AssetKey(asset), check), succeeded):
        judged = judged_of(evaluation)
        verdicts = judged.verdicts(evaluation.passed)
        some_passed = any(passed for _, passed in verdicts)
        if some_passed and not evaluation.passed and not step_ended(instance, event.run_id, event.step_key):
            refused = (
                "a pass of some survey years was reported, but no step of a run that still exists has ended with it"
            )
        if key and some_passed and not refused:
            refused = signature_problem(key, evaluation, event.run_id)
        for digest, passed in verdicts:
            yield CheckEvaluation(
                asset=asset,
                check=check,
                passed=passed,
                digest=digest,
                timestamp=signed_time(evaluation) if key and some_passed and not refused else event.timestamp,
                run_id=event.run_id,
                message=evaluation.description or "",
                champion=judged.champion or "",
                limits=judged.limits,
                refused=refused if passed else "",
            )


def gate_decision(
    instance: dg.DagsterInstance, content: VersionContent, champion: str, settings: GateSettings
) -> Decision:
    """The gate's decision on a model version, from all recorded evaluations of the required checks.

    Parameters
    ----------
    instance : DagsterInstance
    content : VersionContent
    champion : str
        Today's champion; empty = there is none (`deployment.gate.challenge.current_champion`).
    settings : GateSettings
        Today's limits.
    """
    succeeded = cache(partial(step_succeeded, instance))
    recorded = [
        evaluation
        for requirement in REQUIRED_CHECKS
        for evaluation in check_evaluations(instance, requirement.asset, requirement.check, succeeded)
    ]
    return decide(content, recorded, champion=champion, settings=settings)


def data_problems(
    instance: dg.DagsterInstance,
    raw_bridges: dict[str, str],
    raw_checks: Sequence[str],
    dbt_checks: Sequence[dg.AssetCheckKey],
) -> list[str]:
    """Reasons not to trust the data behind a training set, one message each.

    Parameters
    ----------
    instance : DagsterInstance
    raw_bridges : dict
        Survey year -> digest of the records that were used.
    raw_checks : sequence of str
        Names of the checks on raw_bridges that must have passed for each of those digests.
    dbt_checks : sequence of AssetCheckKey
        Checks whose latest evaluation must have passed, and must not be older than the table it evaluated.
    """
    problems = []
    for check in raw_checks:
        passed_by_digest = {
            evaluation.digest: evaluation.passed
            for evaluation in sorted(check_evaluations(instance, "raw_bridges", check), key=lambda each: each.timestamp)
            if not evaluation.refused
        }
        for year, digest in raw_bridges.items():
            if not passed_by_digest.get(digest, False):
                state = "failed" if digest in passed_by_digest else "was not evaluated on the records in use"
                problems.append(f"raw_bridges:{check}[{year}] {state}")
    for key in dbt_checks:
        problem = _dbt_problem(instance, key)
        if problem:
            problems.append(f"{key.asset_key.to_user_string()}:{key.name} {problem}")
    return problems


def _dbt_problem(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> str | None:
    latest = latest_that_counts(instance, key)
    if latest is None:
        return "was never evaluated"
    event, evaluation = latest
    if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR:
        return "failed"
    materialization = instance.get_latest_materialization_event(key.asset_key)
    # dbt reports a model and its tests in one run: a different run that built the table later did not run this test.
    if (
        materialization is not None
        and materialization.run_id != event.run_id
        and materialization.timestamp > event.timestamp
    ):
        return "was evaluated before the table was rebuilt"
    return None


def check_history(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, succeeded: StepSucceeded | None = None
) -> Iterator[tuple[dg.EventLogEntry, dg.AssetCheckEvaluation, str]]:
    """Recorded evaluations with their events, and why one does not count (empty = it does; a failure of severity ERROR
    always does), in the order in which the checks were planned, not evaluated.
    """
    succeeded = succeeded or cache(partial(step_succeeded, instance))
    for event, evaluation in evaluations(instance, key):
        refused = ""
        # A failure that only warns says as much as a pass: posted, it would hide one that blocks.
        blocks = not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
        if not blocks and not succeeded(event.run_id, event.dagster_event and event.dagster_event.step_key):
            refused = "a pass was reported, but no step of a run that still exists has succeeded with it"
        yield event, evaluation, refused


def latest_that_counts(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey
) -> tuple[dg.EventLogEntry, dg.AssetCheckEvaluation] | None:
    """The newest evaluation that counts (`check_history`); None if there is none."""
    counted = ((event, evaluation) for event, evaluation, refused in check_history(instance, key) if not refused)
    return max(counted, key=lambda each: each[0].timestamp, default=None)


#: Run id and step key -> whether the run exists and its step succeeded (`step_succeeded`).
StepSucceeded = Callable[[str, str | None], bool]


def step_succeeded(instance: dg.DagsterInstance, run_id: str, step_key: str | None) -> bool:
    """Whether a run exists and its step succeeded."""
    return step_ended(instance, run_id, step_key, (StepEventStatus.SUCCESS,))


def step_ended(
    instance: dg.DagsterInstance,
    run_id: str,
    step_key: str | None,
    statuses: Sequence[StepEventStatus] = (StepEventStatus.SUCCESS, StepEventStatus.FAILURE),
) -> bool:
    """Whether a run exists and its step ended in one of these ways; a blocking check that fails fails its step."""
    if not run_id or step_key is None or instance.get_run_by_id(run_id) is None:
        return False
    return any(step.status in statuses for step in instance.get_run_step_stats(run_id, [step_key]))
