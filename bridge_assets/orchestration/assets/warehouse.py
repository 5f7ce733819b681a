"""The dbt models, in two steps: what training needs, and what reports on the scores.

After each step its tables are written to the lake as Parquet: dbt alone writes DuckDB, everyone else reads Parquet.
"""

from collections.abc import Iterator

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtDagsterEventType

from bridge_assets.orchestration.dbt import (
    DBT_PROJECT,
    INVENTORY_SELECTION,
    REPORTING_SELECTION,
    WAREHOUSE_POOL,
    BridgeDbtTranslator,
    dbt_arguments,
    set_dbt_environment,
)
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.resources import Platform


@dbt_assets(
    manifest=DBT_PROJECT.manifest_path,
    select=INVENTORY_SELECTION,
    dagster_dbt_translator=BridgeDbtTranslator(),
    name="dbt_inventory",
    pool=WAREHOUSE_POOL,
)
def dbt_inventory_assets(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform):
    exported_tables = ["int_inspections", "fct_condition_transitions", "fct_component_rises", "dim_structures"]
    exported_tables += ["duplicate_records", "structure_number_variants", "renumbering_breaks", "renumbered_structures"]
    yield from _build_and_export(context, dbt, platform, exported_tables)


@dbt_assets(
    manifest=DBT_PROJECT.manifest_path,
    select=REPORTING_SELECTION,
    dagster_dbt_translator=BridgeDbtTranslator(),
    name="dbt_reporting",
    pool=WAREHOUSE_POOL,
)
def dbt_reporting_assets(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform):
    yield from _build_and_export(context, dbt, platform, ["mart_condition_by_year", "mart_bridge_outlook"])


def _build_and_export(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform, exported_tables: list[str]
) -> Iterator[DbtDagsterEventType]:
    """Run `dbt build`, then write tables to the lake; only then are they reported as made.

    When dbt or a test fails, what was made is reported, the failure raised, and the lake stays as it was.
    """
    from bridge_assets.data.warehouse_export import export_tables

    data = platform.data
    set_dbt_environment(data)
    # One target folder for both steps and every run: dbt parses what changed, and nothing piles up.
    invocation = dbt.cli(dbt_arguments(platform.model), context=context, target_path=data.home_folder / "dbt")
    events: list[DbtDagsterEventType] = []
    try:
        events.extend(invocation.stream())
    except Exception:
        yield from events
        raise
    with user_errors_as_failures():
        export_tables(data.warehouse, exported_tables, platform.lake)
    yield from (_with_preview(event, exported_tables, platform) for event in events)


def _with_preview(event: DbtDagsterEventType, exported: list[str], platform: Platform) -> DbtDagsterEventType:
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
