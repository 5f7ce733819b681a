"""How long until a bridge becomes Poor if no work is done: the deterioration model, and its years for every bridge."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.features import bridge_features, training_set
from bridge_assets.orchestration.edges import write_year
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, readable_years
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    import polars as pl


# This asset reads only the features and transitions. It depends on training_set for that asset's checks, which stop a
# run whose records failed their checks or contain too little to learn from.
@dg.asset(
    deps=[bridge_features, "fct_condition_transitions", training_set],
    group_name=groups.MODEL,
    owners=display.MODEL_OWNERS,
    kinds={"scipy"},
    description=(
        "How fast a bridge deteriorates if no work is done: rates of losing a rating point per year by condition, time "
        "in it, age and the other features, fitted to intervals of any length between inspections. Measured "
        "on held-out structures in later years against Kaplan-Meier tables. If there are too few drops to learn from, "
        "the asset succeeds, gives the reason in its metadata, and leaves the previous model in place."
    ),
)
def deterioration_model(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.errors import TrainingError
    from bridge_assets.models.survival.evaluation import survival_markdown
    from bridge_assets.models.survival.plots import calibration_plot_png
    from bridge_assets.models.survival.store import fit_and_save

    with user_errors_as_failures():
        try:
            survival_version = fit_and_save(platform.lake, platform.data.models_folder, platform.model)
        except TrainingError as error:  # predictions work without years until Poor
            context.log.warning(str(error))
            return dg.MaterializeResult(metadata={"skipped_reason": str(error)})
    evaluation = survival_version.evaluation
    return dg.MaterializeResult(
        data_version=dg.DataVersion(survival_version.digest[:12]),
        metadata={
            "model_version": survival_version.version,
            "held_out": dg.MetadataValue.md(survival_markdown(evaluation)),
            "plot": display.image_metadata(calibration_plot_png(evaluation)),
            **{name: value for name, value in evaluation.headline_metrics().items() if value is not None},
            "training_intervals": survival_version.model.intervals,
            "training_falls": survival_version.model.falls,
            "made_from": survival_version.made_from,
            "folder": display.path_metadata(survival_version.folder),
        },
    )


@dg.asset(
    deps=[deterioration_model, bridge_features],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.SCORING,
    owners=display.MODEL_OWNERS,
    kinds={"numba", "parquet"},
    description=(
        "One row per bridge and survey year: expected years from its inspection until its condition is Poor (4 or "
        "less) if no work is done, with an interval, and the probability of being Poor within 2, 4 and 8 years. Years "
        "are empty beyond the horizon and 0 for a bridge that is already Poor. Has no rows if no deterioration model "
        "could be fitted."
    ),
)
def years_until_poor(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.survival.store import has_model, latest_model, score_years_until_poor

    lake, settings = platform.lake, platform.model.survival
    with user_errors_as_failures():
        if not has_model(platform.data.models_folder):
            return dg.MaterializeResult(metadata={"skipped_reason": "no deterioration model has been fitted"})
        survival_version = latest_model(platform.data.models_folder)
        for year in readable_years(context, lake):
            features = lake.load_year("bridge_features", year)
            scores, provenance = score_years_until_poor(features, survival_version, settings)
            write_year(context, lake, scores, year, provenance, _partition_metadata(scores))
    return dg.MaterializeResult(
        metadata={
            "model_version": survival_version.version,
            "horizon_years": settings.horizon_years,
            "interval": settings.interval,
        }
    )


def _partition_metadata(scores: "pl.DataFrame") -> dict[str, Any]:
    from bridge_assets.models.survival.store import format_years

    not_poor = scores.filter(scores["condition"] > 4)
    soonest = not_poor.sort("poor_within_8_years", "structure_key", descending=[True, False])
    return {
        "already_poor": scores.height - soonest.height,
        "expected_poor_within_4_years": round(float(soonest["poor_within_4_years"].sum()), 1),
        "expected_poor_within_8_years": round(float(soonest["poor_within_8_years"].sum()), 1),
        "beyond_the_horizon": int(scores["median_years"].null_count()),
        "preview": display.preview(format_years(soonest).select(scores.columns[:11])),
    }
