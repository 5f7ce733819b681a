"""The dbt models, in two steps: those that training needs, and those that report on the scores.

After each step its tables are written to the lake as Parquet: dbt alone writes DuckDB, everyone else reads Parquet.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtDagsterEventType

from bridge_assets.orchestration.dbt import (
    INVENTORY_SELECTION,
    REPORTING_SELECTION,
    BridgeDbtTranslator,
    dbt_arguments,
    prepared_dbt_project,
    warehouse_lock,
)
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.resources import Platform

#: Tables that are written to the lake after each step.
INVENTORY_TABLES = (
    "int_inspections",
    "fct_condition_transitions",
    "fct_component_rises",
    "dim_structures",
    "duplicate_records",
    "structure_number_variants",
    "renumbering_breaks",
    "renumbered_structures",
)
REPORTING_TABLES = ("mart_condition_by_year", "mart_bridge_outlook")


class WarehouseAssets(NamedTuple):
    """The dbt project and its two steps."""

    project: DbtProject
    inventory: dg.AssetsDefinition
    reporting: dg.AssetsDefinition


@cache
def warehouse_assets(home: Path) -> WarehouseAssets:
    """The dbt models as assets. Reads the manifest, and runs `dbt parse` first if it is missing or stale.

    Parameters
    ----------
    home : Path
        `home_folder` of the data settings; see `prepared_dbt_project`.
    """
    project = prepared_dbt_project(home)
    return WarehouseAssets(
        project,
        _dbt_step(project, "dbt_inventory", INVENTORY_SELECTION, INVENTORY_TABLES),
        _dbt_step(project, "dbt_reporting", REPORTING_SELECTION, REPORTING_TABLES),
    )


def _dbt_step(project: DbtProject, name: str, selection: str, tables: tuple[str, ...]) -> dg.AssetsDefinition:
    @dbt_assets(
        manifest=project.manifest_path,
        select=selection,
        dagster_dbt_translator=BridgeDbtTranslator(),
        name=name,
    )
    def step(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform):
        yield from _build_and_export(context, dbt, platform, tables)

    return step


def _build_and_export(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform, exported_tables: tuple[str, ...]
) -> Iterator[DbtDagsterEventType]:
    """Run `dbt build`, then write tables to the lake; only after that are they reported as materialised.

    If dbt or a test fails, the models that were built are reported, the failure is raised, and the lake keeps its
    previous tables.
    """
    from bridge_assets.data.warehouse_export import export_tables

    data = platform.data
    events: list[DbtDagsterEventType] = []
    dbt_error: Exception | None = None
    with warehouse_lock(data, context.log.info):
        # One target folder for both steps and every run: dbt parses only what changed, and no folders pile up.
        arguments = dbt_arguments(data, platform.model)
        invocation = dbt.cli(arguments, context=context, target_path=data.home_folder / "dbt")
        try:
            events.extend(invocation.stream())
        except Exception as error:  # raised below, once the lock is free and the events are reported
            dbt_error = error
        else:
            with user_errors_as_failures():
                export_tables(data.warehouse, exported_tables, platform.lake)
    if dbt_error:
        yield from events
        raise dbt_error
    yield from (_with_preview(event, exported_tables, platform) for event in events)


def _with_preview(event: DbtDagsterEventType, exported: tuple[str, ...], platform: Platform) -> DbtDagsterEventType:
    if not isinstance(event, dg.Output) or event.output_name not in exported:
        return event
    table = platform.lake.read(event.output_name)
    preview_metadata = {"dagster/row_count": table.height, "preview": display.preview(table.select(table.columns[:10]))}
    return event.with_metadata(
        {
            **event.metadata,
            **preview_metadata,
            "file": display.path_metadata(platform.lake.table_path(event.output_name)),
        }
    )
