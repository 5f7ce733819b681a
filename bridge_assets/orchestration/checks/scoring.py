"""Are the scores complete, and does a survey year still look like the training years?"""

import dagster as dg

from bridge_assets.orchestration.checks.results import check_result
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
    return check_result(problems, f"{rows:,} scores", {"rows": rows})


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
    drift = lake.read_year("drift_report", year)
    drifted = drift.filter("drifted")
    return dg.AssetCheckResult(
        passed=drifted.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{year}: {drifted.height} features drifted"
        + (f": {', '.join(drifted['feature'])}" if drifted.height else ""),
        metadata={
            "survey_year": year,
            "drifted": drifted.height,
            "compared": drift.height,
            "largest_distance": float(drift.select("statistic").max().item() or 0),
        },
    )
