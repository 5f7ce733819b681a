"""Are the scores whole, and does a year still look like those the model knows?"""

import dagster as dg

from bridge_assets.orchestration.resources import Platform


@dg.asset_check(
    asset="local_endpoint",
    description="The endpoint answers its probe with the artifact's own answers, from the bytes on disk.",
)
def answers_the_probe(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.deployment.local import LocalEndpoint

    report = LocalEndpoint(platform.data.endpoint_folder).canary()
    return dg.AssetCheckResult(
        passed=True,
        description=f"{report.rows} rows, largest difference {report.largest_difference:.2e}",
        metadata={"rows": report.rows, "largest_difference": report.largest_difference},
    )


@dg.asset_check(
    asset="bridge_predictions",
    blocking=True,
    description=(
        "Every bridge with a condition has one score in every survey year that was scored: a probability between 0 and "
        "1, or a change that ratings can make."
    ),
)
def scores_are_whole(platform: Platform) -> dg.AssetCheckResult:
    import polars as pl

    from bridge_assets.models.tasks import task_of

    lake, problems, rows = platform.lake, [], 0
    for year in lake.years("bridge_predictions"):
        scores, features = lake.read_year("bridge_predictions", year), lake.read_year("bridge_features", year)
        rows += scores.height
        unscored = features.join(scores, on="structure_key", how="anti").height
        task = task_of(scores)
        answer, (least, most) = pl.col(task.answer), task.bounds
        odd = scores.filter(~answer.is_between(least, most) | answer.is_null()).height
        if unscored or odd or scores["structure_key"].n_unique() != scores.height:
            problems.append(f"{year}: {unscored} bridges without a score, {odd} scores outside {least:g} to {most:g}")
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
def within_thresholds(platform: Platform) -> dg.AssetCheckResult:
    lake = platform.lake
    year = lake.years("drift_report")[-1]
    drifted = lake.read_year("drift_report", year).filter("drifted")
    return dg.AssetCheckResult(
        passed=drifted.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{year}: {drifted.height} features drifted"
        + (f": {', '.join(drifted['feature'])}" if drifted.height else ""),
        metadata={"survey_year": year, "drifted": drifted.height},
    )
