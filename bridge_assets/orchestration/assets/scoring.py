"""Scores by survey year: the predictions of the served model for every bridge."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.endpoints import local_endpoint
from bridge_assets.orchestration.assets.features import bridge_features
from bridge_assets.orchestration.assets.survival import years_until_poor
from bridge_assets.orchestration.edges import write_year
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, readable_years
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.models.tasks.base import Task


@dg.asset(
    deps=[local_endpoint, bridge_features, years_until_poor],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.SCORING,
    owners=display.MODEL_OWNERS,
    kinds={"onnx", "parquet"},
    freshness_policy=freshness.YEARLY_RESULTS,
    description=(
        "One row per bridge and survey year: the probability that its condition drops at its next inspection, its rank "
        "in its state by that probability and by the consequence of a drop (look_first_rank, 1 = inspect first), its "
        "list (Poor now; Likely to become Poor; Good, losing a point) and rank there, years until Poor, and the model "
        "version. In the last survey years the first bridges of each list also have "
        f"reasons: the features that contribute most to their probability. {freshness.RESULT_IS_STALE}"
    ),
)
def bridge_predictions(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.scoring.batch import score_survey_year
    from bridge_assets.scoring.published import publish_scores

    lake, look_first = platform.lake, platform.model.look_first
    with user_errors_as_failures():
        model = LocalEndpoint(platform.data.endpoint_folder).load_model()
        explained_years = lake.available_years("bridge_features")[-look_first.explained_years :]
        for year in readable_years(context, lake):
            features, years = lake.load_year("bridge_features", year), lake.find_year("years_until_poor", year)
            scores, provenance = score_survey_year(
                features, model, look_first, years=years, is_explained=year in explained_years
            )
            write_year(context, lake, scores, year, provenance, _partition_metadata(scores, provenance, model.task))
            publish_scores(lake, scores, year, model)
    page = display.dashboard_metadata(platform.dashboard, "bridges")
    return dg.MaterializeResult(metadata={"model_version": model.version, **page})


def _partition_metadata(scores: "pl.DataFrame", provenance: dict[str, Any], task: "Task") -> dict[str, Any]:
    import polars as pl

    first = scores.sort(
        "look_first_rank", task.severity(pl.col(task.prediction_column)), descending=[False, True]
    ).select(scores.columns[:9])
    return {
        **task.aggregate(scores[task.prediction_column]),
        **{f"reasons_{name}": value for name, value in provenance["explained"].items()},
        **{f"years_until_poor_{name}": value for name, value in provenance["years_until_poor"].items()},
        "preview": display.preview(first),
    }
