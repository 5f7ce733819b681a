"""Names the files of a source folder that are not used, each with the reason.

Someone who put `NBI_2024.xlsx` into the folder must be told that it is left alone, and what to do with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from bridge_assets.data.reading import file_names
from bridge_assets.data.reading.file_names import EXCEL_SUFFIXES, SUFFIXES, is_year_folder
from bridge_assets.errors import SourceError

#: File name endings of tables that may have a survey year column.
TABLE_SUFFIXES = (".csv", ".parquet", ".csv.gz", *EXCEL_SUFFIXES)

#: Endings of files that people take for survey files -> what to do with them.
_OTHER_FORMATS = {
    (".xlsb", ".xls"): "Excel: save as CSV UTF-8 or as .xlsx",
    (".ods",): "OpenDocument: save as CSV UTF-8",
    (".json",): "JSON, such as SNBI of 2026 on, is not read: use the delimited file of FHWA",
    (".mdb", ".accdb"): "Access: export as CSV UTF-8",
}
_DATA_SUFFIXES = (*SUFFIXES, *EXCEL_SUFFIXES, *(suffix for suffixes in _OTHER_FORMATS for suffix in suffixes))

_WITHOUT_YEAR = "no survey year, or more than one, in its name"

#: Files that a message lists.
_LISTED = 8


def files_left_alone(folder: Path, by_year: Mapping[int, Iterable[Path]]) -> dict[str, str]:
    """The files in a source folder that belong to no survey year.

    Parameters
    ----------
    folder : Path
    by_year : mapping
        Its survey files (`survey_files.survey_files`).

    Returns
    -------
    dict of str to str
        Name relative to the folder -> reason; a subfolder ends in a slash. Hidden files and DVC pointers are left out.
        Files in formats of data come first.
    """
    used = {path for paths in by_year.values() for path in paths}
    left = [path for path in _candidates(folder) if path not in used]
    # Data first: of many files only the first are listed.
    left.sort(key=lambda path: (not path.name.lower().endswith(_DATA_SUFFIXES), path))
    return {path.relative_to(folder).as_posix() + "/" * path.is_dir(): _reason(path) for path in left}


def remote_files_left_alone(names: Iterable[str], by_year: Mapping[int, Iterable[str]]) -> dict[str, str]:
    """As `files_left_alone`, for the names of the files in a remote folder, which are not opened."""
    used = {name for of_year in by_year.values() for name in of_year}
    left = [name for name in names if name not in used and not name.rpartition("/")[2].startswith(".")]
    left = [name for name in left if not name.endswith(".dvc")]
    left.sort(key=lambda name: (not looks_like_data(name), name))
    return {name: _remote_reason(name) for name in left}


def looks_like_data(name: str) -> bool:
    """Whether a file that is left alone may have been meant as a survey file, unlike a README."""
    return name.lower().endswith(_DATA_SUFFIXES)


def left_alone_sentence(files: Mapping[str, str]) -> str:
    """`Left alone: NBI_2024.xls (Excel: save as CSV UTF-8 or as .xlsx)`; empty if no file is."""
    listed = [f"{name} ({reason})" for name, reason in list(files.items())[:_LISTED]]
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return f"Left alone: {', '.join(listed)}{more}" if files else ""


def _candidates(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name.endswith(".dvc"):
            continue
        if path.is_dir() and is_year_folder(path.name):
            with suppress(PermissionError):  # told where its year is read
                yield from [
                    inner for inner in path.iterdir() if not inner.name.startswith(".") and inner.suffix != ".dvc"
                ]
        else:
            yield path


def _reason(path: Path) -> str:
    if path.is_dir():
        return "a folder that is not named after a survey year"
    reason = _reason_of_name(path.name)
    return f"{reason}{_reason_of_table(path)}" if _is_nameless_table(path.name, reason) else reason


def _remote_reason(name: str) -> str:
    folder, _, file = name.rpartition("/")
    if folder and not is_year_folder(folder):
        return "in a folder that is not named after a survey year"
    reason = _reason_of_name(file)
    if _is_nameless_table(file, reason):
        return f"{reason}; only in a local folder is a table opened to look for a survey year in its rows"
    return reason


def _is_nameless_table(name: str, reason: str) -> bool:
    return reason == _WITHOUT_YEAR and name.lower().endswith(TABLE_SUFFIXES)


def _reason_of_name(name: str) -> str:
    name = name.lower()
    for suffixes, reason in _OTHER_FORMATS.items():
        if name.endswith(suffixes):
            return reason
    if name.endswith(EXCEL_SUFFIXES) and not file_names.excel_is_readable():
        return "Excel: save as CSV UTF-8, or install the extra excel"
    if not name.endswith(suffixes := file_names.readable_suffixes()):
        return f"not one of {', '.join(sorted(suffixes))}"
    return _WITHOUT_YEAR


def _reason_of_table(path: Path) -> str:
    from bridge_assets.data.reading.formats import survey_years_in_file  # imported late: heavy

    try:
        survey_years_in_file(path)
    except SourceError as error:
        return f"; {error.what}" + (f": {error.why}" if error.why else "")
    return ", and none in its rows"
