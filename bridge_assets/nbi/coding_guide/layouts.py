"""The five layouts of FHWA's delimited files, recognised by their columns, never by the year.

=====================  =======  =================================================================
years                  columns  signature
=====================  =======  =================================================================
1992-2009, 2012-2015   134      the two 10-year-rule status columns around the sufficiency rating
2010-2011              133      one STATUS column instead
2016                   135      + CAT10
2017-2018              137      + CAT10, CAT23, CAT29
2019-2025              123      FED_AGENCY, SUBMITTED_BY, BRIDGE_CONDITION, LOWEST_RATING, DECK_AREA
=====================  =======  =================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bridge_assets.errors import LayoutError
from bridge_assets.nbi.coding_guide.items import INVENTORY_ITEMS, SUBMISSION_ITEMS

#: Published heading -> canonical name of a column that FHWA renamed, so that it is one continuous series.
COLUMN_ALIASES = {"CAT10": "BRIDGE_CONDITION", "CAT23": "LOWEST_RATING", "CAT29": "DECK_AREA"}

_INVENTORY = tuple(item.name for item in INVENTORY_ITEMS)
_SUBMISSION = tuple(item.name for item in SUBMISSION_ITEMS)
_TEN_YEAR_RULE = ("STATUS_WITH_10YR_RULE", "SUFFICIENCY_ASTERC", "SUFFICIENCY_RATING", "STATUS_NO_10YR_RULE")


@dataclass(frozen=True, slots=True)
class Layout:
    """A published column order.

    Attributes
    ----------
    name : str
        Our name for it: the first year in which it was published.
    columns : tuple of str
        Headings as published, in order.
    years : tuple of (int, int)
        Ranges of survey years, both ends included, in which FHWA used it. For documentation and for writing files; a
        file is never recognised by its year.
    ignored : str or None
        Heading of a column after the published ones that a file has; its fields are not read.
    """

    name: str
    columns: tuple[str, ...]
    years: tuple[tuple[int, int], ...]
    ignored: str | None = None

    @property
    def canonical_columns(self) -> tuple[str, ...]:
        """The columns under their canonical names."""
        return tuple(COLUMN_ALIASES.get(column, column) for column in self.columns)


LAYOUTS: tuple[Layout, ...] = (
    Layout("1992", (*_INVENTORY, *_SUBMISSION, *_TEN_YEAR_RULE), ((1992, 2009), (2012, 2015))),
    Layout("2010", (*_INVENTORY, *_SUBMISSION, "STATUS", "SUFFICIENCY_ASTERC", "SUFFICIENCY_RATING"), ((2010, 2011),)),
    Layout("2016", (*_INVENTORY, *_SUBMISSION, *_TEN_YEAR_RULE, "CAT10"), ((2016, 2016),)),
    Layout("2017", (*_INVENTORY, *_SUBMISSION, *_TEN_YEAR_RULE, "CAT10", "CAT23", "CAT29"), ((2017, 2018),)),
    Layout(
        "2019",
        (*_INVENTORY, "FED_AGENCY", "SUBMITTED_BY", "BRIDGE_CONDITION", "LOWEST_RATING", "DECK_AREA"),
        ((2019, 2025),),
    ),
)

_BY_COLUMNS = {layout.columns: layout for layout in LAYOUTS}
_PUBLISHED = frozenset(column for layout in LAYOUTS for column in layout.canonical_columns + layout.columns)

#: Headings that look like an item. An unknown one is a typing error, and its column must not be dropped silently.
ITEM_HEADING = re.compile(r"_\d{3}[A-Z]?$")


def match_layout(header: Sequence[str], where: Path | str) -> Layout:
    """Find the layout whose columns are exactly these, or these without an unknown one at the end (`Layout.ignored`).

    Parameters
    ----------
    header : sequence of str
        The headings of a file, in order, without padding.
    where : path
        The file, for the error.

    Raises
    ------
    LayoutError
        If no published layout has these columns in this order. The message lists missing and unknown columns compared
        with the nearest layout.
    """
    layout = _BY_COLUMNS.get(tuple(header))
    if layout is not None:
        return layout
    layout = _BY_COLUMNS.get(tuple(header[:-1]))
    if layout is not None and header[-1] not in _PUBLISHED and not ITEM_HEADING.search(header[-1]):
        return replace(layout, ignored=header[-1])
    nearest = max(
        LAYOUTS, key=lambda known: len(set(known.columns) & set(header)) - abs(len(known.columns) - len(header))
    )
    missing = [column for column in nearest.columns if column not in header]
    unknown = [column for column in header if column not in nearest.columns]
    if missing or unknown:
        why = f"Compared with the nearest layout ({nearest.name}, {len(nearest.columns)} columns) "
        why += "; ".join(
            part for part in (_format_columns("missing", missing), _format_columns("not expected", unknown)) if part
        )
    else:
        why = f"It has the columns of layout {nearest.name} in a different order, or some of them twice"
    raise LayoutError(
        f"the header row ({len(header)} columns) is not one of the published NBI layouts",
        where=where,
        why=why,
        do="use the delimited file as FHWA publishes it, header row included",
    )


def layout_of_year(survey_year: int) -> Layout:
    """The layout FHWA used in a survey year, for writing a file of that year (`match_layout` is for reading)."""
    for layout in LAYOUTS:
        if any(first <= survey_year <= last for first, last in layout.years):
            return layout
    raise ValueError(f"no delimited layout for {survey_year}: FHWA published them for 1992 to 2025")


@cache
def years_of(item: str) -> tuple[tuple[int, int], ...]:
    """The survey years whose files have an item, as ranges with both ends included; empty for a derived column."""
    return _merge_ranges(years for layout in LAYOUTS if item in layout.canonical_columns for years in layout.years)


def _merge_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and merged[-1][1] + 1 >= first:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


#: All survey years of the delimited files, as ranges.
ALL_YEARS = _merge_ranges(years for layout in LAYOUTS for years in layout.years)


def _format_columns(label: str, columns: Sequence[str], limit: int = 6) -> str:
    if not columns:
        return ""
    more = f" and {len(columns) - limit} more" if len(columns) > limit else ""
    return f"{label}: {', '.join(repr(column[:40]) for column in columns[:limit])}{more}"
