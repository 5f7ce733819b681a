"""The survey years that have a partition.

From the first year the source holds (or `survey_years.first`) to 2025, the last year of the delimited layouts (or
`survey_years.last`, or the last year the source holds where that is later). A year in between that the source does not
hold has no partition, so that nothing can be shown as made that never was. The source folder is listed when the code
location loads; nothing else is read and no network is used.
"""

import datetime

import dagster as dg

from bridge_assets.data.sources import survey_files
from bridge_assets.nbi.errors import SourceError
from bridge_assets.settings import FIRST_NBI_YEAR, LAST_DELIMITED_YEAR, DataSettings


def years_in_source(settings: DataSettings) -> list[int]:
    """The survey years of the source folder; none where it cannot be listed (the asset that needs it says why)."""
    try:
        return list(survey_files(settings.source_folder))
    except SourceError:
        return []


def survey_year_partitions(settings: DataSettings) -> dg.TimeWindowPartitionsDefinition:
    """One partition a survey year, keys `1992`, `1993`, ..."""
    wanted, found = settings.survey_years, years_in_source(settings)
    first = wanted.first or min(found, default=FIRST_NBI_YEAR)
    last_found = max(found, default=first)
    last = wanted.last or max(LAST_DELIMITED_YEAR, last_found)
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
ALL_YEARS_IN_ONE_RUN = dg.BackfillPolicy.single_run()


def survey_years(context: dg.AssetExecutionContext) -> list[int]:
    """The survey years of this run, in order."""
    return sorted(int(key) for key in context.partition_keys)
