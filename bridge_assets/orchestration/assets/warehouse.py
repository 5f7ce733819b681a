"""The dbt models, in two steps: what training needs, and what reports on the scores.

After each step its tables are written to the lake as Parquet: dbt alone writes DuckDB, everyone else reads Parquet.
"""

from collections.abc import Iterator

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets
from dagster_dbt.core.dbt_event_iterator import DbtDagsterEventType

from bridge_assets.orchestration.dbt import (
    DBT_PROJECT,
    INVENTORY,
    REPORTING,
    WAREHOUSE_POOL,
    Translator,
    dbt_arguments,
    point_dbt_at,
)
from bridge_assets.orchestration.failures import explained
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.resources import Platform


@dbt_assets(
    manifest=DBT_PROJECT.manifest_path,
    select=INVENTORY,
    dagster_dbt_translator=Translator(),
    name="dbt_inventory",
    pool=WAREHOUSE_POOL,
)
def inventory_models(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform):
    for_the_lake = ["int_inspections", "fct_condition_transitions", "fct_component_rises", "dim_structures"]
    for_the_lake += ["duplicate_records", "structure_number_variants", "renumbering_breaks", "renumbered_structures"]
    yield from _build(context, dbt, platform, for_the_lake)


@dbt_assets(
    manifest=DBT_PROJECT.manifest_path,
    select=REPORTING,
    dagster_dbt_translator=Translator(),
    name="dbt_reporting",
    pool=WAREHOUSE_POOL,
)
def reporting_models(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform):
    yield from _build(context, dbt, platform, ["mart_condition_by_year", "mart_bridge_outlook"])


def _build(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform, for_the_lake: list[str]
) -> Iterator[DbtDagsterEventType]:
    """Run `dbt build`, then write tables to the lake; only then are they reported as made.

    When dbt or a test fails, what was made is reported, the failure raised, and the lake stays as it was.
    """
    from bridge_assets.data.warehouse_export import export_tables

    data = platform.data
    point_dbt_at(data)
    # One target folder for both steps and every run: dbt parses what changed, and nothing piles up.
    invocation = dbt.cli(dbt_arguments(platform.model), context=context, target_path=data.home_folder / "dbt")
    events: list[DbtDagsterEventType] = []
    try:
        events.extend(invocation.stream())
    except Exception:
        yield from events
        raise
    with explained():
        export_tables(data.warehouse, for_the_lake, platform.lake)
    yield from (_with_preview(event, for_the_lake, platform) for event in events)


def _with_preview(event: DbtDagsterEventType, exported: list[str], platform: Platform) -> DbtDagsterEventType:
    if not isinstance(event, dg.Output) or event.output_name not in exported:
        return event
    table = platform.lake.read(event.output_name)
    shown = {"dagster/row_count": table.height, "preview": display.preview(table.select(table.columns[:10]))}
    return event.with_metadata(
        {**event.metadata, **shown, "file": display.file(platform.lake.table(event.output_name))}
    )
