"""The survey years that have a partition.

From the first year the source holds (or `survey_years.first`) to 2025, the last year of the delimited layouts (or
`survey_years.last`, or the last year the source holds where that is later). A year in between that the source does not
hold has no partition, so that nothing can be shown as made that never was. For `fhwa` they are the years of the
catalogue, within `survey_years`; for the address of one file, its year.

A local source folder is listed when the code location loads, and the years inside a table without a year in its name
are read. No network is used: what a bucket holds is not known then, and every year within `survey_years` (1992 to 2025
where that is empty) has a partition.
"""

import datetime

import dagster as dg

from bridge_assets.data.sources.acquire import known_years
from bridge_assets.errors import SourceError
from bridge_assets.settings import FIRST_NBI_YEAR, LAST_DELIMITED_YEAR, DataSettings


def years_in_source(settings: DataSettings) -> list[int]:
    """The survey years that the source is known to have; none where they cannot be told without asking elsewhere, or
    where the folder cannot be listed (the asset that needs it says why).
    """
    try:
        return known_years(settings)
    except SourceError:
        return []


def survey_year_partitions(settings: DataSettings) -> dg.TimeWindowPartitionsDefinition:
    """One partition a survey year, keys `1992`, `1993`, ..."""
    configured, found = settings.survey_years, years_in_source(settings)
    first = configured.first or min(found, default=FIRST_NBI_YEAR)
    last_found = max(found, default=first)
    last = configured.last or max(LAST_DELIMITED_YEAR, last_found)
    if settings.source_kind in ("fhwa", "remote") and found:  # what they have does not grow by itself
        last = max(min(last, last_found), first)
    missing = [year for year in range(first, last_found) if found and year not in found]
    return dg.TimeWindowPartitionsDefinition(
        start=str(first),
        end=str(last + 1),
        fmt="%Y",
        cron_schedule="0 0 1 1 *",
        end_offset=1,  # the current year's window has not ended, but its file may be there
        exclusions=[datetime.datetime(year, 1, 1) for year in missing] or None,
    )


SURVEY_YEARS = survey_year_partitions(DataSettings.load())

#: One run for any range of years: the assets write each year themselves.
SINGLE_RUN_BACKFILL = dg.BackfillPolicy.single_run()


def survey_years(context: dg.AssetExecutionContext) -> list[int]:
    """The survey years of this run, in order."""
    return sorted(int(key) for key in context.partition_keys)
