"""Checks of where survey years come from: late, unreadable, revised and withdrawn years."""

import dagster as dg

from bridge_assets.errors import error_summary
from bridge_assets.orchestration.checks.results import check_result, measured
from bridge_assets.orchestration.partitions import years_of_check_run
from bridge_assets.orchestration.resources import Platform


@dg.asset_check(
    asset="nbi_files",
    description=(
        "The survey year that FHWA should have published by now is available (by 15 June of the next year, plus two "
        "weeks of grace). Warns only. A generated inventory is never late."
    ),
)
def latest_year_available(platform: Platform) -> dg.AssetCheckResult:
    import datetime

    from bridge_assets.data.sources.lateness import due_survey_year, late_survey_year_message

    today = datetime.datetime.now(datetime.UTC).date()
    available = platform.lake.years_with_provenance("nbi_files")
    late = None if platform.data.uses_sample else late_survey_year_message(available, today)
    years = measured({"due": due_survey_year(today), "latest": max(available, default=None)})
    return check_result([late] if late else [], "no survey year is late", years, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset="raw_bridges",
    description=(
        "Every survey year of the run could be read. Does not stop the other years, which go on to their pages without "
        "it. A year of which the source has no file is a warning only."
    ),
)
def every_year_readable(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.data.ingest.unreadable import find_unreadable, unreadable_years

    lake, problems, missing = platform.lake, [], 0
    years = years_of_check_run(context) or sorted({*lake.available_years("raw_bridges"), *unreadable_years(lake)})
    for year in years:
        if (known := find_unreadable(lake, year)) is None:
            continue
        missing += known["is_missing"]
        has_records = lake.year_path("raw_bridges", year).is_file()
        kept = "the records of its earlier file stay in use" if has_records else "it is in no result"
        problems.append(f"survey year {year} could not be read, {kept}: {known['message']}")
    only_missing = missing == len(problems)
    severity = dg.AssetCheckSeverity.WARN if only_missing else dg.AssetCheckSeverity.ERROR
    figures = {"survey_years": len(years), "unreadable": len(problems) - missing, "missing": missing}
    return check_result(problems, f"{len(years)} survey years could be read", figures, severity)


@dg.asset_check(
    asset="nbi_files",
    description=(
        "No revised file waits for acceptance: a file whose records differ from those in the lake is not used until "
        "its digest is listed in fhwa.accept_revised of data_config.yaml. Warns only: the earlier records stay in use."
    ),
)
def revised_files_accepted(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.data.ingest.revisions import pending_messages

    years = platform.lake.years_with_provenance("nbi_files")
    problems = pending_messages(platform.lake, years)
    figures = {"survey_years": len(years), "waiting": len(problems)}
    return check_result(problems, "no revised file waits for acceptance", figures, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset="raw_bridges",
    description=(
        "The source still has a file of every survey year in the lake. Warns only: the records of a withdrawn year "
        "stay in every result, until `bridge-assets lake drop-year` removes it."
    ),
)
def source_has_every_year(platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.data.withdrawn import withdrawn_messages
    from bridge_assets.errors import SourceError

    figures = {"survey_years": len(platform.lake.available_years("raw_bridges"))}
    try:
        problems = withdrawn_messages(platform.data, platform.lake)
    except SourceError as error:
        problems = [f"it is not known which survey years the source has: {error_summary(error)}"]
    else:
        figures["withdrawn"] = len(problems)
    return check_result(problems, "the source has every survey year", figures, dg.AssetCheckSeverity.WARN)
