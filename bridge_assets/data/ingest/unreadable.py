"""Survey years of a run that could not be read, so that the other years go on without them.

Written by nbi_files and raw_bridges, one file a year, and removed when the year can be read again. Records of the year
that the lake has from an earlier file stay.
"""

from __future__ import annotations

from typing import Any

from bridge_assets.data.lake import Lake
from bridge_assets.errors import MissingYearError, SourceError

_TABLE = "unreadable_years"


def record_unreadable(lake: Lake, survey_year: int, error: SourceError, run_id: str, stage: str) -> dict[str, Any]:
    """Record why a survey year could not be read, in which run and asset.

    Returns
    -------
    dict
        `message`; `is_missing`, whether there is no file; `run_id`; `stage`.
    """
    is_missing = isinstance(error, MissingYearError)
    record = {"message": str(error), "is_missing": is_missing, "run_id": run_id, "stage": stage}
    return lake.write_provenance(_TABLE, survey_year, record)


def clear_unreadable(lake: Lake, survey_year: int) -> None:
    """Forget that a survey year could not be read."""
    lake.remove_provenance(_TABLE, survey_year)


def find_unreadable(lake: Lake, survey_year: int) -> dict[str, Any] | None:
    """Why a survey year could not be read when that was last tried; None if it could."""
    return lake.provenance(_TABLE, survey_year) if lake.has_provenance(_TABLE, survey_year) else None


def unreadable_years(lake: Lake) -> list[int]:
    """The survey years that could not be read when that was last tried."""
    return lake.years_with_provenance(_TABLE)


def years_with_records(lake: Lake, survey_years: list[int]) -> list[int]:
    """The survey years without those that cannot be read and of which the lake has no earlier records.

    Raises
    ------
    SourceError
        If none is left.
    """
    loaded, unreadable = lake.available_years("raw_bridges"), unreadable_years(lake)
    years = [year for year in survey_years if year in loaded or year not in unreadable]
    if survey_years and not years:
        raise SourceError(str(lake.provenance(_TABLE, survey_years[0])["message"]))
    return years
