"""Beyond the next inspection: how conditions go on falling, and when each bridge becomes Poor if nothing is done."""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.features import bridge_features, training_set
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform


# What it is fitted to is read from the features and transitions. It depends on training_set for that one's checks: they
# stop it where records failed theirs, or nothing can be learnt.
@dg.asset(
    deps=[bridge_features, "fct_condition_transitions", training_set],
    group_name=groups.MODEL,
    owners=display.MODEL_OWNERS,
    kinds={"scipy"},
    description=(
        "How fast the condition of a bridge goes on falling if nothing is done: yearly rates by condition, time in it, "
        "age and the other features, fitted to intervals between inspections of any length. Its figures are those of "
        "the same recipe on held-out structures in later years, beside Kaplan-Meier tables. Too few falls to learn "
        "from are no failure: the metadata says so, and what was fitted before stays."
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
        except TrainingError as error:  # the predictions that come after carry no years then, and need none
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
        "One bridge in one survey year: years from its inspection until its condition is Poor (4 or less) if nothing "
        "is done, expected and with an interval, and the probability of Poor within 2, 4 and 8 years. Empty years lie "
        "beyond the horizon; 0 is Poor already. Where no deterioration model could be fitted there are no rows."
    ),
)
def years_until_poor(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.survival.store import (
        TABLE_NAME,
        format_years,
        has_model,
        latest_model,
        score_years_until_poor,
    )

    lake, settings = platform.lake, platform.model.survival
    with user_errors_as_failures():
        if not has_model(platform.data.models_folder):
            return dg.MaterializeResult(metadata={"skipped_reason": "no deterioration model has been fitted"})
        survival_version = latest_model(platform.data.models_folder)
        for year in survey_years(context):
            scores = score_years_until_poor(lake, year, survival_version, settings)
            not_poor = scores.filter(scores["condition"] > 4)
            soonest = not_poor.sort("poor_within_8_years", "structure_key", descending=[True, False])
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": scores.height,
                    "already_poor": scores.height - soonest.height,
                    "expected_poor_within_4_years": round(float(soonest["poor_within_4_years"].sum()), 1),
                    "expected_poor_within_8_years": round(float(soonest["poor_within_8_years"].sum()), 1),
                    "beyond_the_horizon": int(scores["median_years"].null_count()),
                    "preview": display.preview(format_years(soonest).select(scores.columns[:11])),
                },
                asset_key=TABLE_NAME,
                partition_key=str(year),
            )
    return dg.MaterializeResult(
        metadata={
            "model_version": survival_version.version,
            "horizon_years": settings.horizon_years,
            "interval": settings.interval,
        }
    )
