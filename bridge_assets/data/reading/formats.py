"""Detects the format of a source file from its content, and reads it in batches of one survey year each.

Belongs here: choosing the format and the survey year of a file. Does not belong here: reading a format (`nbi`), and
opening a file (`reading.archives`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bridge_assets.data.reading.archives import OpenedFile, open_survey_file
from bridge_assets.data.reading.file_names import survey_year_of
from bridge_assets.data.reading.shapes import SEPARATORS, TextShape, is_double_quoted, text_shape
from bridge_assets.data.reading.workbooks import (
    count_workbook_rows,
    is_workbook,
    read_workbook,
    years_of_workbook,
)
from bridge_assets.errors import LayoutError, SourceError
from bridge_assets.nbi.coding_guide.layouts import LAYOUTS, match_layout
from bridge_assets.nbi.delimited import records
from bridge_assets.nbi.delimited.records import read_batches, read_header
from bridge_assets.nbi.tables import canonical, infobridge
from bridge_assets.nbi.tables.by_year import (
    FIRST_YEAR,
    LAST_YEAR,
    SurveyYearSplitter,
    YearBatch,
    unknown_survey_year_error,
)
from bridge_assets.nbi.tables.quoted_csv import CsvFile

PARQUET_MAGIC = b"PAR1"

#: Bytes at the start of a file used for detection. The longest published header row has 2,300.
_SNIFF_BYTES = 1 << 16


class Format(StrEnum):
    """Format of a source file. Its value is the `layout` of its batches, except for published layouts."""

    NBI = "NBI"
    """FHWA's delimited format, in one of `LAYOUTS`."""
    CSV = "canonical CSV"
    PARQUET = "canonical Parquet"
    INFOBRIDGE = "InfoBridge export"
    EXCEL = "Excel workbook"
    """A workbook with canonical names or an InfoBridge export in one of its worksheets."""


@dataclass(frozen=True, slots=True)
class _Recognised:
    """The format of a file, and for a text the way in which its fields are written."""

    kind: Format
    shape: TextShape
    encoding: str | None = None

    @property
    def name(self) -> str:
        """For the `layout` of batches, such as `canonical CSV, semicolons, UTF-16`."""
        separator = SEPARATORS[self.shape.separator] if self.shape.separator != "," else ""
        parts = [self.kind.value, separator, "UTF-16" if self.encoding else ""]
        return ", ".join(part for part in parts if part)


def detect_format(path: Path) -> Format:
    """The format of a file, detected from its content; FHWA's delimited format if no other one matches.

    Raises
    ------
    SourceError
        If the file cannot be opened (`archives.open_survey_file`), or has a shape that is refused by name
        (`shapes.text_shape`).
    """
    return _recognise(path).kind


def _recognise(path: Path) -> _Recognised:
    if is_workbook(path):
        return _Recognised(Format.EXCEL, TextShape(()))
    with open_survey_file(path) as source:
        beginning, encoding = source.file.read(_SNIFF_BYTES), source.encoding
    if beginning.startswith(PARQUET_MAGIC):
        return _Recognised(Format.PARQUET, TextShape(()))
    shape = text_shape(beginning, path)
    published = tuple(heading.upper() for heading in shape.headings)
    is_published = any(published == layout.columns for layout in LAYOUTS)
    if is_published and shape.separator == ",":
        kind = Format.CSV if not shape.single_quoted and _has_double_quotes(path) else Format.NBI
    elif infobridge.is_infobridge(shape.headings):
        kind = Format.INFOBRIDGE
    elif shape.single_quoted and shape.separator == ",":
        _check_layout(published, path)
        kind = Format.NBI
    else:
        kind = Format.CSV if canonical.is_canonical(shape.headings) else Format.NBI
    return _Recognised(kind, shape, encoding)


def _has_double_quotes(path: Path) -> bool:
    with open_survey_file(path) as source:
        return is_double_quoted(source.file)


def _check_layout(headings: tuple[str, ...], path: Path) -> None:
    """Raise LayoutError for a table in single quotes that has not the columns of a published file.

    It may have lost or gained a column on the way, so that it is compared with the nearest layout.
    """
    try:
        match_layout(headings, path)
    except LayoutError as error:
        raise LayoutError(
            f"the texts are in single quotes, as in FHWA's delimited files, but {error.what}",
            where=path,
            why=error.why,
            do="use the file as FHWA publishes it, or write the table again as CSV, texts in double quotes",
        ) from error


def read_survey_file(path: Path, survey_year: int | None = None) -> Iterator[YearBatch]:
    """Read a source file of any format.

    Parameters
    ----------
    path : Path
        A delimited NBI file, a CSV or Parquet file with canonical names, or an InfoBridge export; plain, gzip or zip;
        an Excel workbook with one of these tables.
    survey_year : int, optional
        For a file with a survey year column: the year to read, by default all years. For any other file: its year, by
        default the one in its name.

    Yields
    ------
    YearBatch
        At least one.

    Raises
    ------
    SourceError
        If the file as a whole cannot be read, or its survey year is unknown or not in it. If an archive turns out to be
        damaged at its end, batches have already been yielded: the caller must discard them.
    LayoutError
        If its header row is not recognised.
    """
    recognised = _recognise(path)
    kind, shape = recognised.kind, recognised.shape
    year_from_name = survey_year_of(path.name)
    if kind is Format.EXCEL:
        yield from read_workbook(path, recognised.name, survey_year, year_from_name)
        return
    with open_survey_file(path) as source:
        by_year = SurveyYearSplitter(source.name, path, recognised.name, survey_year, year_from_name)
        if kind is Format.PARQUET:
            _check_not_compressed(source, path)
            yield from canonical.read_parquet(source.file, path, by_year)
        elif kind is Format.CSV:
            yield from canonical.read_csv(
                source.file, path, by_year, shape.separator, single_quoted=shape.single_quoted
            )
        elif kind is Format.INFOBRIDGE:
            yield from infobridge.read_infobridge(source.file, path, by_year, shape.separator)
        else:
            year = survey_year if survey_year is not None else year_from_name
            if year is None:
                read_header(source.file, path)  # if this is a web page, report that rather than the missing year
                raise unknown_survey_year_error(path)
            for batch in read_batches(source.file, source.name, where=path):
                yield YearBatch(batch, year, source.name)


def survey_years_in_file(path: Path) -> set[int]:
    """The survey years in the rows of a file; empty if it has no survey year column. Reads only one column.

    Raises
    ------
    SourceError, LayoutError
        If the file cannot be read.
    """
    recognised = _recognise(path)
    kind = recognised.kind
    column, heading = ("_year", "year") if kind is Format.INFOBRIDGE else ("survey_year", "survey_year")
    years: set[int] = set()
    if kind is Format.NBI:
        return years
    if kind is Format.EXCEL:
        return _valid_years(years_of_workbook(path))
    with open_survey_file(path) as source:
        if kind is Format.PARQUET:
            _check_not_compressed(source, path)
            return _valid_years(_years_of_parquet(source.file, path))
        table = CsvFile(source.file, path, recognised.shape.separator)
        year_column = next((index for index, name in enumerate(table.headings) if name.lower() == heading), None)
        if year_column is None:
            return years
        return _valid_years(rows.text[column] for rows in table.rows({year_column: column}))


def _valid_years(columns: Iterable[pl.Series]) -> set[int]:
    years: set[int] = set()
    for values in columns:
        numbers = values.cast(pl.Float64, strict=False).drop_nulls().unique()
        years.update(int(year) for year in numbers if FIRST_YEAR <= year <= LAST_YEAR and year == int(year))
    return years


def count_rows(path: Path, survey_year: int) -> int:
    """Non-blank rows of a file, counted independently of the reader as a cross-check.

    For a file with a survey year column: the rows of this year, and those without a year, which are rejected.
    """
    recognised = _recognise(path)
    kind = recognised.kind
    if kind is Format.EXCEL:
        return count_workbook_rows(path, survey_year)
    with open_survey_file(path) as source:
        if kind is Format.NBI:
            return records.count_rows(source.file)
        if kind is Format.PARQUET:
            parquet = canonical.open_parquet(source.file, path)
            years = [years.cast(pl.Float64, strict=False) for years in _years_of_parquet(source.file, path)]
            of_year = [int((column.is_null() | (column == survey_year)).sum()) for column in years]
            return sum(of_year) if of_year else parquet.metadata.num_rows
        text = io.TextIOWrapper(source.file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        rows = csv.reader(text, delimiter=recognised.shape.separator)
        headings = [heading.strip().lower() for heading in next(rows, [])]
        heading = "year" if kind is Format.INFOBRIDGE else "survey_year"
        year_column = headings.index(heading) if heading in headings else None
        return sum(
            1
            for row in rows
            if any(row) and (year_column is None or _may_belong_to_year(row, year_column, len(headings), survey_year))
        )


def _may_belong_to_year(row: list[str], year_column: int, width: int, survey_year: int) -> bool:
    if len(row) != width:
        return True
    try:
        return float(row[year_column]) == survey_year
    except ValueError:
        return True


def _years_of_parquet(file: BinaryIO, path: Path) -> Iterator[pl.Series]:
    parquet = canonical.open_parquet(file, path)
    columns = canonical.resolve_columns(parquet.schema_arrow.names, path)
    year_column = columns.position("survey_year")
    if year_column is None:
        return
    for table in canonical.parquet_tables(parquet, canonical.TableColumns({year_column: "survey_year"}, ()), path):
        yield table["survey_year"]


def _check_not_compressed(source: OpenedFile, path: Path) -> None:
    if source.compressed:
        raise SourceError(
            "this is a compressed Parquet file",
            where=path,
            why="Parquet has its own compression and cannot be read as a stream",
            do="unpack it",
        )
