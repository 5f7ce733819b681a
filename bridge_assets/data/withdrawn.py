"""Survey years that the lake has and the source no longer has: found, and dropped on request."""

from __future__ import annotations

from pathlib import Path

from bridge_assets.data.lake import Lake
from bridge_assets.data.origin import format_years
from bridge_assets.data.sources.acquire import known_years, remote_years
from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings


def withdrawn_years(data: DataSettings, lake: Lake) -> list[int]:
    """The survey years of raw_bridges for which the source has no file any more.

    None if the source is the address of one file, which says nothing about other years. A remote folder is listed;
    nothing is downloaded.

    Raises
    ------
    SourceError
        If the source cannot be listed.
    """
    loaded = lake.available_years("raw_bridges")
    known = known_years(data)
    if data.source_kind == "remote":
        if known:
            return []
        known = list(remote_years(data))
    return [year for year in loaded if year not in known]


def withdrawn_messages(data: DataSettings, lake: Lake) -> list[str]:
    """One sentence for each of `withdrawn_years`: what it means, and what to do. Raises as that."""
    where = redact_url(data.source) if data.source_kind in ("fhwa", "remote") else str(data.source_folder)
    return [
        f"{year}: {where} has no file of this survey year any more, but its records are in the lake and in every "
        f"result. What to do: put the file back, or remove the year with `bridge-assets lake drop-year {year}`"
        for year in withdrawn_years(data, lake)
    ]


def drop_survey_year(lake: Lake, survey_year: int, reports: Path) -> list[str]:
    """Remove a survey year from every table of the lake, and its own pages, such as that of its drift.

    Parameters
    ----------
    lake : Lake
    survey_year : int
    reports : Path
        Folder of the pages.

    Returns
    -------
    list of str
        The names of its files in the lake.

    Raises
    ------
    SourceError
        If the lake has nothing of this year.
    RunInProgressError
        If another process is writing to the lake.
    """
    lake.remove_leftovers()  # of a call that was killed
    if not lake.files_of_year(survey_year):
        loaded = lake.available_years("raw_bridges")
        raise SourceError(
            f"there is no survey year {survey_year}",
            where=lake.folder,
            why=f"The lake has {format_years(loaded) or 'no survey year'}; nothing was changed",
            do="name one of these years" if loaded else "run `bridge-assets run` first, or check the setting `home`",
        )
    for page in reports.glob(f"*_{survey_year}.*"):  # first: a page can be made again, but only while the year is known
        page.unlink()
    return lake.drop_year(survey_year)
