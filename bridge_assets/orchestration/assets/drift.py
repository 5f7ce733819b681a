"""Whether a survey year still looks like the years the model was trained on."""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.scoring import bridge_predictions
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform


@dg.asset(
    deps=["bridge_features", bridge_predictions],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.SCORING,
    owners=display.MODEL_OWNERS,
    kinds={"polars", "parquet"},
    description=(
        "One feature in one survey year against the years the served model was trained on: the Kolmogorov-Smirnov "
        "distance, and the threshold learned from how far those years lie from each other."
    ),
)
def drift_report(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.drift.detection import drift_plot_png
    from bridge_assets.drift.yearly import ReferencePeriod

    lake = platform.lake
    with user_errors_as_failures():
        model = LocalEndpoint(platform.data.endpoint_folder).load_model()
        reference = ReferencePeriod.from_lake(
            lake, model.training_years, platform.model.drift, model.task.prediction_column
        )
        years = survey_years(context)
        for year in years:
            table = reference.write_report(lake, year, model.version)
            drifted = table.filter("drifted")
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": table.height,
                    "drifted": drifted.height,
                    "drifted_features": ", ".join(drifted["feature"]),
                    "largest_distance": float(table.select("statistic").max().item() or 0),
                },
                asset_key="drift_report",
                partition_key=str(year),
            )
        # A picture takes longer than the comparison: of a range of years the last one is drawn.
        plot_png = drift_plot_png(lake.read_year("drift_report", years[-1]), years[-1])
        context.add_asset_metadata({"plot": display.image_metadata(plot_png)}, "drift_report", str(years[-1]))
    return dg.MaterializeResult(
        metadata={"model_version": model.version, "reference_years": "{}-{}".format(*model.training_years)}
    )
