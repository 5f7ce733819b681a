"""Check of data quality: does a survey year resemble the years before it?"""

import dagster as dg

from bridge_assets.orchestration.partitions import years_of_check_run
from bridge_assets.orchestration.resources import Platform

#: Jumps named in the description; the others are in the metadata and on the page.
MAX_LISTED_JUMPS = 8


@dg.asset_check(
    asset="data_quality",
    description=(
        "No share of a flag, of a missing item or of rejected rows jumped compared with the median of earlier survey "
        "years: by one percentage point over all states, by ten in one state, or by a tenth for rejected rows. Warns "
        "only: a jump is a reason to look into the file."
    ),
)
def quality_is_stable(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    import polars as pl

    from bridge_assets.data.quality.jumps import detect_jumps
    from bridge_assets.orchestration.metadata import display

    lake, found = platform.lake, []
    counted_years = lake.available_years("data_quality")
    years = [year for year in years_of_check_run(context) if year in counted_years] or counted_years
    summaries = lake.read_years("data_quality")
    for year in years:
        found += [{"survey_year": year, **jump} for jump in detect_jumps(summaries, year).to_dicts()]
    messages = [
        f"{jump['survey_year']}: {jump['measure']} {jump['name']} {jump['share']:.1%}, {jump['before']:.1%} before"
        + ("" if jump["state"] == "all" else f" (state {jump['state']})")
        for jump in found[:MAX_LISTED_JUMPS]
    ]
    more = f"; and {len(found) - MAX_LISTED_JUMPS} more" if len(found) > MAX_LISTED_JUMPS else ""
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(messages) + more if found else f"{len(years)} survey years are like those before them",
        metadata={
            "jumps": len(found),
            "largest_jump": max((abs(jump["share"] - jump["before"]) for jump in found), default=0.0),
            "survey_years": len(years),
            **({"list": display.preview(pl.DataFrame(found), rows=100)} if found else {}),
        },
    )
