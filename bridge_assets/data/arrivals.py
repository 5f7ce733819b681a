"""Which survey files of a folder are new, or changed since nbi_files saw them."""

from __future__ import annotations

from pathlib import Path

from bridge_assets.data.lake import Lake
from bridge_assets.data.sources import SurveyFile, survey_file, survey_files
from bridge_assets.nbi.errors import SourceError
from bridge_assets.nbi.records import read_header


def arrivals(folder: Path, lake: Lake) -> tuple[dict[int, SurveyFile], list[str]]:
    """Compare a source folder with what nbi_files saw.

    A file is compared by its bytes, so that a copy with a new date is no news. A file that cannot be read (a web page,
    a download that has not ended, two files for one year) is a problem to report, not a reason to leave the others.

    Returns
    -------
    arrived : dict
        Survey year -> file, for new and changed ones.
    problems : list of str

    Raises
    ------
    SourceError
        If the folder is missing or cannot be read.
    """
    arrived: dict[int, SurveyFile] = {}
    problems: list[str] = []
    for year in survey_files(folder):
        try:
            file = survey_file(folder, year)
            seen = lake.note("nbi_files", year)["sha256"] if lake.has_note("nbi_files", year) else None
            if file.sha256 != seen:
                read_header(file.path)
                arrived[year] = file
        except SourceError as error:
            problems.append(str(error))
    return arrived, problems
