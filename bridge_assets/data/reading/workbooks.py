"""Reads Excel workbooks where the extra `excel` is installed; elsewhere says what to do.

Belongs here: opening a workbook as a source file. Does not belong here: its cells (`nbi.tables.excel`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from bridge_assets.data.reading import file_names
from bridge_assets.data.reading.archives import check_expanded_size
from bridge_assets.errors import SourceError
from bridge_assets.extras import install_command
from bridge_assets.nbi.tables import canonical, infobridge
from bridge_assets.nbi.tables.by_year import SurveyYearSplitter, YearBatch
from bridge_assets.nbi.tables.excel import ExcelTable, open_workbook, workbook_rows

_ZIP, _OLE = b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1")


def is_workbook(path: Path) -> bool:
    """Whether a file is an Excel workbook with XML in it (.xlsx, .xlsm), by its content.

    Raises
    ------
    SourceError
        If it is one in another form (.xls, .xlsb), or cannot be read here: the extra is missing, or it is too large.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(8)
        if magic == _OLE:
            raise _other_form_error(path, ".xls")
        if not magic.startswith(_ZIP):
            return False
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, SourceError):
            raise
        return False  # opening it as an archive explains what is wrong
    names = {member.filename for member in members}
    if "xl/workbook.bin" in names:
        raise _other_form_error(path, ".xlsb")
    if "xl/workbook.xml" not in names:
        return False
    for member in members:
        check_expanded_size(member.file_size, member.compress_size, path)
    if not file_names.excel_is_readable():
        raise SourceError(
            "this is an Excel workbook",
            where=path,
            why="Reading it needs openpyxl, which is not installed",
            do=f"save it as CSV UTF-8 in Excel, or run `{install_command('excel')}`",
        )
    return True


def read_workbook(path: Path, layout: str, survey_year: int | None, year_from_name: int | None) -> Iterator[YearBatch]:
    """Read the worksheet of bridges, as `formats.read_survey_file`; `layout` is the name of the format."""
    table = ExcelTable(path, _is_known)
    by_year = SurveyYearSplitter(path.name, path, layout, survey_year, year_from_name)
    read = infobridge.read_rows if infobridge.is_infobridge(table.headings) else canonical.read_rows
    yield from read(table, path, by_year)


def years_of_workbook(path: Path) -> Iterator[pl.Series]:
    """The cells of the column with the survey year, as text; nothing if there is no such column."""
    table = ExcelTable(path, _is_known)
    column = _year_column(table)
    if column is None:
        table.close()
        return
    for rows in table.rows({column: "year"}):
        yield rows.text["year"]


def count_workbook_rows(path: Path, survey_year: int) -> int:
    """As `formats.count_rows`, by another way through the workbook than the reader's."""
    table = ExcelTable(path, _is_known)
    column, width = _year_column(table), len(table.headings)
    table.close()
    rows = workbook_rows(open_workbook(path)[table.title], path, min_row=2, values_only=True)
    filled = (row for row in rows if any(value not in (None, "") for value in row))
    return sum(1 for row in filled if column is None or _may_be_of_year(row, column, width, survey_year))


def _may_be_of_year(row: Sequence[object], column: int, width: int, survey_year: int) -> bool:
    if any(value not in (None, "") for value in row[width:]) or column >= len(row):
        return True
    try:
        return float(str(row[column])) == survey_year
    except ValueError:
        return True


def _is_known(headings: Iterable[str]) -> bool:
    headings = list(headings)
    return infobridge.is_infobridge(headings) or canonical.is_canonical(headings)


def _year_column(table: ExcelTable) -> int | None:
    heading = "year" if infobridge.is_infobridge(table.headings) else "survey_year"
    return next((index for index, name in enumerate(table.headings) if name.lower() == heading), None)


def _other_form_error(path: Path, form: str) -> SourceError:
    return SourceError(
        f"this is an Excel workbook in the form {form}",
        where=path,
        why="Only .xlsx and .xlsm are read",
        do="open it in Excel and save it as CSV UTF-8 (or as .xlsx)",
    )
