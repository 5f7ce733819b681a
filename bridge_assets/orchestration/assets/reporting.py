"""Reports for readers outside Dagster: the condition report and the Looker sheet."""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.resources import Platform


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
        "One row per bridge of the latest scored survey year: its source (survey file, or the sample, whose bridges "
        "are invented), names, condition, probability of a fall, reasons, and years until Poor, as a sheet for Looker: "
        "a file by default. Text is written as it is and never evaluated as a formula. "
        f"{freshness.RESULT_IS_STALE}"
    ),
)
def looker_sheet(platform: Platform) -> dg.MaterializeResult:
    import polars as pl

    from bridge_assets.data.origin import source_of_year
    from bridge_assets.reporting.condition.reasons import with_reasons_text
    from bridge_assets.reporting.looker import export_to_looker

    with user_errors_as_failures():
        outlook = platform.lake.read("mart_bridge_outlook").sort(-pl.col("fall_probability"), "structure_key")
        sources = {year: source_of_year(platform.lake, year) for year in outlook["survey_year"].unique()}
        # First, where whoever opens the sheet sees it.
        outlook = with_reasons_text(outlook).select(
            pl.col("survey_year").replace_strict(sources, return_dtype=pl.String).alias("source"), pl.all()
        )
        # convert_dtypes: otherwise pandas turns integer columns with missing values into floats.
        written = export_to_looker(outlook.to_pandas().convert_dtypes(), platform.data.sheet_path)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": outlook.height, "sheet": written, "preview": display.preview(outlook)}
    )


def _write_condition_report(platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.reporting.condition.inputs import condition_report_html
    from bridge_assets.reporting.plots import condition_trend_png
    from bridge_assets.storage import write_text

    with user_errors_as_failures():
        page = condition_report_html(platform.lake, platform.data, platform.model)
        path = write_text(page, platform.data.reports_folder / "condition_report.html")
        by_year = platform.lake.read("fct_condition_by_year")
    return dg.MaterializeResult(
        metadata={
            **display.report_metadata(path, platform.data.reports_port),
            "trend": display.image_metadata(condition_trend_png(by_year)),
            "survey_years": by_year["survey_year"].n_unique(),
        }
    )
