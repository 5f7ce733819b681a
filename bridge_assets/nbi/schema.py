"""The columns of raw_bridges, declared once for the UI, dbt and `docs/schema.md`.

Belongs here: combining items and derived columns into one list. Does not belong here: what an item is (`items`), its
codes (`codes`), and the types in which the columns are stored (`delimited.records`, `data.records`).
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge_assets.nbi.coding_guide.codes import summarize_codes
from bridge_assets.nbi.coding_guide.items import DERIVED_COLUMNS, ITEMS, Item
from bridge_assets.nbi.coding_guide.layouts import ALL_YEARS, years_of


@dataclass(frozen=True, slots=True)
class Column:
    """One column of raw_bridges.

    Attributes
    ----------
    name : str
    kind : str
        code, text, integer or decimal; for a derived column its type or unit, such as date or deg.
    unit : str
        SI unit, or "" if it has none.
    description : str
        Item number, meaning, abbreviated code list and years.
    item : Item or None
        None for a column that is not in the published files.
    """

    name: str
    kind: str
    unit: str
    description: str
    item: Item | None = None


def description_of(item: Item) -> str:
    """Item number, meaning, codes and years in a line or two.

    Up to twelve codes are listed; the years are given only if some files lack the item.
    """
    parts = [f"Item {item.number}" if item.number else "", item.meaning]
    if short := summarize_codes(item.name):
        parts.append(f"Codes: {short}")
    if (years := years_of(item.name)) != ALL_YEARS:
        parts.append("In the files of " + ", ".join(f"{a} to {b}" if a < b else str(a) for a, b in years))
    return ". ".join(part for part in parts if part)


def columns() -> tuple[Column, ...]:
    """Every column, in the order of the table: the file and line, the items, `unparsed`, the derived columns."""
    return (
        Column("file", "text", "", "Name of the source file"),
        Column("line_number", "integer", "", "Line in that file, the header being line 1"),
        *(Column(item.name, item.kind.value, item.unit, description_of(item), item) for item in ITEMS),
        Column("unparsed", "text", "", "Numbers that could not be parsed, as ITEM='text'"),
        *(Column(name, kind, "", meaning) for name, (kind, meaning) in DERIVED_COLUMNS.items()),
    )
