"""Recognises the shape of a text file: its separator and quotes, and shapes that are refused by name.

People save tables with semicolons or tabs, without a header row, or in the new format of 2026. Belongs here: telling
them apart by the first lines. Does not belong here: reading the rows (`nbi`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bridge_assets.errors import SourceError
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import LAYOUTS
from bridge_assets.nbi.tables import canonical, infobridge

#: Separator -> its name in messages and in the layout of a batch.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

#: Rows below the header by which single quotes are recognised.
_SNIFFED_ROWS = 20

_BLOCK_BYTES = 1 << 20

#: The structure key under the tags of SNBI: `BL01` in JSON, `B.L.01` in the specification (FHWA-HIF-22-017, 2022).
_SNBI_KEY = frozenset({"BL01", "BID01"})

#: The first fields of a record: state code, with the FHWA region in older files, and structure number.
_STATE_FIELD = re.compile(r"['\"]?\d{1,3}['\"]?")
_COMMA_IN_NUMBER = re.compile(r"-?\d+(,\d+)+")


@dataclass(frozen=True, slots=True)
class TextShape:
    """How the fields of a text file are written.

    Attributes
    ----------
    headings : tuple of str
        Without padding and quotes.
    separator : str
        A key of `SEPARATORS`.
    single_quoted : bool
        Whether most texts of the first rows are in single quotes, as in FHWA's delimited format.
    """

    headings: tuple[str, ...]
    separator: str = ","
    single_quoted: bool = False


def text_shape(beginning: bytes, where: Path | str) -> TextShape:
    """The shape of a text file; separated by commas if no other separator makes known headings.

    Parameters
    ----------
    beginning : bytes
        Of the file, in UTF-8 or Latin-1.
    where : path
        The file, for errors.

    Raises
    ------
    SourceError
        If the file has a shape that is not read; the message names it.
    """
    text = beginning.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    _check_line_ends(text, where)
    first, _, below = text.partition("\n")
    rows = [row.rstrip("\r") for row in below.split("\n")]
    found = {separator: _headings(first, separator) for separator in SEPARATORS}
    separator = next((each for each, headings in found.items() if _is_known(headings)), None)
    if separator is None:
        _raise_if_named(beginning.decode("latin-1"), found, where)
        return TextShape(found[","])
    headings = found[separator]
    single_quoted = _is_single_quoted(headings, rows[:_SNIFFED_ROWS], separator)
    shape = TextShape(headings, separator, single_quoted)
    if separator != ",":
        _check_decimal_points(shape, rows, where)
    return shape


def _raise_if_named(beginning: str, found: dict[str, tuple[str, ...]], where: Path | str) -> None:
    """Raise SourceError for a shape that is recognised but not read, by the beginning and the fields of line 1."""
    text = beginning.partition("\n")[0].strip()
    if re.fullmatch(r"['\"]?sep=.['\"]?", text, re.IGNORECASE):
        raise SourceError(
            "the header row is not the first line",
            where=where,
            why=f"The file begins with {text!r}, which only Excel understands",
            do="delete this line, so that the file begins with its column names",
        )
    if any({heading.upper().replace(".", "") for heading in fields} >= _SNBI_KEY for fields in found.values()) or (
        text.startswith(("[", "{")) and any(f'"{key}"' in beginning for key in _SNBI_KEY)
    ):
        raise snbi_error(where)
    for separator, fields in found.items():
        if _is_record(fields):
            raise SourceError(
                "the file has no header row",
                where=where,
                why=f"Its first line is a record of {len(fields)} fields separated by {SEPARATORS[separator]}: "
                f"{', '.join(fields[:2])} ...",
                do=f"put a first line with the column names before it{_names_for(len(fields))}",
            )


def snbi_error(where: Path | str) -> SourceError:
    """The error for a file in the format of 2026 on."""
    return SourceError(
        "this is an SNBI file (Specifications for the National Bridge Inventory, the format of 2026 on)",
        where=where,
        why="Only the items of the Coding Guide (survey years to 2025) are read; SNBI defines most of them anew",
        do="use FHWA's delimited file of 1992 to 2025, or a table with the columns of docs/schema.md",
    )


def _headings(first: str, separator: str) -> tuple[str, ...]:
    return tuple(heading.strip(" \t\r'\"") for heading in first.split(separator))


def _is_known(headings: Sequence[str]) -> bool:
    return infobridge.is_infobridge(headings) or canonical.is_canonical(headings)


def _is_record(fields: Sequence[str]) -> bool:
    """Whether a first line is a record: state code and structure number, numbers after them, and no heading."""
    if len(fields) < 3 or not _STATE_FIELD.fullmatch(fields[0]) or any(map(canonical.canonical_name, fields)):
        return False
    return any(character.isdigit() for character in fields[1])


def _names_for(width: int) -> str:
    layouts = [layout for layout in LAYOUTS if len(layout.columns) == width]
    years = [f"{first} to {last}" if first != last else str(first) for each in layouts for first, last in each.years]
    return f"; the published files of {' and '.join(years)} have {width} columns" if years else ""


def _is_single_quoted(headings: Sequence[str], rows: Sequence[str], separator: str) -> bool:
    text_columns = [
        index
        for index, heading in enumerate(headings)
        if (name := canonical.canonical_name(heading)) in ITEMS_BY_NAME and ITEMS_BY_NAME[name].kind is ItemKind.TEXT
    ]
    fields = [row.split(separator) for row in rows]
    cells = [row[index].strip() for row in fields for index in text_columns if index < len(row)]
    cells = [cell for cell in cells if cell]
    quoted = [cell for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == "'"]
    return len(quoted) * 2 > len(cells)


def _check_line_ends(beginning: str, where: Path | str) -> None:
    first, carriage_return, _ = beginning.partition("\r")
    if carriage_return and "\n" not in beginning and any(_is_known(_headings(first, each)) for each in SEPARATORS):
        raise SourceError(
            "the lines end in carriage returns only",
            where=where,
            why="Old Macintosh programs, and Excel's `CSV (Macintosh)`, write them so",
            do="save it again as CSV UTF-8",
        )


def is_double_quoted(file: BinaryIO) -> bool:
    """Whether a field anywhere in a file, positioned at its start and separated by commas, begins with a double quote.

    A program writes CSV so where a text has a comma or a quote inside, which may be far from the start.
    """
    last = b"\n"
    while block := file.read(_BLOCK_BYTES):
        block = last + block
        if b',"' in block or b'\n"' in block:
            return True
        last = block[-1:]
    return False


def _check_decimal_points(shape: TextShape, rows: Sequence[str], where: Path | str) -> None:
    """Raise SourceError if numbers have commas: `12,5` may be 12.5, and `1,234` 1234 or 1.234."""
    for index, heading in enumerate(shape.headings):
        name = canonical.canonical_name(heading)
        if name not in ITEMS_BY_NAME or ITEMS_BY_NAME[name].kind not in (ItemKind.INTEGER, ItemKind.DECIMAL):
            continue
        for number, row in enumerate(rows, start=2):
            fields = row.split(shape.separator)
            cell = fields[index].strip(" '\"") if index < len(fields) else ""
            if _COMMA_IN_NUMBER.fullmatch(cell):
                raise SourceError(
                    "numbers are written with commas",
                    where=where,
                    why=f"{name} is {cell!r} in line {number}: a decimal comma, or a comma between thousands",
                    do="export it again with decimal points and without commas between thousands",
                )
