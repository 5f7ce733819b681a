"""Records out of the bytes of a delimited NBI file, without losing one.

The published files are not CSV: text stands in single quotes and apostrophes inside it are not escaped, so a CSV reader
turns `'O'NEAL ROAD '` into something else or swallows the next row. Here every comma separates, a balanced pair of
quotes and the padding are stripped, and a row whose field count differs from the header's becomes a rejected record
with its line number and its bytes. Always: rows read = records + rejected.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from bridge_assets.nbi.errors import SourceError
from bridge_assets.nbi.items import BY_NAME, ITEMS, Item, Kind
from bridge_assets.nbi.layouts import Layout, recognise

#: Bytes taken at a time. Eight megabytes take 6 % longer than 32 and three fifths of the memory.
BATCH_BYTES = 8 << 20

POLARS_TYPE = {Kind.CODE: pl.String, Kind.TEXT: pl.String, Kind.INTEGER: pl.Int32, Kind.DECIMAL: pl.Float64}

RECORD_SCHEMA = pl.Schema(
    {"line_number": pl.UInt32(), **{item.name: POLARS_TYPE[item.kind]() for item in ITEMS}, "unparsed": pl.String()}
)
REJECTED_SCHEMA = pl.Schema(
    {"file": pl.String(), "line_number": pl.UInt32(), "reason": pl.String(), "detail": pl.String(), "line": pl.String()}
)

#: reason code -> what it means. The codes stand in rejected_records.
REASONS = {
    "field_count": "The row has more or fewer fields than the header: a comma inside a text, or a truncated row",
    "unreadable": "The row holds NUL bytes",
    "no_key": "State code or structure number is blank",
}

_NEWLINE, _COMMA, _NUL = b"\n"[0], b","[0], 0

#: What a line may hold and still be blank; 0x1A ends files of the DOS years.
_BLANK = b" \t\r\n\x1a"


@dataclass(frozen=True, slots=True)
class Batch:
    """A run of rows of one file.

    Attributes
    ----------
    records : pl.DataFrame
        `RECORD_SCHEMA`. `unparsed` lists `ITEM='text'` for numbers that were no numbers; there the item is null.
    rejected : pl.DataFrame
        `REJECTED_SCHEMA`.
    rows_read : int
        Rows of the batch that are not blank; equals the heights of the two tables together.
    """

    records: pl.DataFrame
    rejected: pl.DataFrame
    rows_read: int


def read_header(path: Path) -> Layout:
    """Recognise the layout of a file from its first line.

    Raises
    ------
    SourceError
        If the file is missing, empty, or a web page saved as text.
    LayoutError
        If the header is none of the published layouts.
    """
    with _open(path) as file:
        return _layout(file.readline(1 << 16), path)


def read_batches(path: Path, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
    """Read a delimited NBI file batch by batch.

    Parameters
    ----------
    path : Path
        A file in one of the published layouts; LF or CRLF; UTF-8 or Latin-1.
    batch_bytes : int
        Bytes read at a time; the records do not depend on it.

    Yields
    ------
    Batch
        In file order; at least one, even when the file has a header only.

    Raises
    ------
    SourceError, LayoutError
        As `read_header`. Bad rows never raise.
    """
    with _open(path) as file:
        layout = _layout(file.readline(1 << 16), path)
        line_number, rest, first = 2, b"", True
        while True:
            block = file.read(batch_bytes)
            if block:
                cut = block.rfind(b"\n") + 1
                lines, rest = (rest + block[:cut], block[cut:]) if cut else (b"", rest + block)
                if not lines:
                    continue
            else:
                lines, rest = (rest + b"\n" if rest else b""), b""
                if not lines and not first:
                    return
            yield _batch(lines, line_number, layout, path)
            line_number += lines.count(b"\n")
            first = False
            if not block:
                return


def count_rows(path: Path) -> int:
    """Rows of a file below its header that are not blank: counted by themselves, to hold a reading against."""
    with _open(path) as file:
        file.readline()
        return sum(1 for line in file if line.strip(_BLANK))


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise SourceError(
            "the file is not there", where=path, why="Nothing was read", do="check the path and the source folder"
        ) from None
    except (IsADirectoryError, PermissionError) as error:
        raise SourceError(
            "the file cannot be opened",
            where=path,
            why=f"The system says: {error.strerror}",
            do="check the path and its permissions",
        ) from error


def _layout(first_line: bytes, path: Path) -> Layout:
    text = first_line.removeprefix(b"\xef\xbb\xbf").decode("latin-1").strip()
    if not text:
        raise SourceError("the file is empty", where=path, why="It has no header row", do="download it again")
    if text.startswith("<"):
        raise SourceError(
            "this is a web page, not an NBI file",
            where=path,
            why=f"It begins with {text[:40]!r}",
            do="look at the address in a browser (a file that moved is answered with a page) and download it again",
        )
    return recognise([name.strip().strip("'\"").upper() for name in text.split(",")], path)


def _batch(lines: bytes, first_line_number: int, layout: Layout, path: Path) -> Batch:
    buffer = np.frombuffer(lines, dtype=np.uint8)
    ends = np.flatnonzero(buffer == _NEWLINE)
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    fields = _count_per_line(buffer, _COMMA, ends) + 1
    nuls = _count_per_line(buffer, _NUL, ends)
    blank = np.zeros(len(ends), dtype=bool)
    for index in np.flatnonzero(fields == 1):
        blank[index] = not lines[starts[index] : ends[index]].strip(_BLANK)
    whole = (fields == len(layout.columns)) & (nuls == 0)
    rejected = [
        _rejected(
            path,
            int(first_line_number + index),
            *_reason(fields[index], nuls[index], layout),
            lines[starts[index] : ends[index]],
        )
        for index in np.flatnonzero(~whole & ~blank)
    ]
    numbers = np.flatnonzero(whole).astype(np.uint32) + first_line_number
    kept = lines if whole.all() else buffer[np.repeat(whole, ends - starts + 1)].tobytes()
    records = _typed(_split(kept, layout), numbers)

    keyed = pl.col("STATE_CODE_001").is_not_null() & pl.col("STRUCTURE_NUMBER_008").is_not_null()
    for number in records.filter(~keyed)["line_number"]:
        index = number - first_line_number
        rejected.append(_rejected(path, number, "no_key", REASONS["no_key"], lines[starts[index] : ends[index]]))
    return Batch(
        records=records.filter(keyed),
        rejected=pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row").sort("line_number"),
        rows_read=int(len(ends) - blank.sum()),
    )


def _count_per_line(buffer: np.ndarray, byte: int, ends: np.ndarray) -> np.ndarray:
    return np.diff(np.searchsorted(np.flatnonzero(buffer == byte), ends), prepend=0)


def _reason(fields: int, nuls: int, layout: Layout) -> tuple[str, str]:
    if nuls:
        return "unreadable", f"{nuls} NUL bytes"
    return "field_count", f"{len(layout.columns)} fields expected, {fields} found"


def _rejected(path: Path, number: int, reason: str, detail: str, line: bytes) -> tuple[str, int, str, str, str]:
    return path.name, number, reason, detail, _decode(line).rstrip("\r").replace("\0", "\\0")


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")  # the older files; never fails, and keeps every byte


def _utf8(lines: bytes) -> bytes:
    try:
        lines.decode("utf-8")
    except UnicodeDecodeError:
        return b"\n".join(_decode(line).encode() for line in lines.split(b"\n"))
    return lines


def _split(lines: bytes, layout: Layout) -> pl.DataFrame:
    if not lines:
        return pl.DataFrame(schema=dict.fromkeys(layout.canonical, pl.String))
    return pl.read_csv(
        _utf8(lines),
        has_header=False,
        new_columns=layout.canonical,
        quote_char=None,
        infer_schema=False,
        encoding="utf8",
    )


def _stripped(fields: pl.DataFrame) -> pl.DataFrame:
    """Without padding and one balanced pair of single quotes; null when nothing is left."""
    text = fields.select(pl.all().str.strip_chars(" \t\r"))
    starts = text.select(pl.all().str.starts_with("'").any())
    quoted = [_unquoted(column) for column in text.columns if starts[column][0]]
    return text.with_columns(quoted).select(
        pl.when(pl.col(column) != "").then(pl.col(column)).alias(column) for column in text.columns
    )


def _unquoted(column: str) -> pl.Expr:
    value = pl.col(column)
    balanced = value.str.starts_with("'") & value.str.ends_with("'") & (value.str.len_bytes() > 1)
    inside = value.str.slice(1, value.str.len_chars() - 2).str.strip_chars(" \t")
    return pl.when(balanced).then(inside).otherwise(value).alias(column)


def _number(item: Item, dtype: pl.DataType) -> pl.Expr:
    number = pl.col(item.name).cast(pl.Float64, strict=False)
    number = pl.when(number.is_finite()).then(number)
    if item.kind is Kind.INTEGER:
        number = pl.when(number == number.round()).then(number)
    return number.cast(dtype, strict=False)


def _typed(text: pl.DataFrame, numbers: np.ndarray) -> pl.DataFrame:
    text = _stripped(text)
    numeric = [BY_NAME[name] for name in text.columns if BY_NAME[name].kind in (Kind.INTEGER, Kind.DECIMAL)]
    values = text.select(_number(item, RECORD_SCHEMA[item.name]) for item in numeric)
    lost = [
        pl.when(text[item.name].is_not_null() & values[item.name].is_null()).then(
            pl.format("{}='{}'", pl.lit(item.name), text[item.name])
        )
        for item in numeric
        if text[item.name].null_count() != values[item.name].null_count()
    ]
    unparsed = pl.concat_str(lost, separator="; ", ignore_nulls=True) if lost else pl.lit(None, dtype=pl.String)
    unparsed = pl.when(unparsed != "").then(unparsed).alias("unparsed")
    known = text.with_columns(values).with_columns(unparsed, pl.Series("line_number", numbers, dtype=pl.UInt32))
    return known.select(
        pl.col(name) if name in known.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in RECORD_SCHEMA.items()
    )
