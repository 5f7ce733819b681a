"""Generates `docs/schema.md` and the column list of raw_bridges in dbt's sources.yml.

`python -m bridge_assets.nbi.schema_page docs/schema.md dbt_project/models/sources.yml` updates both; a test fails when
they are out of date. Belongs here: the text of the page and of the YAML. Does not belong here: facts about columns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from bridge_assets import markdown
from bridge_assets.markdown import Markup
from bridge_assets.nbi.coding_guide.codes import PATTERNS
from bridge_assets.nbi.coding_guide.items import INVENTORY_ITEMS, ITEMS, PUBLISHED_EVALUATIONS, SUBMISSION_ITEMS, Item
from bridge_assets.nbi.coding_guide.layouts import COLUMN_ALIASES, LAYOUTS, years_of
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.nbi.schema import columns

#: The generated columns are between these lines of sources.yml.
BEGIN, END = "      # begin: columns written by bridge_assets.nbi.schema_page", "      # end: columns"

_HEAD = """<!-- Written by bridge_assets.nbi.schema_page: edit bridge_assets/nbi/, not this page. -->

# The columns of raw_bridges

One row of raw_bridges is one row of the file of one survey year. Items keep FHWA's column headings, in upper case;
columns that we compute are in lower case. Numbers are in SI units, as in the files. Codes are text: `01` is not 1, and
`N` is not missing. Codes and their meanings follow the Recording and Coding Guide for the Structure Inventory and
Appraisal of the Nation's Bridges (FHWA-PD-96-001) with its errata of 2022, abridged.

A `*` after the kind marks a column that FHWA derives from the condition ratings: it must not be a model feature.
"""


def render_page() -> str:
    """The whole of `docs/schema.md`, a pure function of the declarations."""
    parts = [_HEAD]
    for title, items in (
        ("Inventory items", INVENTORY_ITEMS),
        ("Items of the submission", SUBMISSION_ITEMS),
        ("Columns that FHWA computes", PUBLISHED_EVALUATIONS),
    ):
        parts.append(_table(title, ("column", "item", "kind", "unit", "meaning", "codes", "years"), map(_row, items)))
    derived = [each for each in columns() if each.item is None]
    parts.append(
        _table("Derived columns", ("column", "type", "meaning"), ((c.name, c.kind, c.description) for c in derived))
    )
    parts.append(
        _table(
            "Flags",
            ("flag", "items", "meaning", "why"),
            ((flag.name, ", ".join(map(_number, flag.items)), flag.meaning, flag.rationale) for flag in FLAGS.values()),
            "The column `flags` lists the problems of a record, joined by `; `. The values stay as published.",
        )
    )
    parts.append(
        _table(
            "Layouts",
            ("layout", "columns", "survey years"),
            ((layout.name, str(len(layout.columns)), _years(layout.years)) for layout in LAYOUTS),
            "FHWA renamed some columns over the years; each pair is one column here: "
            + ", ".join(f"{old} is {new}" for old, new in COLUMN_ALIASES.items())
            + ".",
        )
    )
    parts.append("## Codes\n\nItems with the same codes share a table.\n" + "\n".join(_codes()))
    return "\n".join(parts)


def source_columns() -> str:
    """The columns of raw_bridges as the lines of `sources.yml` between `BEGIN` and `END`."""
    lines = ["        columns:"]
    for column in columns():
        described = column.description + (f". Unit: {column.unit}" if column.unit else "")
        lines += [
            f"          - name: {column.name}",
            f"            description: {json.dumps(described, ensure_ascii=False)}",
        ]
    return "\n".join(lines)


def with_source_columns(sources: str) -> str:
    """`sources.yml` with the current columns between its markers."""
    head, rest = sources.split(BEGIN + "\n")
    _, after = rest.split(END)
    return f"{head}{BEGIN}\n{source_columns()}\n{END}{after}"


def _table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]], below: str = "") -> str:
    lines = [f"## {title}", ""] + ([below, ""] if below else [])
    lines.append(markdown.table(head, ((markdown.code(name), *cells) for name, *cells in rows)))
    return "\n".join([*lines, ""])


def _row(item: Item) -> tuple[str, ...]:
    kind = Markup(rf"{item.kind.value} \*") if item.derived_from_ratings else item.kind.value
    return (item.name, item.number, kind, item.unit, item.meaning, _codes_of(item), _years(years_of(item.name)))


def _codes_of(item: Item) -> str:
    if item.name in PATTERNS:
        return PATTERNS[item.name][1]
    if not item.codes:
        return ""
    return Markup(f"[{len(item.codes)}](#{_anchor(_items_with_same_codes(item))})")


def _items_with_same_codes(item: Item) -> list[Item]:
    """The items with exactly the same codes as this one, including itself."""
    return [other for other in ITEMS if other.codes == item.codes]


def _title(items: list[Item]) -> str:
    return ", ".join(item.name for item in items)


def _anchor(items: list[Item]) -> str:
    return _title(items).lower().replace(",", "").replace(" ", "-")


def _codes() -> Iterable[str]:
    seen: set[str] = set()
    for item in ITEMS:
        if item.codes and item.name not in seen:
            items = _items_with_same_codes(item)
            seen.update(each.name for each in items)
            rows = ((markdown.code(code), meaning) for code, meaning in item.codes.items())
            yield f"\n### {_title(items)}\n\n{markdown.table(('code', 'meaning'), rows)}"


def _number(name: str) -> str:
    item = next((each for each in INVENTORY_ITEMS if each.name == name), None)
    return item.number if item else name


def _years(ranges: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{first} to {last}" if first < last else str(first) for first, last in ranges)


if __name__ == "__main__":
    docs, sources = map(Path, sys.argv[1:])
    docs.write_text(render_page() + "\n", encoding="utf-8")
    sources.write_text(with_source_columns(sources.read_text(encoding="utf-8")), encoding="utf-8")
