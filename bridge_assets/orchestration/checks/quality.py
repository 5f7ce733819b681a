"""Is the data of a survey year like that of the years before it?"""

from collections.abc import Iterable

import dagster as dg

from bridge_assets.orchestration.resources import Platform

#: Jumps named in the description; the others stand in the metadata and on the page.
NAMED = 8


@dg.asset_check(
    asset="data_quality",
    description=(
        "No share of a flag, of a missing item or of rejected rows jumped against the median of the earlier survey "
        "years: by a point of all states, by ten points in one, by a tenth of a point for rejected rows. Warns only: "
        "what jumped is a reason to look into the file, and the flag itself keeps nobody from using it."
    ),
)
def quality_is_steady(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    import polars as pl

    from bridge_assets.data.quality.jumps import jumps
    from bridge_assets.orchestration.metadata import display

    lake, found = platform.lake, []
    made = lake.years("data_quality")
    years = [year for year in _years_of_run(context) if year in made] or made
    summaries = lake.read_years("data_quality")
    for year in years:
        found += [{"survey_year": year, **jump} for jump in jumps(summaries, year).to_dicts()]
    told = [
        f"{jump['survey_year']}: {jump['measure']} {jump['name']} {jump['share']:.1%}, {jump['before']:.1%} before"
        + ("" if jump["state"] == "all" else f" (state {jump['state']})")
        for jump in found[:NAMED]
    ]
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told) + more if found else f"{len(years)} survey years are like those before them",
        metadata={"jumps": len(found), **({"list": display.preview(pl.DataFrame(found), rows=100)} if found else {})},
    )


def _years_of_run(context: dg.AssetCheckExecutionContext) -> list[int]:
    """The survey years of this run; none when the check is run by itself, without partitions."""
    run = context.op_execution_context
    keys: Iterable[str] = run.partition_keys if run.has_partition_key or run.has_partition_key_range else ()
    return sorted(map(int, keys))
