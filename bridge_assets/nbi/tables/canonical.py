"""Reads CSV and Parquet tables with canonical names: any inventory columns under their names in `coding_guide.items`.

Belongs here: the columns such a table may have, and how its cells become records, for every format other than FHWA's
delimited text. Reading a file written by `save_processed_data` gives the same records back.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bridge_assets.errors import LayoutError, SourceError
from bridge_assets.nbi.coding_guide.items import DERIVED_COLUMNS, ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import COLUMN_ALIASES, ITEM_HEADING
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA
from bridge_assets.nbi.tables.by_year import RejectedRow, SurveyYearSplitter, YearBatch
from bridge_assets.nbi.tables.changed_cells import ChangedCells
from bridge_assets.nbi.tables.excel import ExcelTable
from bridge_assets.nbi.tables.quoted_csv import CsvFile
from bridge_assets.nbi.tables.single_quotes import without_single_quotes

KEY_COLUMNS = ("STATE_CODE_001", "STRUCTURE_NUMBER_008")

#: Optional columns that are not items but are read too.
METADATA_COLUMNS = ("file", "line_number", "survey_year", "unparsed")

#: The item without which nobody can tell a structure from a route under it.
RECORD_TYPE = "RECORD_TYPE_005A"

#: Said of a table without that item.
NO_RECORD_TYPE = (
    f"the table has no item 5A ({RECORD_TYPE}): every record is taken as one of a structure (record type 1), although "
    "files from before 2010 also hold the routes under it"
)

#: Map services and R write `Structure Number 008` and `STRUCTURE.NUMBER.008`.
_BETWEEN_WORDS = re.compile(r"[ .]+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns of a table, resolved to canonical names.

    Attributes
    ----------
    names : dict of int to str
        Position -> canonical name, for items and `METADATA_COLUMNS`.
    ignored : tuple of str
        Headings of all other columns, including derived columns, which are computed again.
    """

    names: dict[int, str]
    ignored: tuple[str, ...]

    def position(self, name: str) -> int | None:
        return next((position for position, known in self.names.items() if known == name), None)


def canonical_name(heading: str) -> str | None:
    """The canonical name for a heading; None if it is unknown.

    A heading may be in any case, have blanks or points for its underscores, and be one that FHWA has renamed since.
    """
    heading = _BETWEEN_WORDS.sub("_", heading.strip())
    upper, lower = heading.upper(), heading.lower()
    upper = COLUMN_ALIASES.get(upper, upper)
    return upper if upper in ITEMS_BY_NAME else lower if lower in METADATA_COLUMNS else None


def is_canonical(headings: Iterable[str]) -> bool:
    """Whether these are the headings of a table with canonical names: both columns of the structure key are present."""
    return {canonical_name(heading) for heading in headings}.issuperset(KEY_COLUMNS)


def resolve_columns(headings: Sequence[str], where: Path | str) -> TableColumns:
    """Resolve the headings of a table with canonical names.

    Raises
    ------
    LayoutError
        If a column of the structure key is missing, if two headings mean the same column, or if a heading looks like an
        item (`..._058`) but is not one.
    """
    names: dict[int, str] = {}
    ignored = []
    for position, heading in enumerate(headings):
        name = canonical_name(heading)
        if name is None:
            ignored.append(heading)
        elif name in names.values():
            raise _layout_error(f"the column {name} occurs twice", where, f"{heading!r} is the second")
        else:
            names[position] = name
    if missing := [name for name in KEY_COLUMNS if name not in names.values()]:
        raise _layout_error(f"missing column {missing[0]}", where, "Without it, records have no structure key")
    if misspelled_items := [heading for heading in ignored if ITEM_HEADING.search(heading.upper())]:
        raise _layout_error(
            f"unknown item {misspelled_items[0]!r}", where, "The heading looks like an NBI item but is not one"
        )
    return TableColumns(names, tuple(ignored))


def read_csv(
    file: BinaryIO, where: Path | str, by_year: SurveyYearSplitter, separator: str = ",", *, single_quoted: bool = False
) -> Iterator[YearBatch]:
    """Read a CSV file with canonical names. Raises SourceError and LayoutError; bad rows never raise.

    Parameters
    ----------
    file : BinaryIO
        Positioned at its start.
    where : path
        The file, for errors.
    by_year : SurveyYearSplitter
    separator : str
        One character.
    single_quoted : bool
        Whether its texts are in single quotes, as in FHWA's delimited format: a pair of them is not part of a text, and
        a row with a quote at one end of a field only is rejected, since a separator inside the text shifted it.
    """
    yield from read_rows(CsvFile(file, where, separator), where, by_year, single_quoted=single_quoted)


def read_rows(
    table: CsvFile | ExcelTable, where: Path | str, by_year: SurveyYearSplitter, *, single_quoted: bool = False
) -> Iterator[YearBatch]:
    """Read a table of text with canonical names. Raises as `read_csv`."""
    columns = resolve_columns(table.headings, where)
    _log_ignored_columns(columns, where)
    by_year.has_columns(columns.names.values())
    _take_as_structures(columns, by_year, where)
    changed = ChangedCells()
    for rows in table.rows(columns.names):
        if single_quoted:
            rows = without_single_quotes(rows)
        line_numbers = pl.Series("line", rows.line_numbers, dtype=pl.UInt32)
        yield from _batches(by_year, changed.restore(rows.text), line_numbers, rows.lines, rows.rejected)
    yield from _last_batch(by_year, [*table.warnings(), *changed.warnings()], where)


def _last_batch(by_year: SurveyYearSplitter, warnings: Iterable[str], where: Path | str) -> Iterator[YearBatch]:
    """What is known after the last row: the warnings, in the log too, and rejected rows without a batch."""
    for warning in warnings:
        _log.warning("%s: %s", where, warning)
        by_year.warn(warning)
    yield from by_year.flush()


def read_parquet(file: BinaryIO, where: Path | str, by_year: SurveyYearSplitter) -> Iterator[YearBatch]:
    """Read a Parquet file with canonical names; the row number serves as line number. Raises as `read_csv`."""
    parquet = open_parquet(file, where)
    columns = resolve_columns(parquet.schema_arrow.names, where)
    _log_ignored_columns(columns, where)
    by_year.has_columns(columns.names.values())
    _take_as_structures(columns, by_year, where)
    row, changed = 1, ChangedCells()
    for table in parquet_tables(parquet, columns, where):
        line_numbers = pl.Series("line", range(row, row + table.height), dtype=pl.UInt32)
        row += table.height
        yield from _batches(by_year, changed.restore(table), line_numbers, None, [])
    yield from _last_batch(by_year, changed.warnings(), where)


def open_parquet(file: BinaryIO, where: Path | str) -> pq.ParquetFile:
    try:
        parquet = pq.ParquetFile(file)
        _ = parquet.schema_arrow.names  # decode now: in a damaged file a name may not be UTF-8
        return parquet
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable_error(where, error) from error


def parquet_tables(parquet: pq.ParquetFile, columns: TableColumns, where: Path | str) -> Iterator[pl.DataFrame]:
    """The known columns of a Parquet file under their canonical names, each as String or numeric."""
    headings = parquet.schema_arrow.names
    wanted = {headings[position]: canonical for position, canonical in columns.names.items()}
    try:
        for batch in parquet.iter_batches(columns=list(wanted)):
            # Invalid UTF-8 in a text, or in the metadata of a field or type, must not reach polars: it panics.
            batch.validate(full=True)
            found = {name: batch.column(heading) for heading, name in wanted.items()}
            for name, column in found.items():
                if not _is_supported_type(column.type):
                    raise _layout_error(f"the column {name} has type {column.type}", where, "Expected text or numbers")
            table = pl.DataFrame(pa.table(list(found.values()), names=list(found)))
            yield table.select(_to_text_or_number(table[name], where) for name in table.columns)
    except SourceError:
        raise
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError, KeyError) as error:
        raise _unreadable_error(where, error) from error


def to_records(table: pl.DataFrame) -> pl.DataFrame:
    """Convert cells under canonical names to records.

    Parameters
    ----------
    table : pl.DataFrame
        `line_number` and any items; String or numeric. Text is stripped of its padding, and empty text becomes null. An
        existing `unparsed` is kept and extended.

    Returns
    -------
    pl.DataFrame
        `RECORD_SCHEMA`. A number that cannot be parsed is null; its text is kept in `unparsed`.
    """
    strings = [name for name, dtype in table.schema.items() if dtype == pl.String]
    text = table.with_columns(pl.col(strings).str.strip_chars(" \t")).with_columns(
        pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in strings
    )
    numeric = [
        name
        for name in text.columns
        if name in ITEMS_BY_NAME and ITEMS_BY_NAME[name].kind in (ItemKind.INTEGER, ItemKind.DECIMAL)
    ]
    values = text.select(_to_number(name) for name in numeric)
    unparsed_values = [
        pl.when(text[name].is_not_null() & values[name].is_null()).then(
            pl.format("{}='{}'", pl.lit(name), text[name].cast(pl.String))
        )
        for name in numeric
        if text[name].null_count() != values[name].null_count()
    ]
    existing_unparsed = [text["unparsed"].cast(pl.String)] if "unparsed" in text.columns else []
    unparsed = pl.lit(None, dtype=pl.String)
    if existing_unparsed or unparsed_values:
        unparsed = pl.concat_str([*existing_unparsed, *unparsed_values], separator="; ", ignore_nulls=True)
    known = text.with_columns(values).with_columns(
        pl.when(unparsed != "").then(unparsed).alias("unparsed"), pl.col("line_number").cast(pl.UInt32)
    )
    return known.select(
        pl.col(name).cast(dtype) if name in known.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in RECORD_SCHEMA.items()
    )


def _to_number(name: str) -> pl.Expr:
    number = pl.col(name).cast(pl.Float64, strict=False)
    number = pl.when(number.is_finite()).then(number)
    if ITEMS_BY_NAME[name].kind is ItemKind.INTEGER:
        number = pl.when(number == number.round()).then(number)
    return number.cast(RECORD_SCHEMA[name], strict=False).alias(name)


def _batches(
    by_year: SurveyYearSplitter,
    table: pl.DataFrame,
    row_line_numbers: pl.Series,
    lines: list[str] | None,
    rejected: list[RejectedRow],
) -> Iterator[YearBatch]:
    records = to_records(_with_line_numbers(table, row_line_numbers))
    years = table["survey_year"] if "survey_year" in table.columns else None
    files = table["file"].replace("", None) if "file" in table.columns else None
    yield from by_year.split(records, years, files, row_line_numbers, lines, rejected)


def _with_line_numbers(table: pl.DataFrame, row_line_numbers: pl.Series) -> pl.DataFrame:
    """Add `line_number`: the value in the table if it is a number, otherwise the line number in this file."""
    table_line_numbers = (
        pl.col("line_number").cast(pl.UInt32, strict=False) if "line_number" in table.columns else pl.lit(None)
    )
    return table.with_columns(pl.coalesce(table_line_numbers, row_line_numbers).cast(pl.UInt32).alias("line_number"))


def _is_supported_type(dtype: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(dtype):
        return _is_supported_type(dtype.value_type)
    is_text = types.is_string(dtype) or types.is_large_string(dtype) or types.is_string_view(dtype)
    is_number = types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype)
    return is_text or is_number or types.is_null(dtype)


def _to_text_or_number(column: pl.Series, where: Path | str) -> pl.Series:
    """A Parquet column as String or numeric; a coded item stored as numbers becomes text."""
    item = ITEMS_BY_NAME.get(column.name)
    dtype = column.dtype
    if isinstance(dtype, pl.Categorical | pl.Enum) or dtype == pl.Null:
        return column.cast(pl.String)
    if isinstance(dtype, pl.Decimal):
        column = column.cast(pl.Float64)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if not column.dtype.is_numeric() or (item and item.kind in (ItemKind.INTEGER, ItemKind.DECIMAL)) or item is None:
        return column
    _log.warning("%s: %s is stored as numbers; the leading zeros of its codes are lost", where, column.name)
    whole = column.dtype.is_float() and bool((column.drop_nulls() == column.drop_nulls().round()).all())
    return (column.cast(pl.Int64, strict=False) if whole else column).cast(pl.String)


def _take_as_structures(columns: TableColumns, by_year: SurveyYearSplitter, where: Path | str) -> None:
    """Take every record of a table without item 5A as one of a structure, with a warning in the log too."""
    if columns.position(RECORD_TYPE) is None:
        _log.warning("%s: %s", where, NO_RECORD_TYPE)
        by_year.assume(RECORD_TYPE, "1", NO_RECORD_TYPE)


def _log_ignored_columns(columns: TableColumns, where: Path | str) -> None:
    ignored = [heading for heading in columns.ignored if heading and heading.strip().lower() not in DERIVED_COLUMNS]
    if ignored:
        _log.info("%s: ignored columns that are not items: %s", where, ", ".join(ignored))


def _layout_error(problem: str, where: Path | str, why: str) -> LayoutError:
    return LayoutError(problem, where=where, why=why, do="use the column names of docs/schema.md")


def _unreadable_error(where: Path | str, error: Exception) -> SourceError:
    message = " ".join(str(error).split())[:200]
    return SourceError(
        "the Parquet file cannot be read", where=where, why=message or "It is damaged", do="write the file again"
    )
