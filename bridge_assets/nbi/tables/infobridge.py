"""Reads exports of LTBP InfoBridge: headings such as `58 - Deck Condition Rating`, US units, names instead of codes.

Belongs here: converting such an export to cells under canonical names. The item number in a heading identifies the
item; the unit in parentheses is converted to the unit of the item. Columns that are not NBI items (climate, age,
computed volumes) are ignored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bridge_assets.errors import LayoutError
from bridge_assets.nbi.coding_guide.codes import accepted_codes, codes_of
from bridge_assets.nbi.coding_guide.items import INVENTORY_ITEMS, ITEMS_BY_NAME, Item, ItemKind
from bridge_assets.nbi.coding_guide.layouts import COLUMN_ALIASES
from bridge_assets.nbi.spreadsheet import PADDED_ITEMS
from bridge_assets.nbi.tables.by_year import SurveyYearSplitter, YearBatch
from bridge_assets.nbi.tables.canonical import to_records
from bridge_assets.nbi.tables.excel import ExcelTable
from bridge_assets.nbi.tables.quoted_csv import CsvFile

YEAR_HEADING = "year"

#: Unit in a heading -> (unit of the item, factor). 1 ft = 0.3048 m exactly (international foot, 1959), so the mile and
#: the square foot follow; 1 short ton = 2000 lb of 0.45359237 kg.
UNITS: dict[str, tuple[str, float]] = {
    "ft": ("m", 0.3048), "in": ("m", 0.0254), "m": ("m", 1.0),
    "mi": ("km", 1.609344), "miles": ("km", 1.609344), "km": ("km", 1.0),
    "us tons": ("t", 0.90718474), "tons": ("t", 0.90718474), "metric tons": ("t", 1.0),
    "sq ft": ("m2", 0.09290304), "sq m": ("m2", 1.0),
}  # fmt: skip

#: Decimals kept in a converted value, a micrometre: enough to remove only floating-point noise.
CONVERTED_DECIMALS = 6

#: Names that InfoBridge writes differently from the abridged meanings in `codes.csv`: item -> text -> code.
TEXT_TO_CODE: dict[str, dict[str, str]] = {
    "SCOUR_CRITICAL_113": {
        "Foundations stable; Scour above top of footing": "8",
        "Countermeasures installed for mitigation": "7",
        "Evaluation not yet made": "6",
        "Foundations Stable": "5",
        "Foundations Stable; Protection Required": "4",
        "Bridge not over waterway": "N",
        'Not Evaluated; Over "Tidal" waters': "T",
    },
    "STRUCTURE_TYPE_043B": {
        "Other": "00",
        "Frame": "07",
        "Frame (except frame culverts)": "07",
        "Culvert": "19",
        "Culvert (includes frame culverts)": "19",
    },
    "STRUCTURE_KIND_043A": {"Other": "0", "Aluminum, Wrought Iron, or Cast Iron": "9"},
}
TEXT_TO_CODE["APPR_TYPE_044B"] = {**TEXT_TO_CODE["STRUCTURE_TYPE_043B"], "None": "00"}
TEXT_TO_CODE["APPR_KIND_044A"] = {**TEXT_TO_CODE["STRUCTURE_KIND_043A"], "None": "0"}

_HEADING = re.compile(r"^(CAT\d+|\d{1,3}[A-E]?)\s*-\s*(.+)$", re.IGNORECASE)
_DECIMAL_CODE = re.compile(r"^([0-9]{1,3})\.0+$")
_IN_PARENTHESES = re.compile(r"\(([^()]*)\)\s*$")
_BY_NUMBER = {item.number: item for item in INVENTORY_ITEMS}
_DATES = ("DATE_OF_INSPECT_090", "FRACTURE_LAST_DATE_093A", "UNDWATER_LAST_DATE_093B", "SPEC_LAST_DATE_093C")
_DATE_FORMS = (
    re.compile(r"^(?P<month>\d{1,2})/(?:\d{1,2}/)?(?P<year>\d{4})$"),
    re.compile(r"^(?P<year>\d{4})-(?P<month>\d{1,2})(?:-\d{1,2})?(?:[ T].*)?$"),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ItemColumn:
    """A column of an export that contains an item.

    Attributes
    ----------
    position : int
    item : Item
    factor : float
        Converts from the unit in the heading to the unit of the item.
    decimal_degrees : bool
        Whether the column (item 16 or 17) is in decimal degrees.
    """

    position: int
    item: Item
    factor: float = 1.0
    decimal_degrees: bool = False


def is_infobridge(headings: Iterable[str]) -> bool:
    """Whether these are the headings of an InfoBridge export: items 1 and 8 are present by number."""
    numbers = {match[1].upper() for heading in headings if (match := _HEADING.match(heading.strip()))}
    return {"1", "8"} <= numbers


def resolve_columns(headings: Sequence[str], where: Path | str) -> tuple[list[ItemColumn], list[str]]:
    """Resolve each column to an item, and list the headings of the ignored columns.

    A column is ignored if it is not an NBI item, if it contains names for an item without a code list (county, place),
    if another column contains the code of the same item, or if its unit is not in `UNITS`: a missing value is better
    than a number in an unknown unit.

    Raises
    ------
    LayoutError
        If the state or the structure number is not among the items.
    """
    columns: dict[str, ItemColumn] = {}
    for position, heading in enumerate(headings):
        column = _column(position, heading.strip())
        if column and (column.item.name not in columns or heading.strip().lower().endswith("code")):
            columns[column.item.name] = column
    if missing := [name for name in ("STATE_CODE_001", "STRUCTURE_NUMBER_008") if name not in columns]:
        raise LayoutError(
            f"the export has no column for item {ITEMS_BY_NAME[missing[0]].number}",
            where=where,
            why="Without state and structure number, records have no structure key",
            do="export it again with items 1 and 8",
        )
    used_positions = {column.position for column in columns.values()}
    ignored = [
        heading
        for position, heading in enumerate(headings)
        if position not in used_positions and heading.strip().lower() != YEAR_HEADING
    ]
    return list(columns.values()), ignored


def _column(position: int, heading: str) -> ItemColumn | None:
    match = _HEADING.match(heading)
    if match is None:
        return None
    number, label = match[1].upper(), match[2].strip()
    item = _BY_NUMBER.get(number) or ITEMS_BY_NAME.get(COLUMN_ALIASES.get(number, ""))
    if item is None or (item.kind is ItemKind.CODE and label.lower().endswith("name") and not codes_of(item.name)):
        return None
    found = _IN_PARENTHESES.search(label)
    unit = found[1].replace(".", "").strip().lower() if found else ""
    if item.unit in {known for known, _ in UNITS.values()}:
        known, factor = UNITS.get(unit, ("", 0.0))
        return ItemColumn(position, item, factor) if known == item.unit else None
    return ItemColumn(position, item, decimal_degrees=item.number in ("16", "17") and unit == "decimal")


def read_infobridge(
    file: BinaryIO, where: Path | str, by_year: SurveyYearSplitter, separator: str = ","
) -> Iterator[YearBatch]:
    """Read an InfoBridge export.

    An export contains the records of structures, not of the routes under them: if it has no item 5A, its records are of
    type 1. A name that matches no code of its item is kept in `unparsed`, and the item is null.

    Raises
    ------
    SourceError, LayoutError
        If the file as a whole cannot be read. Bad rows never raise.
    """
    yield from read_rows(CsvFile(file, where, separator), where, by_year)


def read_rows(export: CsvFile | ExcelTable, where: Path | str, by_year: SurveyYearSplitter) -> Iterator[YearBatch]:
    """Read the table of an InfoBridge export. Raises as `read_infobridge`."""
    columns, ignored = resolve_columns(export.headings, where)
    if ignored:
        _log.info("%s: ignored columns that are not NBI items or cannot be read as one: %s", where, ", ".join(ignored))
    by_year.has_columns(["RECORD_TYPE_005A", *(column.item.name for column in columns)])
    year = next((at for at, heading in enumerate(export.headings) if heading.strip().lower() == YEAR_HEADING), None)
    wanted = {column.position: column.item.name for column in columns} | ({} if year is None else {year: "_year"})
    for rows in export.rows(wanted):
        line_numbers = pl.Series("line_number", rows.line_numbers, dtype=pl.UInt32)
        records = to_records(_cells(rows.text, columns).with_columns(line_numbers))
        yield from by_year.split(
            records, None if year is None else rows.text["_year"], None, line_numbers, rows.lines, rows.rejected
        )
    for warning in export.warnings():
        by_year.warn(warning)
    yield from by_year.flush()


def _cells(text: pl.DataFrame, columns: Sequence[ItemColumn]) -> pl.DataFrame:
    """The item cells under canonical names; `unparsed` keeps the names that match no code."""
    stripped = text.select(_unquoted(column.item.name) for column in columns)
    cells = stripped.select(_cell(column, stripped[column.item.name]) for column in columns)
    unparsed_values = [
        pl.when(stripped[name].is_not_null() & cells[name].is_null()).then(
            pl.format("{}='{}'", pl.lit(name), stripped[name])
        )
        for name in cells.columns
        if stripped[name].null_count() != cells[name].null_count()
    ]
    unparsed = (
        pl.concat_str(unparsed_values, separator="; ", ignore_nulls=True)
        if unparsed_values
        else pl.lit(None, dtype=pl.String)
    )
    cells = cells.with_columns(unparsed.alias("unparsed"))
    return cells if "RECORD_TYPE_005A" in cells.columns else cells.with_columns(RECORD_TYPE_005A=pl.lit("1"))


def _unquoted(name: str) -> pl.Expr:
    """Strip padding and one pair of single quotes, which some exports keep from the NBI file; null if empty."""
    value = pl.col(name).str.strip_chars(" \t")
    quoted = value.str.starts_with("'") & value.str.ends_with("'") & (value.str.len_bytes() > 1)
    value = pl.when(quoted).then(value.str.slice(1, value.str.len_chars() - 2).str.strip_chars(" \t")).otherwise(value)
    return pl.when(value != "").then(value).alias(name)


def _cell(column: ItemColumn, values: pl.Series) -> pl.Series:
    item = column.item
    if column.factor != 1.0:
        number = values.cast(pl.Float64, strict=False) * column.factor
        number = number.round(0 if item.kind is ItemKind.INTEGER else CONVERTED_DECIMALS)
        # Text that is not a number stays as it is, and later goes into `unparsed`.
        return (
            pl.select(pl.when(number.is_finite()).then(number.cast(pl.String)).otherwise(values))
            .to_series()
            .alias(item.name)
        )
    if item.kind is not ItemKind.CODE:
        return values
    distinct = values.drop_nulls().unique()
    codes = [_code(column, value) for value in distinct]
    return values.replace_strict(distinct, pl.Series(codes, dtype=pl.String), default=None, return_dtype=pl.String)


def _code(column: ItemColumn, text: str) -> str | None:
    """The code for a cell of a coded item; None if no code matches."""
    name = column.item.name
    if column.decimal_degrees:
        return _pack_degrees(text, degree_digits=2 if column.item.number == "16" else 3)
    if name in _DATES:
        date = next((match for form in _DATE_FORMS if (match := form.match(text))), None)
        return f"{int(date['month'])}{int(date['year']) % 100:02}" if date else text
    codes = codes_of(name)
    text = _DECIMAL_CODE.sub(r"\1", text)  # pandas writes the rating 7 as 7.0
    if not codes:  # InfoBridge writes county 001 as 1
        return text.zfill(PADDED_ITEMS.get(name, 0)) if text.isdigit() else text
    if text.upper() in accepted_codes(name):
        width = len(next(iter(codes)))
        return text.zfill(width) if text.zfill(width) in codes else text
    return _codes_by_text(name).get(_normalise_text(text))


@cache
def _codes_by_text(name: str) -> dict[str, str]:
    guide = {_normalise_text(meaning): code for code, meaning in codes_of(name).items()}
    return guide | {_normalise_text(text): code for text, code in TEXT_TO_CODE.get(name, {}).items()}


def _normalise_text(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _pack_degrees(text: str, degree_digits: int) -> str | None:
    """Decimal degrees in the packed form of items 16 and 17: DDMMSSss or DDDMMSSss, without a sign."""
    try:
        hundredths = round(abs(float(text)) * 360_000)
    except (ValueError, OverflowError):
        return None
    degrees, rest = divmod(hundredths, 360_000)
    minutes, seconds = divmod(rest, 6_000)
    return f"{degrees:0{degree_digits}}{minutes:02}{seconds:04}"
