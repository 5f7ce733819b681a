"""Whether a survey year still looks like the years the model was trained on."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.data.lake import Lake
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.scoring import bridge_predictions
from bridge_assets.orchestration.edges import write_year
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    import polars as pl


@dg.asset(
    deps=["bridge_features", bridge_predictions],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.SCORING,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "One row per feature and survey year: the Kolmogorov-Smirnov distance from the years the served model was "
        "trained on, and a threshold learned from how much those years differ among themselves."
    ),
)
def drift_report(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.drift.detection import drift_plot_png
    from bridge_assets.drift.yearly import ReferencePeriod

    lake, years = platform.lake, survey_years(context)
    with user_errors_as_failures():
        model = LocalEndpoint(platform.data.endpoint_folder).load_model()
        (first, last), column = model.training_years, model.task.prediction_column
        reference_years = [year for year in lake.available_years("bridge_features") if first <= year <= last]
        reference = ReferencePeriod.from_years(
            _compared_tables(lake, reference_years, column), platform.model.drift, column
        )
        for year, table in _compared_tables(lake, years, column).items():
            drift = reference.compare(table, year, model.version)
            metadata = _partition_metadata(drift)
            if year == years[-1]:  # a plot takes longer than the comparison: only the last year of a range gets one
                metadata["plot"] = display.image_metadata(drift_plot_png(drift, year))
            write_year(context, lake, drift, year, None, metadata)
    return dg.MaterializeResult(metadata={"model_version": model.version, "reference_years": f"{first}-{last}"})


def _compared_tables(lake: Lake, years: list[int], prediction_column: str) -> dict[int, "pl.DataFrame"]:
    """Read the features and, where a year was scored, the predictions of survey years."""
    from bridge_assets.drift.yearly import compared_columns

    scored_years = lake.available_years("bridge_predictions")
    return {
        year: compared_columns(
            lake.read_year("bridge_features", year),
            lake.read_year("bridge_predictions", year) if year in scored_years else None,
            prediction_column,
        )
        for year in years
    }


def _partition_metadata(drift: "pl.DataFrame") -> dict[str, Any]:
    drifted = drift.filter("drifted")
    return {
        "drifted": drifted.height,
        "drifted_features": ", ".join(drifted["feature"]),
        "largest_distance": float(drift.select("statistic").max().item() or 0),
    }
