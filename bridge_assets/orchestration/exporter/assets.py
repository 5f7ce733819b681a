"""Assets and checks of an instance: freshness, latest results, and the numbers of what is watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from bridge_assets.metrics.exporter import Reading

#: Assets whose numbers are exported: those of their metadata, for the latest survey year that they have.
WATCHED_ASSETS = ("drift_report", "realised_quality", "data_quality")

_SEVERITIES = (dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR)

_FRESHNESS = {FreshnessState.PASS: 0.0, FreshnessState.WARN: 1.0, FreshnessState.FAIL: 2.0}


def read_assets(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> Iterator[Reading]:
    """When each asset was last materialized, and whether that is recent enough for its freshness policy."""
    at = {
        (entry.asset_key.to_user_string(),): entry.last_materialization.timestamp
        for entry in (record.asset_entry for record in instance.get_asset_records(keys))
        if entry.last_materialization
    }
    yield Reading(
        "bridge_assets_asset_last_materialization_timestamp_seconds",
        "Last materialization of this asset, of any survey year.",
        ("asset",),
        at,
    )
    states = instance.get_freshness_state_records(keys)
    yield Reading(
        "bridge_assets_asset_freshness",
        "What Dagster's daemon says of its freshness policy: 0 = fresh, 1 = warning, 2 = overdue.",
        ("asset",),
        {
            (key.to_user_string(),): _FRESHNESS[record.freshness_state]
            for key, record in states.items()
            if record.freshness_state in _FRESHNESS
        },
    )


def read_checks(instance: dg.DagsterInstance, groups: Mapping[dg.AssetCheckKey, str]) -> Iterator[Reading]:
    """The latest evaluation of each check that has ended: whether it failed, and when it was.

    Parameters
    ----------
    instance : DagsterInstance
    groups : mapping
        Each check -> the group of its asset.
    """
    failed: dict[tuple[str, ...], float] = {}
    at: dict[tuple[str, ...], float] = {}
    for key, record in _last_ended(instance, list(groups)):
        event = record.event.dagster_event if record and record.event else None
        if record is None or event is None or not isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
            continue
        evaluation, labels = event.event_specific_data, (key.asset_key.to_user_string(), key.name)
        at[labels] = record.create_timestamp
        for severity in _SEVERITIES:
            failed[*labels, groups[key], severity.value] = float(
                not evaluation.passed and evaluation.severity is severity
            )
    yield Reading(
        "bridge_assets_check_failed",
        "1 if the latest evaluation of this check failed with this severity, otherwise 0.",
        ("asset", "check", "group", "severity"),
        failed,
    )
    yield Reading(
        "bridge_assets_check_timestamp_seconds", "When this check was last evaluated.", ("asset", "check"), at
    )


def _last_ended(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> Iterator[tuple[dg.AssetCheckKey, AssetCheckExecutionRecord | None]]:
    """The last execution of each check that has ended: one query, and one for each check that is going on."""
    storage = instance.event_log_storage
    latest = storage.get_latest_asset_check_execution_by_key(keys)
    going_on = [key for key, record in latest.items() if record.status is AssetCheckExecutionRecordStatus.PLANNED]
    before = storage.get_asset_check_summary_records(going_on)
    for key, record in latest.items():
        yield key, before[key].last_completed_check_execution_record if key in before else record


def read_watched(instance: dg.DagsterInstance, assets: Sequence[str] = WATCHED_ASSETS) -> Iterator[Reading]:
    """The numbers in the metadata of the latest survey year of the watched assets."""
    numbers: dict[tuple[str, ...], float] = {}
    years: dict[tuple[str, ...], float] = {}
    for asset in assets:
        key = dg.AssetKey(asset)
        partitions = instance.get_materialized_partitions(key)
        latest = [max(partitions)] if partitions else None
        records = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=latest), limit=1
        ).records
        for materialization in (record.asset_materialization for record in records):
            if materialization is None:
                continue
            if latest and latest[0].isdecimal():
                years[asset,] = int(latest[0])
            for name, value in materialization.metadata.items():
                if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and value.value is not None:
                    numbers[asset, name] = float(value.value)
    yield Reading(
        "bridge_assets_asset_value",
        "A number in the metadata of this asset, of its latest survey year.",
        ("asset", "name"),
        numbers,
    )
    yield Reading("bridge_assets_asset_survey_year", "That survey year.", ("asset",), years)
