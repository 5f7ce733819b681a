"""Detects the format of a source file from its content, and reads it in batches of one survey year each.

Belongs here: choosing the format and the survey year of a file. Does not belong here: reading a format (`nbi`), and
opening a file (`reading.archives`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bridge_assets.data.reading.archives import OpenedFile, open_survey_file
from bridge_assets.data.reading.file_names import survey_year_of
from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import LAYOUTS
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


def detect_format(path: Path) -> Format:
    """The format of a file, detected from its content; FHWA's delimited format if no other one matches.

    Raises
    ------
    SourceError
        If the file cannot be opened (`archives.open_survey_file`).
    """
    with open_survey_file(path) as source:
        beginning = source.file.read(_SNIFF_BYTES)
    if beginning.startswith(PARQUET_MAGIC):
        return Format.PARQUET
    first, _, below = beginning.removeprefix(b"\xef\xbb\xbf").decode("latin-1").partition("\n")
    headings = [heading.strip(" \t\r'\"") for heading in first.split(",")]
    published = tuple(heading.upper() for heading in headings)
    if any(published == layout.columns for layout in LAYOUTS):
        return Format.NBI
    if infobridge.is_infobridge(headings):
        return Format.INFOBRIDGE
    if canonical.is_canonical(headings) and not _is_single_quoted(headings, below):
        return Format.CSV
    return Format.NBI


def read_survey_file(path: Path, survey_year: int | None = None) -> Iterator[YearBatch]:
    """Read a source file of any format.

    Parameters
    ----------
    path : Path
        A delimited NBI file, a CSV or Parquet file with canonical names, or an InfoBridge export; plain, gzip or zip.
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
    kind = detect_format(path)
    year_from_name = survey_year_of(path.name)
    with open_survey_file(path) as source:
        by_year = SurveyYearSplitter(source.name, path, kind.value, survey_year, year_from_name)
        if kind is Format.PARQUET:
            _check_not_compressed(source, path)
            yield from canonical.read_parquet(source.file, path, by_year)
        elif kind is Format.CSV:
            yield from canonical.read_csv(source.file, path, by_year)
        elif kind is Format.INFOBRIDGE:
            yield from infobridge.read_infobridge(source.file, path, by_year)
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
    kind = detect_format(path)
    column, heading = ("_year", "year") if kind is Format.INFOBRIDGE else ("survey_year", "survey_year")
    years: set[int] = set()
    if kind is Format.NBI:
        return years
    with open_survey_file(path) as source:
        if kind is Format.PARQUET:
            _check_not_compressed(source, path)
            columns = _years_of_parquet(source.file, path)
        else:
            table = CsvFile(source.file, path)
            year_column = next((index for index, name in enumerate(table.headings) if name.lower() == heading), None)
            columns = () if year_column is None else (rows.text[column] for rows in table.rows({year_column: column}))
        for values in columns:
            numbers = values.cast(pl.Float64, strict=False).drop_nulls().unique()
            years.update(int(year) for year in numbers if FIRST_YEAR <= year <= LAST_YEAR and year == int(year))
    return years


def count_rows(path: Path, survey_year: int) -> int:
    """Non-blank rows of a file, counted independently of the reader as a cross-check.

    For a file with a survey year column: the rows of this year, and those without a year, which are rejected.
    """
    kind = detect_format(path)
    with open_survey_file(path) as source:
        if kind is Format.NBI:
            return records.count_rows(source.file)
        if kind is Format.PARQUET:
            parquet = canonical.open_parquet(source.file, path)
            years = [years.cast(pl.Float64, strict=False) for years in _years_of_parquet(source.file, path)]
            of_year = [int((column.is_null() | (column == survey_year)).sum()) for column in years]
            return sum(of_year) if of_year else parquet.metadata.num_rows
        rows = csv.reader(io.TextIOWrapper(source.file, encoding="utf-8-sig", errors="surrogateescape", newline=""))
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


def _is_single_quoted(headings: list[str], below: str) -> bool:
    """Whether the texts of the first rows are in single quotes, as in FHWA's delimited format.

    Such a file has lost or gained a column. Its reader then compares it with the nearest layout; reading it as CSV
    would keep the quotes and the padding in every text.
    """
    text_columns = [
        index
        for index, heading in enumerate(headings)
        if (name := canonical.canonical_name(heading)) in ITEMS_BY_NAME and ITEMS_BY_NAME[name].kind is ItemKind.TEXT
    ]
    rows = [line.split(",") for line in below.split("\n")[:20]]
    cells = [row[index].strip() for row in rows for index in text_columns if index < len(row)]
    cells = [cell for cell in cells if cell]
    quoted = [cell for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == "'"]
    return len(quoted) * 2 > len(cells)
