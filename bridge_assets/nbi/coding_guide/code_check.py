"""Finds the rows of a table with a value outside the code list of its item.

Belongs here: finding them fast, for every type that coded items come in. Does not belong here: the code lists
(`codes`), and how such a row is flagged (`flags`).

A coded item has few distinct values, so only the distinct values are checked, and rows are searched only for the
invalid ones. In an Arrow table the dictionaries list the distinct values; in a polars table they are computed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa

from bridge_assets.nbi.coding_guide.codes import PATTERNS, coded_items, is_code
from bridge_assets.nbi.coding_guide.items import ITEM_NAMES, ITEMS_BY_NAME

#: The flag for a value outside the code list; written with the item after a colon.
UNKNOWN_CODE_FLAG = "unknown_code"

#: Items whose values are checked, in the order of the schema.
CHECKED_ITEMS = tuple(name for name in ITEM_NAMES if name in {*coded_items(), *PATTERNS})


@dataclass(slots=True)
class InvalidCodes:
    """Rows with invalid codes, by item. Items without such rows are left out.

    Attributes
    ----------
    unknown : dict of str to pl.Series
        Item -> Boolean mask of the rows with a value outside its code list.
    lowercase : dict of str to pl.Series
        Item -> Boolean mask of the rows with one of its codes in lower case.
    """

    unknown: dict[str, pl.Series] = field(default_factory=dict)
    lowercase: dict[str, pl.Series] = field(default_factory=dict)


def find_invalid_codes(table: pl.DataFrame | pa.Table) -> InvalidCodes:
    """Find values outside the code lists of the coded items in a table.

    Parameters
    ----------
    table : pl.DataFrame or pa.Table
        Items without padding, blank as null. A coded item may be String, Categorical or Enum, or an Arrow dictionary.
    """
    invalid = InvalidCodes()
    for name, values in _distinct_values(table):
        kinds = {value: kind for value in values if (kind := _classify_code(name, value))}
        for kind in sorted(set(kinds.values())):
            rows = _rows_with_values(table[name], [value for value, of_value in kinds.items() if of_value == kind])
            if rows.any():  # a dictionary may contain values of other batches
                (invalid.unknown if kind == "unknown" else invalid.lowercase)[name] = rows
    return invalid


def code_problems(table: pl.DataFrame | pa.Table) -> list[str]:
    """Values outside the code lists, one sentence for each item; empty if there are none.

    A code in lower case is not a problem: it is read as upper case.

    Returns
    -------
    list of str
        Such as `item 22 (OWNER_022) has 3 values outside its code list: '99' (2), 'XX' (1)`.
    """
    problems = []
    for name, rows in find_invalid_codes(table).unknown.items():
        number = f"item {ITEMS_BY_NAME[name].number} ({name})" if ITEMS_BY_NAME[name].number else name
        invalid_values = pl.Series(table[name]).filter(rows).cast(pl.String)
        most_frequent = sorted(invalid_values.value_counts().iter_rows(), key=lambda each: (-each[1], each[0]))
        shown = ", ".join(f"{value[:20]!r} ({count})" for value, count in most_frequent[:4])
        more = f" and {len(most_frequent) - 4} others" if len(most_frequent) > 4 else ""
        problems.append(f"{number} has {len(invalid_values)} values outside its code list: {shown}{more}")
    return problems


def _distinct_values(table: pl.DataFrame | pa.Table) -> Iterable[tuple[str, list[str]]]:
    """Yield each checked item with its distinct values; Arrow dictionaries may add values that no row has."""
    if isinstance(table, pl.DataFrame):
        names = [name for name in CHECKED_ITEMS if name in table.columns]
        found = table.select(pl.col(name).unique().cast(pl.String).drop_nulls().implode() for name in names)
        yield from ((name, found[name][0].to_list()) for name in names)
        return
    column_names = set(table.column_names)
    for name in CHECKED_ITEMS:
        if name in column_names:
            values = {value for chunk in _dictionaries(table[name]) for value in chunk.dictionary.to_pylist()}
            yield name, [value for value in values if value is not None]


def _dictionaries(column: pa.ChunkedArray) -> list[pa.DictionaryArray]:
    return [chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode() for chunk in column.chunks]


def _rows_with_values(column: pl.Series | pa.ChunkedArray, values: list[str]) -> pl.Series:
    """Boolean mask of the rows with one of these values."""
    if isinstance(column, pl.Series):
        return column.cast(pl.String).is_in(values).fill_null(False)
    rows = [np.zeros(0, dtype=bool)]
    for chunk in _dictionaries(column):
        wanted = [index for index, value in enumerate(chunk.dictionary.to_pylist()) if value in values]
        rows.append(np.isin(chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False), wanted))
    return pl.Series(np.concatenate(rows))


@cache
def _classify_code(item: str, value: str) -> str:
    """Empty for a code as in the guide or with different leading zeros, else `lowercase` or `unknown`."""
    if not is_code(item, value):
        return "unknown"
    return "lowercase" if value != value.upper() else ""
