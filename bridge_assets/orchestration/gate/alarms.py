"""Alarms of the watch: what closes the gate for models that were trained before it.

A check of the watch that fails with severity ERROR says that the model that serves is no longer what its own checks
said it was: its predictions have shifted, or its published scores turned out much worse than expected. A model that was
trained before has not seen why, so it takes a person to say that it may be deployed nevertheless. A model that is
trained afterwards has its own checks.

An alarm ends when the same check passes for the same model and survey year, or when somebody acknowledges it with a
reason (`acknowledge`). As for the checks of the gate, a failure counts whoever reported it, and a pass only where a
step of a run stands behind it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import dagster as dg

from bridge_assets.alerting.text import utc_minute
from bridge_assets.deployment.gate.signature import gate_key, is_signed, sign
from bridge_assets.errors import DeploymentError
from bridge_assets.orchestration.event_log import observations
from bridge_assets.orchestration.gate.check_history import StepSucceeded, check_history, step_ended, step_succeeded
from bridge_assets.orchestration.gate.judged import judged_of, signature_problem, signed_time
from bridge_assets.orchestration.gate.materialized import materialized_versions

#: The checks that raise alarms: asset and check.
WATCHED_CHECKS = (("drift_report", "predictions_within_limits"), ("realised_quality", "as_expected"))

#: Metadata keys of the observation that acknowledges the alarms of a check.
ACKNOWLEDGED_KEY, ACKNOWLEDGED_AT, REASON_KEY, _SIGNATURE = "acknowledged", "acknowledged_at", "reason", "signature"


@dataclass(frozen=True)
class Alarm:
    """A check of the watch that fails for a model and a survey year.

    Attributes
    ----------
    asset, check : str
    survey_year : str
    model_version : str
        The model that served.
    since : float
        When it first failed without having passed since, Unix seconds.
    run_id : str
        The run in which it did.
    message : str
        The check's own description, one line.
    """

    asset: str
    check: str
    survey_year: str
    model_version: str
    since: float
    run_id: str
    message: str

    @property
    def name(self) -> str:
        return f"{self.asset}:{self.check}"


def open_alarms(instance: dg.DagsterInstance) -> list[Alarm]:
    """The alarms that have neither ended nor been acknowledged, oldest first."""
    succeeded = cache(partial(step_succeeded, instance))
    alarms = [
        alarm
        for asset, check in WATCHED_CHECKS
        for alarm in _alarms_of(instance, asset, check, succeeded)
        if alarm.since > _acknowledged_at(instance, asset, check, succeeded)
    ]
    return sorted(alarms, key=lambda alarm: alarm.since)


def alarm_objections(instance: dg.DagsterInstance, version: str) -> tuple[str, ...]:
    """Why a model version must not simply be deployed: an alarm was raised after it was trained."""
    alarms = open_alarms(instance)
    if not alarms:
        return ()
    trained = trained_at(instance, version)
    return tuple(
        f"{alarm.name} fails for survey year {alarm.survey_year} since {utc_minute(alarm.since)} "
        f"(run {alarm.run_id[:8]}): {alarm.message}. {_when(trained)}. What to do: train a new version, or find the "
        f'cause and acknowledge it with `bridge-assets acknowledge {alarm.asset} --reason "..."`'
        for alarm in alarms
        if trained is None or trained < alarm.since
    )


def trained_at(instance: dg.DagsterInstance, version: str) -> float | None:
    """When a version was trained first, Unix seconds; None if no run of this platform trained it.

    The version is a digest of its inputs: training it again gives the same model, which knows nothing new.
    """
    trainings = materialized_versions(instance, "bridge_model", ascending=True)
    return next((each.at for each in trainings if each.version == version), None)


def acknowledgement(asset: str, check: str, reason: str, run_id: str) -> dict[str, Any]:
    """The metadata of an observation that acknowledges the alarms of a check so far, signed where there is a key."""
    said = {ACKNOWLEDGED_KEY: f"{asset}:{check}", REASON_KEY: reason, ACKNOWLEDGED_AT: time.time()}
    key = gate_key()
    return {**said, **({_SIGNATURE: sign(key, {**said, "run": run_id})} if key else {})}


def alarms_of_asset(instance: dg.DagsterInstance, asset: str) -> list[Alarm]:
    """The open alarms of one asset.

    Raises
    ------
    DeploymentError
        If there are none, or no check of the asset raises alarms.
    """
    watched = sorted({each for each, _ in WATCHED_CHECKS})
    if asset not in watched:
        raise DeploymentError(f"no check of {asset!r} closes the gate", do=f"name one of {', '.join(watched)}")
    alarms = [alarm for alarm in open_alarms(instance) if alarm.asset == asset]
    if not alarms:
        raise DeploymentError(
            f"there is nothing to acknowledge: no check of {asset} keeps the gate closed",
            do="look at the checks of the asset in the Dagster UI",
        )
    return alarms


def _alarms_of(instance: dg.DagsterInstance, asset: str, check: str, succeeded: StepSucceeded) -> list[Alarm]:
    """The alarms of a check that have not ended."""
    key, alarms = gate_key(), {}
    for at, event, evaluation, lifts in _recorded(instance, asset, check, succeeded, key):
        judged = judged_of(evaluation)
        years = judged.about if isinstance(judged.about, Mapping) else {}
        blocks = not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
        failed = (judged.failed_years or tuple(years)) if blocks else ()
        for year, version in years.items():
            place = (str(year), str(version))
            if year in failed:
                message = " ".join((evaluation.description or "no detail").split())
                alarms.setdefault(place, Alarm(asset, check, *place, at, event.run_id, message))
            elif lifts:
                alarms.pop(place, None)
    return list(alarms.values())


def _recorded(
    instance: dg.DagsterInstance, asset: str, check: str, succeeded: StepSucceeded, key: bytes | None
) -> list[tuple[float, dg.EventLogEntry, dg.AssetCheckEvaluation, bool]]:
    """The evaluations of a check in order of time, with that time and whether what they passed ends an alarm."""
    recorded = []
    for event, evaluation, refused in check_history(instance, dg.AssetCheckKey(dg.AssetKey(asset), check), succeeded):
        lifts = not refused and (evaluation.passed or step_ended(instance, event.run_id, event.step_key))
        if key and lifts:
            lifts = not signature_problem(key, evaluation, event.run_id)
        at = signed_time(evaluation) if key and lifts else event.timestamp
        recorded.append((at, event, evaluation, lifts))
    return sorted(recorded, key=lambda each: each[0])


def _acknowledged_at(instance: dg.DagsterInstance, asset: str, check: str, succeeded: StepSucceeded) -> float:
    """When the alarms of a check were acknowledged last, Unix seconds; 0 = never."""
    key, latest = gate_key(), 0.0
    for record in observations(instance, dg.AssetKey(asset)):
        event, entry = record.asset_observation, record.event_log_entry
        metadata: dict[str, Any] = {name: value.value for name, value in event.metadata.items()} if event else {}
        if metadata.get(ACKNOWLEDGED_KEY) != f"{asset}:{check}":
            continue
        if not succeeded(entry.run_id, entry.dagster_event and entry.dagster_event.step_key):
            continue
        if key and not _is_signed(key, metadata, entry.run_id):
            continue
        latest = max(latest, min(entry.timestamp, metadata[ACKNOWLEDGED_AT]))
    return latest


def _is_signed(key: bytes, metadata: Mapping[str, Any], run_id: str) -> bool:
    said = {name: metadata.get(name) for name in (ACKNOWLEDGED_KEY, REASON_KEY, ACKNOWLEDGED_AT)}
    return is_signed(key, {**said, "run": run_id}, str(metadata.get(_SIGNATURE, "")))


def _when(trained: float | None) -> str:
    if trained is None:
        return (
            "This version was not trained by a run of this platform, so nobody knows whether that was before or after"
        )
    return f"This version was trained before that, on {utc_minute(trained)}"
