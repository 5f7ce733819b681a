"""Reads the evaluations of checks from Dagster's event log for the gate.

The gate decides without Dagster; this module only reads every recorded evaluation of a check, from any run, with the
digest that it evaluated (metadata `about`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS, CheckEvaluation, Decision, decide
from bridge_assets.registry.model_version import ModelVersion

#: Metadata key of the digest that a check evaluated.
JUDGED_DIGEST_KEY = "about"

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
            )


def gate_decision(instance: dg.DagsterInstance, model_version: ModelVersion) -> Decision:
    """The gate's decision on a model version, from all recorded evaluations of the required checks."""
    recorded = [
        evaluation
        for requirement in REQUIRED_CHECKS
        for evaluation in check_evaluations(instance, requirement.asset, requirement.check)
    ]
    return decide(model_version.version, model_version.stages, recorded)


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
    """Recorded evaluations with their events, in the order in which the checks were planned, not evaluated."""
    cursor = None
    while page := instance.event_log_storage.get_asset_check_execution_history(key, limit=_PAGE, cursor=cursor):
        for record in page:
            event = record.event and record.event.dagster_event
            if record.event and event and isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
                yield record.event, event.event_specific_data
        cursor = page[-1].id
