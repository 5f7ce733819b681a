"""Reads Dagster's event log page by page: materializations and observations of an asset, evaluations of a check.

Belongs here: whole histories. Does not belong here: what an event means, and whether it can be trusted
(`gate.check_history`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import dagster as dg

PAGE = 100


def materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, ascending: bool = False
) -> Iterator[dg.EventLogRecord]:
    """All materializations of an asset; by default the newest first."""
    return _pages(partial(instance.fetch_materializations, asset, ascending=ascending))


def observations(instance: dg.DagsterInstance, asset: dg.AssetKey) -> Iterator[dg.EventLogRecord]:
    """All observations of an asset, the newest first."""
    return _pages(partial(instance.fetch_observations, asset))


def evaluations(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> Iterator[tuple[dg.EventLogEntry, dg.AssetCheckEvaluation]]:
    """All evaluations of a check with their events, last planned first. One that raised an error left none."""
    cursor = None
    while page := instance.event_log_storage.get_asset_check_execution_history(check, limit=PAGE, cursor=cursor):
        for record in page:
            event = record.event and record.event.dagster_event
            if record.event and event and isinstance(event.event_specific_data, dg.AssetCheckEvaluation):
                yield record.event, event.event_specific_data
        cursor = page[-1].id


def _pages(fetch: Callable[..., dg.EventRecordsResult]) -> Iterator[dg.EventLogRecord]:
    cursor, has_more = None, True
    while has_more:
        page = fetch(limit=PAGE, cursor=cursor)
        yield from page.records
        cursor, has_more = page.cursor, page.has_more
