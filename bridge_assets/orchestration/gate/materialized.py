"""Which model versions an asset materialized, and when: only in steps of runs, as for checks (`check_history`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import dagster as dg

from bridge_assets.orchestration.event_log import materializations
from bridge_assets.orchestration.gate.check_history import step_succeeded
from bridge_assets.orchestration.model_chain import MODEL_VERSION_KEY


@dataclass(frozen=True)
class Materialized:
    """A model version that an asset materialized in a step that succeeded.

    Attributes
    ----------
    version : str
    at : float
        Unix seconds.
    run_id : str
    """

    version: str
    at: float
    run_id: str


def materialized_versions(instance: dg.DagsterInstance, asset: str, ascending: bool = False) -> Iterator[Materialized]:
    """The model versions of an asset, by default the newest first; what was posted to the web server does not count."""
    succeeded = partial(step_succeeded, instance)
    for record in materializations(instance, dg.AssetKey(asset), ascending):
        event, entry = record.asset_materialization, record.event_log_entry
        recorded = event.metadata.get(MODEL_VERSION_KEY) if event else None
        if recorded and succeeded(entry.run_id, entry.dagster_event and entry.dagster_event.step_key):
            yield Materialized(str(recorded.value), entry.timestamp, entry.run_id)


def latest_version_of(instance: dg.DagsterInstance, asset: str) -> Materialized | None:
    """The model version that an asset materialized last."""
    return next(materialized_versions(instance, asset), None)
