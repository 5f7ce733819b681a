"""Survey years as partitions.

Assets are declared with every possible survey year (`SURVEY_YEARS`); `build_definitions` narrows them to those of the
configured source (`survey_year_partitions`): from the first year in the source (or `survey_years.first`) to 2025, the
last year of the delimited layouts (or `survey_years.last`, or the last year in the source if that is later). A year in
between that is missing from the source has no partition, so that the UI cannot show a year that never existed as
materialised. For `fhwa` the partitions are the years of the catalogue, within `survey_years`; for the address of one
file, its year.

A local source folder is listed when the definitions are built, and a file without a year in its name is opened to find
its years. The network is not used: the contents of a bucket are unknown at that point, and every year within
`survey_years` (1992 to 2025 if that is empty) has a partition.
"""

import datetime

import dagster as dg

from bridge_assets.data.lake import Lake
from bridge_assets.data.sources.acquire import known_years
from bridge_assets.errors import SourceError
from bridge_assets.settings import FIRST_NBI_YEAR, LAST_DELIMITED_YEAR, DataSettings

#: Run tags that select a range of partitions for a single run.
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def years_in_source(settings: DataSettings) -> list[int]:
    """The survey years that the source is known to have; empty if finding out would take a network request, or if the
    folder cannot be listed (the asset that reads it reports why).
    """
    try:
        return known_years(settings)
    except SourceError:
        return []


def survey_year_partitions(settings: DataSettings) -> dg.TimeWindowPartitionsDefinition:
    """One partition per survey year of the source, keys `1992`, `1993`, ..."""
    configured, found = settings.survey_years, years_in_source(settings)
    first = configured.first or min(found, default=FIRST_NBI_YEAR)
    last_found = max(found, default=first)
    last = configured.last or max(LAST_DELIMITED_YEAR, last_found)
    if settings.source_kind in ("fhwa", "remote") and found:  # a catalogue or one file gains no years over time
        last = max(min(last, last_found), first)
    missing = [year for year in range(first, last_found) if found and year not in found]
    return _yearly_partitions(first, last, missing)


def _yearly_partitions(first: int, last: int, missing: list[int]) -> dg.TimeWindowPartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(
        start=str(first),
        end=str(last + 1),
        fmt="%Y",
        cron_schedule="0 0 1 1 *",
        end_offset=1,  # the current year's window has not ended, but its file may already be published
        exclusions=[datetime.datetime(year, 1, 1) for year in missing] or None,
    )


#: Every possible survey year; `build_definitions` narrows them to those of the source.
SURVEY_YEARS = _yearly_partitions(FIRST_NBI_YEAR, LAST_DELIMITED_YEAR, [])

#: One run for any range of years: the assets write each year themselves.
SINGLE_RUN_BACKFILL = dg.BackfillPolicy.single_run()


def survey_years(context: dg.AssetExecutionContext) -> list[int]:
    """The survey years of this run, in order."""
    return sorted(int(key) for key in context.partition_keys)


def readable_years(context: dg.AssetExecutionContext, lake: Lake) -> list[int]:
    """The survey years of this run without those that cannot be read and of which there are no earlier records.

    The check every_year_readable names them. Raises SourceError if none is left.
    """
    from bridge_assets.data.ingest.unreadable import years_with_records

    years = survey_years(context)
    readable = years_with_records(lake, years)
    if missing := [str(year) for year in years if year not in readable]:
        context.log.warning(f"survey years that cannot be read are left out: {', '.join(missing)}")
    return readable


def years_of_check_run(context: dg.AssetCheckExecutionContext) -> list[int]:
    """The survey years of the run that a check is part of, in order; empty if it was launched without partitions."""
    run = context.op_execution_context
    return sorted(map(int, run.partition_keys)) if run.has_partition_key or run.has_partition_key_range else []
