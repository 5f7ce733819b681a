"""Reads the rows of an Excel workbook as text, and says where Excel holds numbers instead of codes.

Belongs here: cells. Does not belong here: the meaning of the columns (`canonical`, `infobridge`). openpyxl (extra
`excel`) is imported inside the functions that use it.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.spreadsheet import CHANGED_KEY, CURE
from bridge_assets.nbi.tables.quoted_csv import CHUNK_ROWS, CsvRows

#: From here on Excel, which keeps 15 digits, has replaced digits of a whole number by zeros.
_INEXACT = 10**15

_DAMAGE = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip

_KEYS = ("STATE_CODE_001", "STRUCTURE_NUMBER_008")
_ZEROS = re.compile(r"0{2,15}")


class ExcelTable:
    """The worksheet of a workbook that has known headings in its first row.

    Parameters
    ----------
    path : Path
    is_known : callable
        Headings -> whether a table with these headings can be read.

    Attributes
    ----------
    title : str
        Of the worksheet.
    headings : list of str

    Raises
    ------
    SourceError
        If the workbook cannot be read, or not exactly one worksheet has known headings.
    """

    def __init__(self, path: Path, is_known: Callable[[Iterable[str]], bool]) -> None:
        self._path = path
        self._workbook = open_workbook(path)
        sheets = ((sheet.title, _headings(sheet, path)) for sheet in self._workbook.worksheets)
        found = {title: headings for title, headings in sheets if is_known(headings)}
        if len(found) != 1:
            titles = ", ".join(repr(title[:40]) for title in (found or self._workbook.sheetnames))
            self.close()
            raise SourceError(
                f"the workbook has {len(found) or 'no'} worksheets of bridges; exactly one is expected",
                where=path,
                why=("Several have known column names: " if found else "The first row of none has known names: ")
                + titles,
                do="keep one worksheet, with the column names of docs/schema.md in its first row",
            )
        [(self.title, self.headings)] = found.items()
        self._numbers: dict[str, int] = {}
        self._dates: dict[str, int] = {}

    def close(self) -> None:
        self._workbook.close()

    def rows(self, wanted: Mapping[int, str], chunk_rows: int = CHUNK_ROWS) -> Iterator[CsvRows]:
        """Yield the rows below the header as text, as `CsvFile.rows`; the number of a row is its line number."""
        chunk = _Chunk(wanted)
        cells = workbook_rows(self._workbook[self.title], self._path, min_row=2)
        for number, row in enumerate(cells, start=2):
            self._add(chunk, number, row, wanted)
            if len(chunk.numbers) + len(chunk.rejected) >= chunk_rows:
                yield chunk.rows()
                chunk = _Chunk(wanted)
        yield chunk.rows()
        self.close()

    def warnings(self) -> list[str]:
        """What Excel holds instead of text, after all rows were read; one sentence each."""
        found = []
        if self._numbers:
            listed = ", ".join(f"{name} ({cells:,})" for name, cells in self._numbers.items())
            found.append(
                "Excel holds numbers where the items are text, so that zeros at their start are lost: cells of "
                f"{listed}; {CURE}"
            )
        if self._dates:
            listed = ", ".join(f"{name} ({cells:,})" for name, cells in self._dates.items())
            found.append(f"Excel holds dates where the items are text or numbers: cells of {listed}; {CURE}")
        return found

    def _add(self, chunk: _Chunk, number: int, row: Sequence[Any], wanted: Mapping[int, str]) -> None:
        cells = {index: cell for index, cell in enumerate(row) if cell.value is not None and cell.value != ""}
        if not cells:
            return
        line = ",".join(str(cell.value) for cell in cells.values())
        if beyond := [index for index in cells if index >= len(self.headings)]:
            found = f"{len(self.headings)} fields expected, {max(beyond) + 1} found"
            chunk.rejected.append((number, "field_count", found, line))
            return
        texts = {}
        for index, name in wanted.items():
            if (cell := cells.get(index)) is None:
                continue
            if name in _KEYS and (problem := _key_problem(name, cell)):
                chunk.rejected.append((number, CHANGED_KEY, f"{problem}; {CURE}", line))
                return
            texts[name] = self._text(name, cell)
        chunk.add(number, line, texts)

    def _text(self, name: str, cell: Any) -> str:
        value = cell.value
        if isinstance(value, str):
            return value
        item = ITEMS_BY_NAME.get(name)
        if isinstance(value, dt.datetime | dt.date | dt.time | dt.timedelta):
            self._dates[name] = self._dates.get(name, 0) + 1
            return str(value)
        if isinstance(value, bool):
            return str(value).upper()
        text = _number_text(value)
        if item is None or item.kind in (ItemKind.INTEGER, ItemKind.DECIMAL):
            return text
        if _ZEROS.fullmatch(cell.number_format or "") and text.isdigit():
            return text.zfill(len(cell.number_format))  # what Excel shows, such as 007 for 7 with the format 000
        if len(text) > 1 or item.kind is ItemKind.TEXT or name in _KEYS:
            self._numbers[name] = self._numbers.get(name, 0) + 1
        return text


class _Chunk:
    """Rows that are collected until there are enough of them."""

    def __init__(self, wanted: Mapping[int, str]) -> None:
        self._columns: dict[str, list[str]] = {name: [] for name in wanted.values()}
        self.numbers: list[int] = []
        self._lines: list[str] = []
        self.rejected: list[tuple[int, str, str, str]] = []

    def add(self, number: int, line: str, texts: Mapping[str, str]) -> None:
        for name, column in self._columns.items():
            column.append(texts.get(name, ""))
        self.numbers.append(number)
        self._lines.append(line)

    def rows(self) -> CsvRows:
        text = pl.DataFrame({name: pl.Series(column, dtype=pl.String) for name, column in self._columns.items()})
        return CsvRows(text, self.numbers, self._lines, self.rejected)


def _key_problem(name: str, cell: Any) -> str:
    value = cell.value
    if cell.data_type == "e":
        return f"{name} is the error {value} in Excel"
    if isinstance(value, dt.datetime | dt.date | dt.time | dt.timedelta | bool):
        return f"{name} is {value} in Excel, which made a date or a truth value of it"
    if isinstance(value, int | float) and (abs(value) >= _INEXACT or value != int(value)):
        return f"{name} is the number {_number_text(value)} in Excel, which keeps 15 digits"
    return ""


def _number_text(value: float) -> str:
    """A number as Excel means it: 15 digits, so that 12.300000000000001 is 12.3."""
    if isinstance(value, int) or (value == int(value) and abs(value) < _INEXACT):
        return str(int(value))
    return f"{value:.15g}"


def _headings(sheet: Any, path: Path) -> list[str]:
    row = next(workbook_rows(sheet, path, min_row=1, max_row=1, values_only=True), ())
    headings = ["" if value is None else str(value).strip() for value in row]
    while headings and not headings[-1]:
        headings.pop()
    return headings


def open_workbook(path: Path) -> Any:
    """The workbook, to be read row by row. Raises SourceError if it cannot be read."""
    from openpyxl import load_workbook

    with _explained(path):
        # Formulas have the values that Excel computed last.
        # From bytes: openpyxl refuses a path without one of its suffixes, whatever is in the file.
        workbook = load_workbook(io.BytesIO(path.read_bytes()), read_only=True, data_only=True, keep_links=False)
        for sheet in workbook.worksheets:
            sheet.reset_dimensions()  # some programs write a wrong range of cells, and rows beyond it would be lost
        return workbook


def workbook_rows(sheet: Any, path: Path, **options: Any) -> Iterator[Sequence[Any]]:
    """The rows of a worksheet (options of `iter_rows`). Raises SourceError if one cannot be read."""
    with _explained(path):
        rows = sheet.iter_rows(**options)
    while True:
        with _explained(path):
            row = next(rows, None)
        if row is None:
            return
        yield row


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Explain what openpyxl raises for a damaged workbook: many kinds of errors, of XML and zip archives too."""
    try:
        yield
    except SourceError:
        raise
    except _DAMAGE as error:
        raise SourceError(
            "the Excel workbook cannot be read",
            where=path,
            why=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            do="open it in Excel and save it as CSV UTF-8",
        ) from error
