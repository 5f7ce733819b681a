"""Reads the evaluations of checks from Dagster's event log for the gate.

The gate decides without Dagster; this module only reads every recorded evaluation of a check, from any run, with the
digest that it evaluated (metadata `about`).

A check passed only where a step of a run said so and succeeded. Dagster's webserver also accepts evaluations from
anyone who reaches its port (`POST /report_asset_check/...`, without credentials), and so does Python
(`report_runless_asset_event`); they belong to no run and do not count. Who can write to Dagster's storage can still
forge a run: protect it like the model files themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

import dagster as dg
from dagster._core.execution.stats import StepEventStatus

from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS, CheckEvaluation, Decision, decide
from bridge_assets.registry.model_version import ModelVersion

#: Metadata key of the digest that a check evaluated.
JUDGED_DIGEST_KEY = "about"

#: Metadata key of the version that `not_worse_than_champion` compared with; empty = there was no champion.
CHAMPION_KEY = "champion"

_PAGE = 100


def judged_metadata(digests: str | dict[str, str], **metadata) -> dict[str, dg.MetadataValue]:
    """Metadata of a check result with the digest of the bytes that were evaluated, or one digest per survey year."""
    value = dg.MetadataValue.json(digests) if isinstance(digests, dict) else dg.MetadataValue.text(digests)
    return {JUDGED_DIGEST_KEY: value, **metadata}


def check_evaluations(instance: dg.DagsterInstance, asset: str, check: str) -> Iterator[CheckEvaluation]:
    """Every recorded evaluation of a check, in any order. A check that raised an error left no evaluation."""
    for event, evaluation in _check_history(instance, dg.AssetCheckKey(dg.AssetKey(asset), check)):
        entry = evaluation.metadata.get(JUDGED_DIGEST_KEY)
        values = entry.value if entry is not None else None
        for digest in values.values() if isinstance(values, dict) else [values]:
            yield CheckEvaluation(
                asset=asset,
                check=check,
                passed=evaluation.passed,
                digest=str(digest),
                timestamp=event.timestamp,
                run_id=event.run_id,
                message=evaluation.description or "",
                champion=_text(evaluation, CHAMPION_KEY),
            )


def _text(evaluation: dg.AssetCheckEvaluation, key: str) -> str:
    entry = evaluation.metadata.get(key)
    return entry.value if entry is not None and isinstance(entry.value, str) else ""


def gate_decision(instance: dg.DagsterInstance, model_version: ModelVersion, champion: str) -> Decision:
    """The gate's decision on a model version, from all recorded evaluations of the required checks.

    Parameters
    ----------
    instance : DagsterInstance
    model_version : ModelVersion
    champion : str
        Today's champion; empty = there is none (`deployment.gate.challenge.current_champion`).
    """
    recorded = [
        evaluation
        for requirement in REQUIRED_CHECKS
        for evaluation in check_evaluations(instance, requirement.asset, requirement.check)
    ]
    return decide(model_version.version, model_version.stages, recorded, champion=champion)


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
    latest = max(_check_history(instance, key), key=lambda each: each[0].timestamp, default=None)
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


def _check_history(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey
) -> Iterator[tuple[dg.EventLogEntry, dg.AssetCheckEvaluation]]:
    """Recorded evaluations with their events, in the order in which the checks were planned, not evaluated. Those that
    passed outside a successful step are left out; a failure counts wherever it was reported.
    """
    cursor, succeeded = None, cache(partial(_succeeded, instance))
    while page := instance.event_log_storage.get_asset_check_execution_history(key, limit=_PAGE, cursor=cursor):
        for record in page:
            event = record.event and record.event.dagster_event
            if not (record.event and event and isinstance(event.event_specific_data, dg.AssetCheckEvaluation)):
                continue
            evaluation = event.event_specific_data
            if not evaluation.passed or succeeded(record.event.run_id, event.step_key):
                yield record.event, evaluation
        cursor = page[-1].id


def _succeeded(instance: dg.DagsterInstance, run_id: str, step_key: str | None) -> bool:
    """Whether the run exists and its step succeeded."""
    if not run_id or step_key is None or instance.get_run_by_id(run_id) is None:
        return False
    return any(step.status is StepEventStatus.SUCCESS for step in instance.get_run_step_stats(run_id, [step_key]))
