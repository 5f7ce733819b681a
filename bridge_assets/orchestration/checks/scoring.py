"""Are the scores complete?"""

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
