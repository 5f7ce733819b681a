"""Which survey files are in a folder, and of which year.

A record does not say its survey year; the file's name does: `NBI_2016.txt`, `2018HwyBridgesDelimitedAllStates.txt` or,
as FHWA names state files, `AK19.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge_assets.nbi.errors import SourceError
from bridge_assets.storage import digest

SUFFIXES = (".txt", ".csv")

_FULL_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_STATE_FILE = re.compile(r"^[A-Z]{2}(\d\d)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SurveyFile:
    """One survey year's file, fixed by its bytes."""

    survey_year: int
    path: Path
    sha256: str
    bytes: int


def survey_year_of(name: str) -> int | None:
    """The survey year in a file's name, or None where there is none or more than one.

    A two-digit year belongs to `SSYY.txt` only; 92 to 99 are 1992 to 1999, since FHWA begins with 1992.
    """
    stem = Path(name).stem
    if state_file := _STATE_FILE.match(stem):
        two_digits = int(state_file[1])
        return (1900 if two_digits >= 92 else 2000) + two_digits
    years = {int(year) for year in _FULL_YEAR.findall(stem)}
    return years.pop() if len(years) == 1 else None


def survey_files(folder: Path) -> dict[int, list[Path]]:
    """Every survey file in a folder, by survey year, in the order of the years.

    Parameters
    ----------
    folder : Path
        Looked at without its subfolders. Hidden files and files whose names hold no year are left alone.

    Raises
    ------
    SourceError
        If the folder is missing or cannot be read.
    """
    try:
        there = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    except FileNotFoundError:
        raise SourceError(
            "the source folder is not there",
            where=folder,
            why="`source` in configs/data_config.yaml (or BRIDGE_ASSETS_DATA__SOURCE) names it",
            do="correct the setting, or set it to `sample` and run `make sample`",
        ) from None
    except OSError as error:
        raise SourceError(
            "the source folder cannot be read",
            where=folder,
            why=str(error.strerror),
            do="check what it is and its permissions",
        ) from error
    found: dict[int, list[Path]] = {}
    for path in there:
        if (year := survey_year_of(path.name)) is not None:
            found.setdefault(year, []).append(path)
    return dict(sorted(found.items()))


def survey_file(folder: Path, survey_year: int) -> SurveyFile:
    """The one file of a survey year.

    Raises
    ------
    SourceError
        If the folder is missing, or the year has no file, or two.
    """
    by_year = survey_files(folder)
    paths = by_year.get(survey_year, [])
    if not paths:
        raise SourceError(
            f"there is no file for survey year {survey_year}",
            where=folder,
            why=f"Its files are of {_ranges(by_year)}",
            do=f"put the file there under a name with its year, such as NBI_{survey_year}.txt",
        )
    if len(paths) > 1:
        raise SourceError(
            f"there are {len(paths)} files for survey year {survey_year}",
            where=folder,
            why=f"They are {', '.join(path.name for path in paths)}, and nothing says which one is right",
            do="keep one in the folder and move the others away",
        )
    return SurveyFile(survey_year, paths[0], digest(paths[0]), paths[0].stat().st_size)


def unchanged(path: Path, sha256: str) -> Path:
    """The path of a file, after comparing its bytes with a digest taken before.

    Raises
    ------
    SourceError
        If the file is gone or its bytes differ.
    """
    if not path.is_file():
        raise SourceError(
            "the file is gone",
            where=path,
            why="nbi_files saw it there",
            do="put it back, or materialise nbi_files again",
        )
    if digest(path) != sha256:
        raise SourceError(
            "the file changed",
            where=path,
            why="Its SHA-256 is not the one nbi_files saw",
            do="materialise nbi_files again",
        )
    return path


def _ranges(years: Mapping[int, object]) -> str:
    """`1997, 1999-2022` of the years; `no year` of none."""
    runs: list[list[int]] = []
    for year in sorted(years):
        if runs and runs[-1][-1] == year - 1:
            runs[-1][1:] = [year]
        else:
            runs.append([year])
    return ", ".join("-".join(map(str, run)) for run in runs) or "no year"
