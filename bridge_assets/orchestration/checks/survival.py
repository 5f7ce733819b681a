"""Is the deterioration model accurate enough, and are the years until Poor complete? No deployment depends on them."""

import dagster as dg

from bridge_assets.orchestration.checks.results import check_result, measured
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.resources import Platform


@dg.asset_check(
    asset="deterioration_model",
    description=(
        "On held-out structures in later years, followed until Poor or censored, the model ranks better and has a "
        "smaller Brier score than Kaplan-Meier tables by condition and years in it, and the number that became Poor "
        "matches its prediction within `survival` in model_config.yaml. Only warns: no endpoint serves this model."
    ),
)
def calibrated_and_beats_kaplan_meier(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.survival.evaluation import survival_markdown, survival_problems
    from bridge_assets.models.survival.store import has_model, latest_model

    if not has_model(platform.data.models_folder):
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, description="no deterioration model has been fitted"
        )
    survival_version = latest_model(platform.data.models_folder)
    problems = survival_problems(survival_version.evaluation, platform.model.survival)
    evaluation = survival_version.evaluation
    return check_result(
        problems,
        "calibrated, and better than the table",
        {
            **Judged(survival_version.digest).metadata(),
            "held_out": dg.MetadataValue.md(survival_markdown(evaluation)),
            **measured(evaluation.headline_metrics()),
        },
        dg.AssetCheckSeverity.WARN,
    )


# Not blocking: bridge_predictions verifies the same for the years that it uses, and leaves incomplete ones out.
@dg.asset_check(
    asset="years_until_poor",
    description=(
        "In every survey year that was scored, each bridge with a condition has years until Poor; the interval "
        "contains the median, probabilities never decrease with time, and years are 0 exactly for Poor bridges."
    ),
)
def years_until_poor_complete(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.survival.store import TABLE_NAME, years_until_poor_problems

    lake, problems, rows = platform.lake, [], 0
    for year in lake.available_years(TABLE_NAME):
        scores = lake.read_year(TABLE_NAME, year)
        rows += scores.height
        problems += [
            f"{year}: {each}" for each in years_until_poor_problems(scores, lake.read_year("bridge_features", year))
        ]
    return check_result(problems, f"{rows:,} bridges", {"rows": rows})
