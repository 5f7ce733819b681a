"""Beyond the next inspection: how conditions go on falling, and when each bridge becomes Poor if nothing is done."""

import dagster as dg

from bridge_assets.orchestration import groups
from bridge_assets.orchestration.assets.features import bridge_features, training_set
from bridge_assets.orchestration.failures import explained
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.partitions import ALL_YEARS_IN_ONE_RUN, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform


# What it is fitted to is read from the features and transitions. It depends on training_set for that one's checks: they
# stop it where records failed theirs, or nothing can be learnt.
@dg.asset(
    deps=[bridge_features, "fct_condition_transitions", training_set],
    group_name=groups.MODEL,
    owners=display.OWNERS_OF_MODELS,
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
    from bridge_assets.models.survival.evaluation import markdown_table
    from bridge_assets.models.survival.plots import calibration_plot_png
    from bridge_assets.models.survival.store import fit_and_keep

    with explained():
        try:
            kept = fit_and_keep(platform.lake, platform.data.models_folder, platform.model)
        except TrainingError as error:  # the predictions that come after carry no years then, and need none
            context.log.warning(str(error))
            return dg.MaterializeResult(metadata={"why_not": str(error)})
    evaluation = kept.evaluation
    return dg.MaterializeResult(
        data_version=dg.DataVersion(kept.digest[:12]),
        metadata={
            "model_version": kept.version,
            "held_out": dg.MetadataValue.md(markdown_table(evaluation)),
            "plot": display.plot(calibration_plot_png(evaluation)),
            **{name: value for name, value in evaluation.figures().items() if value is not None},
            "fitted_to_intervals": kept.model.intervals,
            "fitted_to_falls": kept.model.falls,
            "made_from": kept.made_from,
            "folder": display.file(kept.folder),
        },
    )


@dg.asset(
    deps=[deterioration_model, bridge_features],
    partitions_def=SURVEY_YEARS,
    backfill_policy=ALL_YEARS_IN_ONE_RUN,
    group_name=groups.SCORING,
    owners=display.OWNERS_OF_MODELS,
    kinds={"numba", "parquet"},
    description=(
        "One bridge in one survey year: years from its inspection until its condition is Poor (4 or less) if nothing "
        "is done, expected and with an interval, and the probability of Poor within 2, 4 and 8 years. Empty years lie "
        "beyond the horizon; 0 is Poor already. Where no deterioration model could be fitted there are no rows."
    ),
)
def years_until_poor(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.models.survival.store import NAME, fitted, in_words, latest, score_year

    lake, settings = platform.lake, platform.model.survival
    with explained():
        if not fitted(platform.data.models_folder):
            return dg.MaterializeResult(metadata={"why_not": "no deterioration model has been fitted"})
        kept = latest(platform.data.models_folder)
        for year in survey_years(context):
            scores = score_year(lake, year, kept, settings)
            not_poor = scores.filter(scores["condition"] > 4)
            soonest = not_poor.sort("poor_within_8_years", "structure_key", descending=[True, False])
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": scores.height,
                    "poor_already": scores.height - soonest.height,
                    "expected_poor_within_4_years": round(float(soonest["poor_within_4_years"].sum()), 1),
                    "expected_poor_within_8_years": round(float(soonest["poor_within_8_years"].sum()), 1),
                    "beyond_the_horizon": int(scores["median_years"].null_count()),
                    "preview": display.preview(in_words(soonest).select(scores.columns[:11])),
                },
                asset_key=NAME,
                partition_key=str(year),
            )
    return dg.MaterializeResult(
        metadata={
            "model_version": kept.version,
            "horizon_years": settings.horizon_years,
            "interval": settings.interval,
        }
    )
