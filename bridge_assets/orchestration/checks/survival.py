"""Can years until Poor be believed, and are they whole? No deployment waits for these checks."""

import dagster as dg

from bridge_assets.orchestration.gate.check_history import judged
from bridge_assets.orchestration.resources import Platform


@dg.asset_check(
    asset="deterioration_model",
    description=(
        "On held-out structures in later years, followed until Poor or censored, the model ranks better and has a "
        "smaller Brier score than Kaplan-Meier by condition and years in it, and as many became Poor as it said, "
        "within `survival` in model_config.yaml. Warns only: no endpoint serves it."
    ),
)
def calibrated_and_better_than_the_table(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.survival.evaluation import markdown_table, survival_problems
    from bridge_assets.models.survival.store import fitted, latest

    if not fitted(platform.data.models_folder):
        return dg.AssetCheckResult(
            passed=False, severity=dg.AssetCheckSeverity.WARN, description="no deterioration model has been fitted"
        )
    kept = latest(platform.data.models_folder)
    problems = survival_problems(kept.evaluation, platform.model.survival)
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(problems) or "calibrated, and better than the table",
        metadata=judged(kept.digest, held_out=dg.MetadataValue.md(markdown_table(kept.evaluation))),
    )


# It does not block: bridge_predictions, which comes after, asks the same of the years that it takes, and does without
# them where they are not whole.
@dg.asset_check(
    asset="years_until_poor",
    description=(
        "Every bridge with a condition has years until Poor in every survey year that was scored; the interval holds "
        "the median, a longer time never has a smaller probability, and 0 years stand where the bridge is Poor and "
        "nowhere else."
    ),
)
def years_are_whole(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.models.survival.store import NAME, score_problems

    lake, problems, rows = platform.lake, [], 0
    for year in lake.years(NAME):
        scores = lake.read_year(NAME, year)
        rows += scores.height
        problems += [f"{year}: {each}" for each in score_problems(scores, lake.read_year("bridge_features", year))]
    return dg.AssetCheckResult(
        passed=not problems, description="; ".join(problems) or f"{rows:,} bridges", metadata={"rows": rows}
    )
