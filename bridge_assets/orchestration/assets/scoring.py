"""Scores by survey year: what the promoted model says of every bridge."""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.endpoints import local_endpoint
from bridge_assets.orchestration.assets.features import bridge_features
from bridge_assets.orchestration.assets.survival import years_until_poor
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform


@dg.asset(
    deps=[local_endpoint, bridge_features, years_until_poor],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.SCORING,
    owners=display.MODEL_OWNERS,
    kinds={"onnx", "parquet"},
    description=(
        "One bridge in one survey year: the probability that its condition falls at its next inspection, its ranks in "
        "its state by that and by what a fall would mean (look_first_rank, 1 = look first), years until Poor, and the "
        "model version that says so. The first of each state in the last year also carry why: what the largest "
        "contributions to the probability are."
    ),
)
def bridge_predictions(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    import polars as pl

    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.scoring.batch import TABLE_NAME, score_survey_year

    lake = platform.lake
    with user_errors_as_failures():
        model = LocalEndpoint(platform.data.endpoint_folder).load_model()
        for year in survey_years(context):
            scores = score_survey_year(lake, year, model, platform.model.look_first)
            provenance = lake.provenance(TABLE_NAME, year)
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": scores.height,
                    **model.task.aggregate(scores[model.task.prediction_column]),
                    **{f"reasons_{name}": value for name, value in provenance["explained"].items()},
                    **{f"years_until_poor_{name}": value for name, value in provenance["years_until_poor"].items()},
                    "preview": display.preview(
                        scores.sort(
                            "look_first_rank",
                            model.task.severity(pl.col(model.task.prediction_column)),
                            descending=[False, True],
                        ).select(scores.columns[:7])
                    ),
                },
                asset_key=TABLE_NAME,
                partition_key=str(year),
            )
    return dg.MaterializeResult(metadata={"model_version": model.version})
