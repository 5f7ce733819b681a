"""Whether a survey year still looks like the years that the model learned from."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.scoring import bridge_predictions
from bridge_assets.orchestration.edges import write_year
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, readable_years
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    from bridge_assets.drift.summary import DriftSummary


@dg.asset(
    deps=["raw_bridges", "bridge_features", bridge_predictions],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.SCORING,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet", "report"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "One row per survey year, feature (or prediction, coded item, column), state or all states together, and "
        "measure: how far the year is from the reference years, by default those the served model was trained on, and "
        "a threshold learned from how much these differ among themselves. States that recoded an item are named. A "
        f"page for each survey year draws what drifted. {freshness.RESULT_IS_STALE}"
    ),
)
def drift_report(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.drift.periods import Periods
    from bridge_assets.drift.report import ServedPredictions, build_drift_reports
    from bridge_assets.drift.summary import DriftSummary
    from bridge_assets.reporting.drift.inputs import DriftPages
    from bridge_assets.reporting.drift.page import page_name
    from bridge_assets.reporting.drift.plots import drift_plot_png
    from bridge_assets.storage import write_text

    data, lake = platform.data, platform.lake
    with user_errors_as_failures():
        years = readable_years(context, lake)
        model = LocalEndpoint(data.endpoint_folder).load_model()
        periods = Periods.choose(platform.model.drift, model.training_years, lake.available_years("bridge_features"))
        predictions = ServedPredictions(model.version, model.task.prediction_column)
        pages = DriftPages(lake, data, periods, predictions)
        for year, drift in build_drift_reports(lake, years, periods, predictions).items():
            summary = DriftSummary(drift)
            metadata = _partition_metadata(summary)
            if year == years[-1]:  # a plot takes longer than the comparison: only the last year of a range gets one
                metadata["plot"] = display.image_metadata(drift_plot_png(drift, year))
            path = data.reports_folder / page_name(year)
            metadata |= display.report_metadata(path, data.reports_port)
            write_year(context, lake, drift, year, None, metadata)
            write_text(pages.render(drift), path)
    page = display.dashboard_metadata(platform.dashboard, "drift")
    return dg.MaterializeResult(metadata={"model_version": model.version, "reference_years": periods.text, **page})


def _partition_metadata(summary: "DriftSummary") -> dict[str, Any]:
    recoded = [f"{item} in {', '.join(row['state'] for row in rows)}" for item, rows in summary.recoded.items()]
    return {
        **summary.figures(),
        "period": summary.period,
        "drifted_features": ", ".join(row["feature"] for row in summary.drifted_features),
        "recoded": "; ".join(recoded),
        **({"predictions_not_compared": summary.predictions_skipped} if summary.predictions_skipped else {}),
    }
