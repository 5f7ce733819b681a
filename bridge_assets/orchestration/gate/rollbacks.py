"""Which model versions an endpoint was rolled back from: they ask for a reason to return, although their checks passed.

Read from the materializations that deployments and rollbacks leave in Dagster's event log. Whoever reported it, a
rollback marks the version that was left; only what a step of a run reported lifts a mark, as for checks
(`check_history`).
"""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

import dagster as dg

from bridge_assets.orchestration.event_log import materializations
from bridge_assets.orchestration.gate.check_history import step_succeeded
from bridge_assets.orchestration.model_chain import MODEL_VERSION_KEY

#: Metadata keys of a rollback: that it is one, the version that stopped serving, and why.
ROLLBACK_KEY, LEFT_VERSION_KEY, REASON_KEY = "rollback", "left_version", "reason"


def left_versions(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    """The versions that an endpoint was rolled back from and that have not served there since.

    Parameters
    ----------
    instance : DagsterInstance
    asset : str
        The endpoint, such as `local_endpoint`.

    Returns
    -------
    dict of str to str
        Version -> when it was rolled back, in which run, and why.
    """
    left: dict[str, str] = {}
    succeeded = partial(step_succeeded, instance)
    for record in materializations(instance, dg.AssetKey(asset), ascending=True):
        event, entry = record.asset_materialization, record.event_log_entry
        if event is None:
            continue
        metadata = {key: value.value for key, value in event.metadata.items()}
        if metadata.get(ROLLBACK_KEY):
            left[str(metadata.get(LEFT_VERSION_KEY, ""))] = _describe(metadata, entry)
        if succeeded(entry.run_id, entry.dagster_event and entry.dagster_event.step_key):
            left.pop(str(metadata.get(MODEL_VERSION_KEY)), None)
    left.pop("", None)
    return left


def objections(instance: dg.DagsterInstance, asset: str, version: str) -> tuple[str, ...]:
    """Why this version must not simply be deployed to this endpoint, although its checks may have passed."""
    described = left_versions(instance, asset).get(version)
    if described is None:
        return ()
    return (f"{asset} was rolled back from this version {described}. What to do: give a reason to serve it again",)


def _describe(metadata: dict[str, Any], entry: dg.EventLogEntry) -> str:
    day = datetime.datetime.fromtimestamp(entry.timestamp, datetime.UTC).date()
    reason = " ".join(str(metadata.get(REASON_KEY, "")).split())
    return f"on {day} (run {entry.run_id[:8]}){f': {reason}' if reason else ', without a reason'}"
