"""Reports for readers outside Dagster: the condition report and the Looker sheet."""

from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.metadata.table_schemas import SCHEMA_KEY, columns_of_schema
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    import polars as pl


@dg.asset(
    deps=["fct_condition_by_year", "raw_bridges", "data_quality"],
    group_name=groups.REPORTING,
    owners=display.DATA_OWNERS,
    kinds={"report"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "The condition report as far as the records alone allow, written before anything is trained: Good, Fair and "
        "Poor by number and deck area, the federal measure, the lowest ratings, flags and duplicates. Needs no model. "
        f"`condition_report` writes the same page again once bridges are scored. {freshness.RESULT_IS_STALE}"
    ),
)
def inventory_report(platform: Platform) -> dg.MaterializeResult:
    return _write_condition_report(platform)


@dg.asset(
    deps=[
        inventory_report,
        "mart_condition_by_year",
        "mart_bridge_outlook",
        "drift_report",
        "raw_bridges",
        "local_endpoint",
    ],
    group_name=groups.REPORTING,
    owners=display.DATA_OWNERS,
    kinds={"report"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "One page: how many bridges are Good, Fair and Poor and how that changed, which to inspect first, how good the "
        f"model is compared with its baselines, and where each figure comes from. {freshness.RESULT_IS_STALE}"
    ),
)
def condition_report(platform: Platform) -> dg.MaterializeResult:
    return _write_condition_report(platform)


@dg.asset(
    deps=["mart_bridge_outlook"],
    group_name=groups.REPORTING,
    owners=display.DATA_OWNERS,
    kinds={"looker", "csv"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "One row per bridge of the latest scored survey year, sorted by state and look-first rank, with names beside "
        "codes: its source (survey file, or the sample, whose bridges are invented), condition, probability of a fall, "
        "why, and years until Poor, as a sheet for Looker: a file by default. A data dictionary is beside it "
        "(`<name>_columns.csv`, or a second worksheet). Text is written as it is and never evaluated as a formula. "
        f"{freshness.RESULT_IS_STALE}"
    ),
)
def looker_sheet(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    import pandas as pd

    from bridge_assets.reporting.looker import export_to_looker
    from bridge_assets.reporting.outlook.columns import dictionary_rows

    with user_errors_as_failures():
        sheet = _bridge_sheet(platform)
        columns = columns_of_schema(context.assets_def.metadata_by_key[context.asset_key][SCHEMA_KEY])
        # convert_dtypes: otherwise pandas turns integer columns with missing values into floats.
        written = export_to_looker(
            sheet.to_pandas().convert_dtypes(), platform.data.sheet_path, pd.DataFrame(dictionary_rows(columns))
        )
    return dg.MaterializeResult(
        metadata={"dagster/row_count": sheet.height, "sheet": written, "preview": display.preview(sheet)}
    )


@dg.asset(
    deps=["mart_bridge_outlook"],
    group_name=groups.REPORTING,
    owners=display.DATA_OWNERS,
    kinds={"geoparquet", "geojson"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "A point for each bridge of the latest scored survey year, with what the sheet says of it, as "
        "bridge_map.parquet (GeoParquet 1.1; the one to open in QGIS) and bridge_map.geojson. "
        "Positions are those of items 16 and 17, as "
        "WGS 84: NBI files name no datum. Bridges without a position are counted and left out. "
        f"{freshness.RESULT_IS_STALE}"
    ),
)
def bridge_map_layer(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.reporting.outlook.map_layer import write_map_layer

    with user_errors_as_failures():
        sheet = _bridge_sheet(platform)
        columns = columns_of_schema(context.assets_def.metadata_by_key[context.asset_key][SCHEMA_KEY])
        layer = write_map_layer(sheet, platform.data.reports_folder, columns)
    if layer.without_position:
        context.log.info(f"{layer.without_position:,} of {sheet.height:,} bridges have no position: they are not in it")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": layer.bridges,
            "without_position": layer.without_position,
            "geoparquet": display.path_metadata(layer.geoparquet),
            "geojson": display.path_metadata(layer.geojson),
        }
    )


def _bridge_sheet(platform: Platform) -> "pl.DataFrame":
    from bridge_assets.data.origin import source_of_year
    from bridge_assets.reporting.outlook.sheet import bridge_sheet

    outlook = platform.lake.read("mart_bridge_outlook")
    sources = {year: source_of_year(platform.lake, year) for year in outlook["survey_year"].unique()}
    return bridge_sheet(outlook, sources, platform.dashboard.bridge_address)


def _write_condition_report(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.reporting.condition.inputs import condition_report_html
    from bridge_assets.reporting.plots import condition_trend_png
    from bridge_assets.storage import write_text

    with user_errors_as_failures():
        page = condition_report_html(platform.lake, platform.data, platform.model, platform.dashboard.bridge_address)
        path = write_text(page, platform.data.reports_folder / "condition_report.html")
        by_year = platform.lake.read("fct_condition_by_year")
    return dg.MaterializeResult(
        metadata={
            **display.report_metadata(path, platform.data.reports_port),
            **display.dashboard_metadata(platform.dashboard, "overview"),
            "trend": display.image_metadata(condition_trend_png(by_year)),
            "survey_years": by_year["survey_year"].n_unique(),
        }
    )
