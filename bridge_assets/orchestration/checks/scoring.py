"""Are the scores complete, and does a survey year still look like the training years?"""

import dagster as dg

from bridge_assets.orchestration.resources import Platform


@dg.asset_check(
    asset="bridge_predictions",
    blocking=True,
    description=(
        "In every survey year that was scored, each bridge with a condition has exactly one score within its bounds "
        "and one rank in each of the two rankings of its state; reasons are given for the first bridges of a state."
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
        "In the latest survey year, no feature has drifted from the training years beyond its threshold. Only warns: "
        "drift is a reason to investigate, and perhaps to retrain, not an error."
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
