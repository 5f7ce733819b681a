"""Which runs must stay, whatever their age: what the gate, a rollback and the UI read from the event log.

Deleting a run deletes its events, but not the results of its checks: Dagster keeps those in a table of their own. Such
a result then has no run behind it, and for the gate a pass without a run is no pass (`gate.check_history`), while a
failure goes on counting. So whatever may have to be read again must keep its run:

- of each asset and partition the latest materialization; of each check and partition the latest evaluation;
- every evaluation about the bytes of a model version that still exists, or of the data that it was made from;
- every run that made a stage of a version that still exists, is registered as champion or challenger, or was ever
  deployed: when a version was trained first decides which alarms concern it;
- every materialization of an endpoint: deployments, and rollbacks with the versions that were left;
- of the checks that raise alarms, every evaluation of a model and survey year that ever failed, and acknowledgements;
- every run with a tag of the platform's own: overrides, acknowledgements.

Belongs here: that list. Does not belong here: removing (`removal`), which versions there are (`versions`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from bridge_assets.deployment.targets import ENDPOINT_KEYS
from bridge_assets.errors import StorageError
from bridge_assets.orchestration.event_log import evaluations, materializations, observations
from bridge_assets.orchestration.gate.alarms import ACKNOWLEDGED_KEY, WATCHED_CHECKS
from bridge_assets.orchestration.gate.check_history import step_succeeded
from bridge_assets.orchestration.gate.judged import judged_of
from bridge_assets.orchestration.model_chain import MODEL_VERSION_KEY

#: Tags of a run that begin so were set by the platform because somebody may ask for them.
TAG_PREFIX = "bridge_assets/"

#: The assets that make a model version.
MODEL_CHAIN = ("training_set", "bridge_model", "quantized_model", "onnx_model", "registered_model")

_ENDPOINTS = tuple(f"{key}_endpoint" for key in ENDPOINT_KEYS)


@dataclass
class Evidence:
    """Runs that must stay.

    Attributes
    ----------
    runs : dict of str to str
        Run -> the first reason.
    """

    runs: dict[str, str] = field(default_factory=dict)

    def keep(self, run_id: str | None, reason: str) -> None:
        if run_id:
            self.runs.setdefault(run_id, reason)


def evidence(instance: dg.DagsterInstance, versions: Collection[str], digests: Collection[str]) -> Evidence:
    """The runs that must stay.

    Parameters
    ----------
    instance : DagsterInstance
    versions : collection of str
        Model versions that exist, or are champion or challenger. Those that were ever deployed are added.
    digests : collection of str
        Of their files and stages, and of the data that they were made from.

    Raises
    ------
    StorageError
        If the storage is neither SQLite nor PostgreSQL, so that its checks cannot be listed.
    """
    found = Evidence()
    deployed = _keep_endpoints(instance, found)
    protected = {*versions, *deployed, *digests}
    for asset in instance.get_asset_keys():
        _keep_materializations(instance, asset, protected, found)
        _keep_observations(instance, asset, found)
    watched = [dg.AssetCheckKey(dg.AssetKey(asset), check) for asset, check in WATCHED_CHECKS]
    for check in _recorded_checks(instance):
        recorded = list(evaluations(instance, check))
        _keep_latest(instance, check, recorded, found)
        _keep_judged(check, recorded, set(digests), found)
        if check in watched:
            _keep_alarms(check, recorded, found)
    return found


def _recorded_checks(instance: dg.DagsterInstance) -> list[dg.AssetCheckKey]:
    """All checks with results, also those that the code no longer has."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from sqlalchemy import select

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise StorageError(
            f"the checks in {type(storage).__name__} cannot be listed, so nothing was removed",
            do="use the retention of that storage",
        )
    columns = AssetCheckExecutionsTable.c
    with storage.index_connection() as connection:
        rows = connection.execute(select(columns.asset_key, columns.check_name).distinct()).fetchall()
    keys = [(dg.AssetKey.from_db_string(asset), check) for asset, check in rows]
    return [dg.AssetCheckKey(asset, check) for asset, check in keys if asset]


def _keep_endpoints(instance: dg.DagsterInstance, found: Evidence) -> set[str]:
    """Keep what deployments and rollbacks left; returns the versions that were deployed."""
    versions = set()
    for name in _ENDPOINTS:
        for record in materializations(instance, dg.AssetKey(name)):
            found.keep(record.run_id, f"a deployment to {name}, or a rollback")
            if record.asset_materialization:
                versions.add(_text(record.asset_materialization.metadata, MODEL_VERSION_KEY))
    return versions - {""}


def _keep_materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, protected: set[str], found: Evidence
) -> None:
    name, seen = asset.to_user_string(), set()
    for record in materializations(instance, asset):
        event = record.asset_materialization
        if event is None:
            continue
        if event.partition not in seen:
            seen.add(event.partition)
            partition = f"[{event.partition}]" if event.partition else ""
            found.keep(record.run_id, f"the latest materialization of {name}{partition}")
        # Under whatever key: an earlier release may have used another one.
        if name in MODEL_CHAIN and any(str(value.value) in protected for value in event.metadata.values()):
            found.keep(record.run_id, f"{name} of a model version that exists")


def _keep_observations(instance: dg.DagsterInstance, asset: dg.AssetKey, found: Evidence) -> None:
    for number, record in enumerate(observations(instance, asset)):
        if number == 0:
            found.keep(record.run_id, f"the latest observation of {asset.to_user_string()}")
        if record.asset_observation and ACKNOWLEDGED_KEY in record.asset_observation.metadata:
            found.keep(record.run_id, f"an acknowledgement of {asset.to_user_string()}")


_Evaluation = tuple[dg.EventLogEntry, dg.AssetCheckEvaluation]


def _keep_latest(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, evaluations: list[_Evaluation], found: Evidence
) -> None:
    """Of each partition, the latest result that has a run (posted ones have none), and the latest that counts."""
    done: dict[str | None, bool] = {}  # partition -> whether one that counts was found
    for event, evaluation in sorted(evaluations, key=lambda each: -each[0].timestamp):
        partition = evaluation.partition
        if done.get(partition) or not event.run_id or not instance.has_run(event.run_id):
            continue
        counts = _counts(instance, event, evaluation)
        if counts or partition not in done:
            found.keep(event.run_id, f"the latest result of {_name(check)}")
            done[partition] = counts


def _counts(instance: dg.DagsterInstance, event: dg.EventLogEntry, evaluation: dg.AssetCheckEvaluation) -> bool:
    """As the gate sees it (`gate.check_history`): a failure always, a pass or warning only of a step that succeeded."""
    if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR:
        return True
    return step_succeeded(instance, event.run_id, event.dagster_event and event.dagster_event.step_key)


def _keep_judged(check: dg.AssetCheckKey, evaluations: list[_Evaluation], digests: set[str], found: Evidence) -> None:
    for event, evaluation in evaluations:
        about = judged_of(evaluation).about
        judged = {about} if isinstance(about, str) else {str(value) for value in about.values()}
        if judged & digests:
            found.keep(event.run_id, f"{_name(check)} about a model version, or its data, that exists")


def _keep_alarms(check: dg.AssetCheckKey, evaluations: list[_Evaluation], found: Evidence) -> None:
    """All results about a survey year and model that ever failed: a pass without its run would end no alarm."""

    def places(evaluation: dg.AssetCheckEvaluation) -> set[tuple[str, str]]:
        about = judged_of(evaluation).about
        return {(str(year), str(version)) for year, version in about.items()} if isinstance(about, Mapping) else set()

    failed = set().union(*(places(evaluation) for _, evaluation in evaluations if not evaluation.passed))
    for event, evaluation in evaluations:
        if places(evaluation) & failed or (not evaluation.passed and not places(evaluation)):
            found.keep(event.run_id, f"{_name(check)}, which raised an alarm")


def _text(metadata: Mapping[str, Any], key: str) -> str:
    return str(metadata[key].value) if key in metadata else ""


def _name(check: dg.AssetCheckKey) -> str:
    return f"{check.asset_key.to_user_string()}:{check.name}"


def digests_in(value: Any) -> Iterator[str]:
    """Every SHA-256 in hex in a value of JSON types."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from digests_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from digests_in(each)
    elif isinstance(value, str) and len(value) == 64 and all(character in "0123456789abcdef" for character in value):
        yield value


def digests_in_json(text: str) -> set[str]:
    """As `digests_in`, of a JSON text; nothing if it is none."""
    try:
        return set(digests_in(json.loads(text)))
    except (ValueError, RecursionError):
        return set()
