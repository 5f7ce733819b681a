"""Reads records from the bytes of a delimited NBI file without losing a row.

The published files are not CSV: text is in single quotes, and apostrophes inside it are not escaped, so a CSV reader
garbles `'O'NEAL ROAD '` or swallows the next row. Here every comma separates, a balanced pair of quotes and the padding
are stripped, and a row with a different number of fields than the header becomes a rejected record with its line number
and its text. Always: rows read = records + rejected.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa

from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import ITEMS, ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import Layout, match_layout
from bridge_assets.nbi.delimited.fields import FieldReader, ParsedRows
from bridge_assets.nbi.delimited.kernels import FieldType
from bridge_assets.nbi.delimited.quotes import QuoteChecker
from bridge_assets.nbi.spreadsheet import CHANGED_KEY, REPEATED_HEADER, changed_keys

_log = logging.getLogger(__name__)

#: Bytes read at a time: about 40,000 rows, one row group of the Parquet file.
BATCH_BYTES = 16 << 20

#: The rows by which the quotes of a file are learnt, whatever the size of a batch: about 100.
_FIRST_BYTES = 1 << 16

POLARS_TYPES = {
    ItemKind.CODE: pl.String,
    ItemKind.TEXT: pl.String,
    ItemKind.INTEGER: pl.Int32,
    ItemKind.DECIMAL: pl.Float64,
}
_ARROW_NUMBER = {ItemKind.INTEGER: pa.int32(), ItemKind.DECIMAL: pa.float64()}

#: Codes that are different in nearly every record: read as text, since a dictionary would be as long as the column.
HIGH_CARDINALITY_CODES = frozenset(
    {"STRUCTURE_NUMBER_008", "LRS_INV_ROUTE_013A", "LAT_016", "LONG_017", "OTHR_STATE_STRUC_NO_099"}
)

RECORD_SCHEMA = pl.Schema(
    {"line_number": pl.UInt32(), **{item.name: POLARS_TYPES[item.kind]() for item in ITEMS}, "unparsed": pl.String()}
)
REJECTED_SCHEMA = pl.Schema(
    {"file": pl.String(), "line_number": pl.UInt32(), "reason": pl.String(), "detail": pl.String(), "line": pl.String()}
)

#: Reason code of a rejected record -> meaning.
REJECTION_REASONS = {
    "field_count": "The row has more or fewer fields than the header: a comma inside a text, or a truncated row",
    "one_sided_quote": "A text begins or ends with a quote but not both: a comma inside a text shifted the row",
    "unexpected_quotes": "A text without its quotes, or quotes around a code: a comma inside a text shifted the row",
    "unreadable": "The row contains NUL bytes",
    "no_key": "State code or structure number is blank",
    CHANGED_KEY: "A spreadsheet made a number of the state code or structure number, such as 1.00E+14",
    REPEATED_HEADER: "The row repeats the column names: files were joined with their header rows",
    "no_year": "The row has no survey year, although every row of this table must have one",
}

#: Items that every record must have.
KEY_COLUMNS = ("STATE_CODE_001", "STRUCTURE_NUMBER_008")

#: A line with only these characters is blank; 0x1A is the DOS end-of-file mark.
BLANK_CHARACTERS = " \t\r\n\x1a"
_BLANK_BYTES = BLANK_CHARACTERS.encode()


def arrow_type(name: str) -> pa.DataType:
    """Type of a column in the Arrow table of a batch: a dictionary for coded items, otherwise as in `RECORD_SCHEMA`."""
    if name == "line_number":
        return pa.uint32()
    item = ITEMS_BY_NAME.get(name)
    if item is None or item.kind is ItemKind.TEXT or name in HIGH_CARDINALITY_CODES:
        return pa.string()
    return pa.dictionary(pa.int32(), pa.string()) if item.kind is ItemKind.CODE else _ARROW_NUMBER[item.kind]


#: `RECORD_SCHEMA` in Arrow.
ARROW_SCHEMA = pa.schema([(name, arrow_type(name)) for name in RECORD_SCHEMA])


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of one file.

    Attributes
    ----------
    table : pa.Table
        The records, `ARROW_SCHEMA`. `unparsed` lists `ITEM='text'` for numbers that could not be parsed; those items
        are null.
    rejected : pl.DataFrame
        `REJECTED_SCHEMA`.
    rows_read : int
        Non-blank rows of the batch; equals the combined height of the two tables.
    layout : str
        Name of the published layout, or of another format.
    warnings : tuple of str
        What was assumed to read the file, one sentence each; the same in every batch of a file.
    absent_items : frozenset of str
        The items that the file has no column for; they are null in every record.
    """

    table: pa.Table
    rejected: pl.DataFrame
    rows_read: int
    layout: str
    warnings: tuple[str, ...] = ()
    absent_items: frozenset[str] = frozenset()

    @classmethod
    def from_polars(
        cls,
        records: pl.DataFrame,
        rejected: pl.DataFrame,
        rows_read: int,
        layout: str,
        warnings: tuple[str, ...] = (),
        absent_items: frozenset[str] = frozenset(),
    ) -> Batch:
        """Make a batch from records in a polars table of `RECORD_SCHEMA`."""
        table = records.select(RECORD_SCHEMA.names()).to_arrow(compat_level=pl.CompatLevel.oldest())
        return cls(table.cast(ARROW_SCHEMA), rejected, rows_read, layout, warnings, absent_items)

    @cached_property
    def records(self) -> pl.DataFrame:
        """The records as a polars table, `RECORD_SCHEMA`."""
        return pl.DataFrame(self.table).cast(dict(RECORD_SCHEMA.items()))


def read_header(file: BinaryIO, where: Path | str) -> Layout:
    """Recognise the layout of a file from its first line.

    Parameters
    ----------
    file : BinaryIO
        Positioned at its start; afterwards at its second line.
    where : path
        The file, for errors.

    Raises
    ------
    SourceError
        If the file is empty, JSON, or a web page saved as text.
    LayoutError
        If the header matches none of the published layouts, apart from an unknown column at the end.
    """
    text = file.readline(1 << 16).removeprefix(b"\xef\xbb\xbf").decode("latin-1").strip()
    if not text:
        raise SourceError("the file is empty", where=where, why="It has no header row", do="download it again")
    if text.startswith("<"):
        raise SourceError(
            "this is a web page, not an NBI file",
            where=where,
            why=f"It begins with {text[:40]!r}",
            do="open the address in a browser (a server may send a page if a file has moved) and download it again",
        )
    if text.startswith(("[", "{")):
        raise _json_error(text, where)
    return match_layout([heading.strip().strip("'\"").upper() for heading in text.split(",")], where)


def _json_error(beginning: str, where: Path | str) -> SourceError:
    if '"FeatureCollection"' in beginning or '"Feature"' in beginning:
        what, why, do = "GeoJSON", "Map services such as ArcGIS offer it beside CSV", "export it as CSV"
    else:
        what, do = "JSON", "use the delimited file of FHWA (survey years 1992 to 2025), or write the table as CSV"
        why = "From 2026 on, states submit JSON in the new Specifications for the NBI (SNBI); no JSON is supported yet"
    return SourceError(f"this is {what}, not a delimited NBI file", where=where, why=why, do=do)


def read_batches(
    file: BinaryIO, name: str, *, where: Path | str | None = None, batch_bytes: int = BATCH_BYTES
) -> Iterator[Batch]:
    """Read a delimited NBI file batch by batch.

    Parameters
    ----------
    file : BinaryIO
        Positioned at its start, in one of the published layouts; LF or CRLF; UTF-8 or Latin-1.
    name : str
        The value of `file` for rejected records.
    where : path, optional
        The file, for errors; the name by default.
    batch_bytes : int
        Bytes read at a time; it does not change the records.

    Yields
    ------
    Batch
        At least one, which is empty for a file without rows.

    Raises
    ------
    SourceError, LayoutError
        As `read_header`.
    """
    where = where or name
    layout = read_header(file, where)
    beginning = file.read(max(batch_bytes, _FIRST_BYTES))
    reader = _BatchReader(name, layout, beginning[:_FIRST_BYTES])
    remainder, first = b"", True
    while True:
        block, beginning = beginning[:batch_bytes], beginning[batch_bytes:]
        block = block or file.read(batch_bytes)
        read = remainder + block if block else remainder + b"\n" if remainder else b""
        end = read.rfind(b"\n") + 1
        lines, remainder = read[:end], read[end:]
        if lines or (first and not block):
            yield reader.batch(lines)
            first = False
        if not block:
            return


def count_rows(file: BinaryIO) -> int:
    """Non-blank rows below the header, counted independently of the reader as a cross-check."""
    file.readline()
    return sum(1 for line in file if line.strip(_BLANK_BYTES))


class _BatchReader:
    """State while reading a file: its layout, the next line number, and the values of its coded items."""

    def __init__(self, name: str, layout: Layout, first_lines: bytes) -> None:
        self.name, self.layout, self.next_line = name, layout, 2
        types = [_field_type(column) for column in layout.canonical_columns]
        self.warnings: tuple[str, ...] = ()
        if layout.ignored is not None:
            types.append(FieldType.TEXT)
            self.warnings = (f"the column {layout.ignored!r} after the published ones is not an item and is not read",)
            _log.warning("%s: %s", name, self.warnings[0])
        self.absent_items = frozenset(ITEMS_BY_NAME).difference(layout.canonical_columns)
        self.quotes, self.n_fields = QuoteChecker(layout), len(types)
        self.quotes.learn(first_lines)
        self.fields = FieldReader(types, self.quotes.required, self.quotes.uncounted)

    def batch(self, lines: bytes) -> Batch:
        lines = _to_utf8(lines)
        rows = self.fields.read(lines)
        blank, rejected = 0, []
        for line, start, end, fields, nuls in rows.malformed.tolist():
            text = lines[start:end]
            if fields == 1 and not text.strip(_BLANK_BYTES):
                blank += 1
            elif nuls:
                rejected.append(self._rejected_row(line, "unreadable", f"{nuls} NUL bytes", text))
            else:
                rejected.append(
                    self._rejected_row(line, "field_count", f"{self.n_fields} fields expected, {fields} found", text)
                )
        table = self._table(rows)
        has_key = np.logical_and(*(table[name].is_valid().to_numpy() for name in KEY_COLUMNS))
        for line, start, end in rows.lines[~has_key].tolist():
            rejected.append(self._rejected_row(line, "no_key", REJECTION_REASONS["no_key"], lines[start:end]))
        loaded = has_key.copy()
        changed = changed_keys(*(pl.Series(table[name].cast(pa.string())) for name in KEY_COLUMNS))
        for row in sorted({*self.quotes.suspects(rows.quotes), *changed}):
            line, start, end = rows.lines[row].tolist()
            reason, detail = changed.get(row, ("", "")) if has_key[row] else ("", "")
            if has_key[row] and reason != REPEATED_HEADER:  # a shifted row has another key: it is not changed
                shifted = self.quotes.problem(lines[start:end])
                reason, detail = shifted if shifted[0] else (reason, detail)
            if reason:
                loaded[row] = False
                rejected.append(self._rejected_row(line, reason, detail, lines[start:end]))
        read = len(rows.lines) + len(rows.malformed)
        self.next_line += read
        return Batch(
            table=table if loaded.all() else table.filter(pa.array(loaded)),
            rejected=pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row").sort("line_number"),
            rows_read=read - blank,
            layout=self.layout.name,
            warnings=self.warnings,
            absent_items=self.absent_items,
        )

    def _table(self, rows: ParsedRows) -> pa.Table:
        columns = rows.columns[: len(self.layout.columns)]
        found = dict(zip(self.layout.canonical_columns, columns, strict=True))
        unparsed: dict[int, list[str]] = {}
        for column, texts in sorted(rows.unparsed_numbers.items()):
            name = self.layout.canonical_columns[column]
            found[name] = _reparse_numbers(found[name], texts, name, unparsed)
        height = len(rows.lines)
        found["line_number"] = pa.array((rows.lines[:, 0] + self.next_line).astype(np.uint32))
        if unparsed:
            unparsed_text = ("; ".join(unparsed[row]) if row in unparsed else None for row in range(height))
            found["unparsed"] = pa.array(unparsed_text, pa.string())
        columns = [found[field.name] if field.name in found else pa.nulls(height, field.type) for field in ARROW_SCHEMA]
        return pa.table(columns, schema=ARROW_SCHEMA)

    def _rejected_row(self, line: int, reason: str, detail: str, text: bytes) -> tuple[str, int, str, str, str]:
        return self.name, self.next_line + line, reason, detail, text.decode().rstrip("\r").replace("\0", "\\0")


def _field_type(name: str) -> FieldType:
    dtype = arrow_type(name)
    if pa.types.is_dictionary(dtype):
        return FieldType.CODE
    if pa.types.is_string(dtype):
        return FieldType.TEXT
    return FieldType.INTEGER if pa.types.is_integer(dtype) else FieldType.DECIMAL


def _to_utf8(lines: bytes) -> bytes:
    try:
        lines.decode("utf-8")
    except UnicodeDecodeError:
        return b"\n".join(_decode_line(line).encode() for line in lines.split(b"\n"))
    return lines


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")  # older files; never fails, and loses no byte


def _reparse_numbers(column: pa.Array, texts: dict[int, str], name: str, unparsed: dict[int, list[str]]) -> pa.Array:
    """Parse numbers that are not plain decimals (`1e3`, `+5`, twenty digits); add failures to `unparsed`."""
    number = pl.Series(list(texts.values())).cast(pl.Float64, strict=False)
    number = number.set(~number.is_finite().fill_null(False), None)
    if ITEMS_BY_NAME[name].kind is ItemKind.INTEGER:
        number = number.set((number != number.round()).fill_null(False), None)
    number = number.cast(POLARS_TYPES[ITEMS_BY_NAME[name].kind], strict=False)
    found = {row: value for row, value in zip(texts, number, strict=True) if value is not None}
    for row, text in texts.items():
        if row not in found:
            unparsed.setdefault(row, []).append(f"{name}='{text}'")
    if not found:
        return column
    values = column.to_pylist()
    for row, value in found.items():
        values[row] = value
    return pa.array(values, column.type)
