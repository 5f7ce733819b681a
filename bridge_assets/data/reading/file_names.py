"""Survey year and state from the name of a survey file.

The records do not contain their survey year; it is in the name of the file (`NBI_2016.txt`,
`2018HwyBridgesDelimitedAllStates.txt`, or FHWA's state files such as `AK19.txt`) or of its folder (`2019/AK.txt`).
Belongs here: the rules for names, for local and remote folders alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from bridge_assets.errors import SourceError

#: File name endings of survey files; there may be several, as in `.txt.gz`.
SUFFIXES = (".gz", ".zip", ".txt", ".csv", ".parquet")

#: The same for Excel workbooks, which are read where the extra `excel` is installed.
EXCEL_SUFFIXES = (".xlsx", ".xlsm")


def excel_is_readable() -> bool:
    """Whether the extra `excel` is installed."""
    return find_spec("openpyxl") is not None


def readable_suffixes() -> tuple[str, ...]:
    """`SUFFIXES`, and `EXCEL_SUFFIXES` where workbooks can be read."""
    return (*SUFFIXES, *EXCEL_SUFFIXES) if excel_is_readable() else SUFFIXES


#: Digits of the SHA-256 in the name of a revised file.
REVISION_DIGITS = 12

_REVISION = re.compile(rf"\.[0-9a-f]{{{REVISION_DIGITS}}}$")


def base_stem(name: str) -> str:
    """The name of a file without the endings of survey files and without the digest of a revised file."""
    stem, _ = _split_suffixes(name)
    return _REVISION.sub("", stem)


def revised_file_name(name: str, sha256: str) -> str:
    """The name of a revised file: `AL19.txt` -> `AL19.3f2a9c1b7d4e.txt`."""
    stem, endings = _split_suffixes(name)
    return f"{stem}.{sha256[:REVISION_DIGITS]}{endings}"


def _split_suffixes(name: str) -> tuple[str, str]:
    stem = name
    while (path := Path(stem)).suffix.lower() in (*SUFFIXES, *EXCEL_SUFFIXES) and path.stem:
        stem = path.stem
    return stem, name[len(stem) :]


#: Postal codes of the states and territories that FHWA publishes.
STATE_POSTAL_CODES = frozenset({
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FL", "GA", "HI", "ID", "IL",
    "IN", "IA", "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE",
    "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD",
    "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "PR", "GU", "VI", "AS", "MP",
})  # fmt: skip

_FULL_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_STATE_FILE = re.compile(r"^[A-Z]{2}(\d\d)$", re.IGNORECASE)
_STATE = re.compile(r"(?<![A-Za-z])([A-Z]{2})(?![A-Za-z])", re.IGNORECASE)


def is_year_folder(name: str) -> bool:
    """Whether a folder is named after a survey year."""
    return _FULL_YEAR.fullmatch(name) is not None


def survey_year_of(name: str) -> int | None:
    """The survey year in the name of a file; None if there is none or more than one.

    Only `SSYY.txt` may have a two-digit year; 92 to 99 mean 1992 to 1999, since FHWA's files begin with 1992.
    """
    stem = base_stem(PurePosixPath(name).name)
    if state_file := _STATE_FILE.match(stem):
        two_digits = int(state_file[1])
        return (1900 if two_digits >= 92 else 2000) + two_digits
    years = {int(year) for year in _FULL_YEAR.findall(stem)}
    return years.pop() if len(years) == 1 else None


def state_of(name: str) -> str | None:
    """The state in the name of a file (`AK19.txt`, `2019/AK.txt`, `NBI_AK_2019.csv`); None for all states."""
    found = {state.upper() for state in _STATE.findall(base_stem(PurePosixPath(name).name))} & STATE_POSTAL_CODES
    return found.pop() if len(found) == 1 else None


def group_by_survey_year(names: Iterable[str]) -> tuple[dict[int, list[str]], list[str]]:
    """The names of survey files by survey year, and the names without a year.

    Parameters
    ----------
    names : iterable of str
        Names relative to a folder: `AK19.txt` or, in a subfolder named after a year, `2019/AK.txt`. Hidden files and
        files in deeper or other subfolders are ignored.
    """
    years: dict[int, list[str]] = {}
    without_year = []
    suffixes = readable_suffixes()
    for name in sorted(names):
        *folders, file = name.split("/")
        if file.startswith(".") or not file.lower().endswith(suffixes) or len(folders) > 1:
            continue
        year = survey_year_of(file) if not folders else int(folders[0]) if is_year_folder(folders[0]) else None
        if year is not None:
            years.setdefault(year, []).append(name)
        elif not folders:
            without_year.append(name)
    return dict(sorted(years.items())), without_year


def check_no_conflicts(survey_year: int, names: Sequence[str], where: Path | str) -> None:
    """Raise SourceError if two files of a survey year are for the same state, or one of several is for all states."""
    for name in names:
        year_from_name = survey_year_of(name)
        if "/" in name and year_from_name not in (None, survey_year):
            raise SourceError(
                f"{name} has two survey years",
                where=where,
                why=f"Its folder is for {survey_year}, but its name is for {year_from_name}",
                do="move it into the folder of its year, or out of the source",
            )
    states = [state_of(name) for name in names]
    if len(names) > 1 and (None in states or len(set(states)) < len(states)):
        conflicting = [
            name for name, state in zip(names, states, strict=True) if None in states or states.count(state) > 1
        ]
        raise SourceError(
            f"there are {len(conflicting)} files for survey year {survey_year}",
            where=where,
            why=f"They are {', '.join(conflicting)}, and it is unclear which one is right; several files of one year "
            "must be for different states, with the state in the name (AK19.txt)",
            do="keep one in the folder and move the others away",
        )
