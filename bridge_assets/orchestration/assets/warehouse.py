"""The dbt models, in two steps: those that training needs, and those that report on the scores.

After each step its tables are written to the lake as Parquet: dbt alone writes DuckDB, everyone else reads Parquet.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from dagster_dbt import DagsterDbtTranslatorSettings, DbtCliInvocation, DbtCliResource, DbtProject, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtDagsterEventType

from bridge_assets.data.table_columns import described
from bridge_assets.errors import error_summary
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
from bridge_assets.orchestration.metadata.column_lineage import LINEAGE_KEY, model_lineage
from bridge_assets.orchestration.metadata.dbt_tests import explained_result
from bridge_assets.orchestration.metadata.table_schemas import table_schemas
from bridge_assets.orchestration.resources import Platform
from bridge_assets.storage import TableNotes

#: Tables that are written to the lake after each step.
INVENTORY_TABLES = (
    "int_inspections",
    "fct_condition_transitions",
    "fct_component_rises",
    "dim_structures",
    "fct_condition_by_year",
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
        project=project,
        # The UI links each model to its SQL file.
        dagster_dbt_translator=BridgeDbtTranslator(DagsterDbtTranslatorSettings(enable_code_references=True)),
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
                notes = _notes(invocation.manifest, exported_tables)
                export_tables(data.warehouse, exported_tables, platform.lake, notes)
        events = [_explained(event, invocation, data.warehouse) for event in events]
    if dbt_error:
        yield from events
        raise dbt_error
    for event in events:
        yield _with_model_metadata(context, event, invocation, exported_tables, platform)


def _notes(manifest: Mapping[str, Any], tables: tuple[str, ...]) -> dict[str, TableNotes]:
    """What the Parquet file of each model says about itself: what its YAML file declares."""
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    return {
        table: described(
            {name: column["description"] for name, column in models[table]["columns"].items()},
            models[table]["description"],
        )
        for table in tables
    }


def _explained(event: DbtDagsterEventType, invocation: DbtCliInvocation, warehouse: Path) -> DbtDagsterEventType:
    if not isinstance(event, dg.AssetCheckResult):
        return event
    return explained_result(event, invocation.manifest, invocation.target_path, warehouse)


def _with_model_metadata(
    context: dg.AssetExecutionContext,
    event: DbtDagsterEventType,
    invocation: DbtCliInvocation,
    exported: tuple[str, ...],
    platform: Platform,
) -> DbtDagsterEventType:
    """The output of a model with its column lineage and, if its table was written to the lake, rows and a preview."""
    if not isinstance(event, dg.Output):
        return event
    metadata: dict[str, Any] = {**event.metadata}
    if lineage := _lineage(context, event.output_name, invocation, platform):
        metadata[LINEAGE_KEY] = lineage
        metadata["column_sources"] = display.column_sources(lineage)  # the open-source UI does not show the lineage
    if event.output_name in exported:
        table = platform.lake.read(event.output_name)
        metadata["dagster/row_count"] = table.height
        metadata["preview"] = display.preview(table.select(table.columns[:10]))
        metadata["file"] = display.path_metadata(platform.lake.table_path(event.output_name))
    return event.with_metadata(metadata)


def _lineage(
    context: dg.AssetExecutionContext, model: str, invocation: DbtCliInvocation, platform: Platform
) -> dg.TableColumnLineage | None:
    """The model's column lineage; None, and a warning, if its SQL cannot be read: it is for the UI only."""
    from sqlglot.errors import SqlglotError

    schemas = table_schemas(platform.model.task)
    sources = {table: [column.name for column in schema.columns] for table, schema in schemas.items()}
    try:
        return model_lineage(invocation.manifest, model, invocation.target_path / "compiled", sources)
    except (OSError, SqlglotError) as error:
        context.log.warning(f"{model}: no column lineage. {error_summary(error)}")
        return None
