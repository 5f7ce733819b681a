"""Are the scores whole, and does a year still look like those the model knows?"""

import dagster as dg

from bridge_assets.orchestration.resources import Platform


@dg.asset_check(
    asset="bridge_predictions",
    blocking=True,
    description=(
        "Every bridge with a condition has one score in every survey year that was scored, a probability between 0 and "
        "1 or a change that ratings can make, and one place in each order of its state; where reasons are given, the "
        "first of the state have them."
    ),
)
def scores_complete(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.scoring.batch import TABLE_NAME, score_problems

    lake, problems, rows = platform.lake, [], 0
    for year in lake.available_years(TABLE_NAME):
        scores = lake.read_year(TABLE_NAME, year)
        rows += scores.height
        problems += [f"{year}: {each}" for each in score_problems(scores, lake.read_year("bridge_features", year))]
    return dg.AssetCheckResult(
        passed=not problems, description="; ".join(problems) or f"{rows:,} scores", metadata={"rows": rows}
    )


@dg.asset_check(
    asset="drift_report",
    description=(
        "In the latest survey year no feature lies farther from the training years than its threshold. Warns only: a "
        "drifted year is a reason to look, and perhaps to train, not an error."
    ),
)
def drift_within_thresholds(platform: Platform) -> dg.AssetCheckResult:
    lake = platform.lake
    year = lake.available_years("drift_report")[-1]
    drifted = lake.read_year("drift_report", year).filter("drifted")
    return dg.AssetCheckResult(
        passed=drifted.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{year}: {drifted.height} features drifted"
        + (f": {', '.join(drifted['feature'])}" if drifted.height else ""),
        metadata={"survey_year": year, "drifted": drifted.height},
    )
