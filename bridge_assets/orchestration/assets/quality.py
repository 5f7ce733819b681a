"""Data quality: problems counted per survey year, and the page that shows them."""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, readable_years
from bridge_assets.orchestration.resources import Platform


@dg.asset(
    deps=["raw_bridges", "rejected_records"],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.INVENTORY,
    owners=display.DATA_OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "Data-quality counts per survey year and state: rows read, loaded and rejected, and records with each flag, "
        "with each missing item, with unparseable numbers, or with a duplicated structure number. Each count comes "
        "with the total that its share is computed from."
    ),
)
def data_quality(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    import polars as pl

    from bridge_assets.data.quality.headline import headline, top_flags
    from bridge_assets.data.quality.summary import write_quality_summary
    from bridge_assets.reporting.wording import share

    lake = platform.lake
    with user_errors_as_failures():
        for year in readable_years(context, lake):
            summary = write_quality_summary(lake, year)
            figures = headline(summary)
            context.log.info(
                f"{year}: {figures['flagged']:,} of {figures['loaded']:,} records have a flag, "
                f"{figures['rejected']:,} rows were rejected"
            )
            flags = [
                (row["name"], f"{row['records']:,}", share(row["share"]), row["meaning"]) for row in top_flags(summary)
            ]
            top = pl.DataFrame(flags, schema=["flag", "records", "share", "meaning"], orient="row")
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": summary.height,
                    **figures,
                    "top_flags": display.preview(top, rows=top.height, max_cell_length=200),
                },
                asset_key="data_quality",
                partition_key=str(year),
            )
    page = display.dashboard_metadata(platform.dashboard, "quality")
    return dg.MaterializeResult(metadata={"folder": display.path_metadata(lake.folder / "data_quality"), **page})


@dg.asset(
    deps=[data_quality, "rejected_records"],
    group_name=groups.INVENTORY,
    owners=display.DATA_OWNERS,
    kinds={"report"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "One page: whether every row is accounted for, which rows were rejected and why, which flags the records have, "
        "which items are missing, what jumped compared with earlier years and in which states, and what each name "
        f"means. Beside it, flagged_<year>.csv lists every flagged record of a survey year. {freshness.RESULT_IS_STALE}"
    ),
)
def data_quality_report(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.data.quality.flagged import write_flagged_files
    from bridge_assets.reporting.quality.page import data_quality_html
    from bridge_assets.reporting.quality.plots import flags_by_year_png
    from bridge_assets.storage import write_text

    with user_errors_as_failures():
        flagged = write_flagged_files(platform.lake, platform.data.reports_folder)
        page = data_quality_html(platform.lake, platform.data, flagged, platform.dashboard.bridge_address)
        path = write_text(page, platform.data.reports_folder / "data_quality.html")
        summary = platform.lake.read_years("data_quality")
    return dg.MaterializeResult(
        metadata={
            **display.report_metadata(path, platform.data.reports_port),
            "flags": display.image_metadata(flags_by_year_png(summary)),
            "survey_years": summary["survey_year"].n_unique(),
            "flagged_rows": sum(flagged.values()),
        }
    )
