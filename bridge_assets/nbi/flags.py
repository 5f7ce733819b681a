"""Flags records whose values contradict each other or the Coding Guide.

A flagged value stays as published; the column `flags` names the problem. Belongs here: computing that column and
counting flags. Does not belong here: the definitions of the flags (`flag_rules`) and the check of codes (`code_check`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from functools import cache, reduce
from operator import or_
from typing import TYPE_CHECKING

import polars as pl

from bridge_assets.nbi.coding_guide.code_check import UNKNOWN_CODE_FLAG, find_invalid_codes
from bridge_assets.nbi.flag_rules import FLAGS, STATE_NUMBER, Flag

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FLAGS", "REQUIRED_COLUMNS", "SEPARATOR", "Flag", "flag_counts", "flag_records", "unchecked_flags"]

#: Separates the names in the column `flags`.
SEPARATOR = "; "

_RULES = [(flag, flag.expression) for flag in FLAGS.values() if flag.expression is not None]

#: The item and derived columns that `flag_records` reads when codes are checked in a separate table.
REQUIRED_COLUMNS = tuple(
    sorted({"structure_key", *(name for flag, _ in _RULES for name in flag.columns)} - {STATE_NUMBER})
)

#: Rows that can have a flag with an expensive expression.
_PREFILTER = pl.any_horizontal(flag.prefilter for flag, _ in _RULES if flag.prefilter is not None).fill_null(False)


def flag_records(
    table: pl.DataFrame,
    survey_year: int,
    codes: pl.DataFrame | pa.Table | None = None,
    absent_items: Collection[str] = (),
) -> pl.Series:
    """Flag each record.

    Parameters
    ----------
    table : pl.DataFrame
        Records with the columns of `RECORD_SCHEMA` and the derived columns. Coded items as String, Categorical or Enum.
    survey_year : int
        The year of their file.
    codes : pl.DataFrame or pa.Table, optional
        The same rows with the coded items in a form that is cheaper to check: the dictionary-encoded Arrow table of a
        batch. `table` then needs only `REQUIRED_COLUMNS`.
    absent_items : collection of str
        Items that the file has no column for: no flag that needs one of them is given (`Flag.needs`).

    Returns
    -------
    pl.Series
        `flags` (String): names joined by `; ` in the order of `FLAGS`, such as
        `inspection_in_future; unknown_code:OWNER_022`; null for a record without flags.
    """
    # Every Enum has different categories, so the expressions compare text.
    enums = [name for name in REQUIRED_COLUMNS if isinstance(table.schema[name], pl.Enum)]
    state = pl.col("structure_key").str.head(2).cast(pl.UInt8, strict=False).alias(STATE_NUMBER)
    inputs = table.select(pl.col(REQUIRED_COLUMNS), state).with_columns(pl.col(enums).cast(pl.String))
    masks = _masks(inputs, survey_year, frozenset(unchecked_flags(absent_items)))
    invalid = find_invalid_codes(table if codes is None else codes)
    if invalid.lowercase:
        masks.append(reduce(or_, invalid.lowercase.values()).alias("lowercase_code"))
    masks += [rows.alias(f"{UNKNOWN_CODE_FLAG}:{name}") for name, rows in invalid.unknown.items()]
    if not masks:
        return pl.Series("flags", [None], dtype=pl.String).new_from_index(0, table.height)
    found = pl.DataFrame(masks)
    rows = found.select(pl.any_horizontal(pl.all())).to_series().arg_true()
    flag_names = [pl.when(name).then(pl.lit(name)) for name in found.columns]
    texts = found[rows].select(pl.concat_str(flag_names, separator=SEPARATOR, ignore_nulls=True)).to_series()
    return pl.Series("flags", [None], dtype=pl.String).new_from_index(0, table.height).scatter(rows, texts)


def unchecked_flags(absent_items: Collection[str]) -> list[str]:
    """The flags that no record can have, because they need an item that its file has no column for."""
    absent = frozenset(absent_items)
    return [flag.name for flag, _ in _RULES if absent.intersection(flag.needs)]


@cache
def _expressions(survey_year: int, unchecked: frozenset[str]) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """The expressions evaluated on all rows, and those evaluated on prefiltered rows."""
    unfiltered, prefiltered = [], []
    for flag, expression in _RULES:
        if flag.name in unchecked:
            continue
        target = unfiltered if flag.prefilter is None else prefiltered
        target.append(expression(survey_year).fill_null(False).alias(flag.name))
    return unfiltered, prefiltered


def _masks(table: pl.DataFrame, survey_year: int, unchecked: frozenset[str]) -> list[pl.Series]:
    """A Boolean column for each flag that at least one row has, in order of `FLAGS`."""
    unfiltered, prefiltered = _expressions(survey_year, unchecked)
    results = table.select(*unfiltered, _PREFILTER.alias(""))
    prefiltered_rows = results.drop_in_place("").arg_true()
    found = {column.name: column for column in results.get_columns() if column.any()}
    for column in table[prefiltered_rows].select(prefiltered).get_columns():
        if column.any():
            all_false = pl.Series(column.name, [False]).new_from_index(0, table.height)
            found[column.name] = all_false.scatter(prefiltered_rows, column)  # changes and returns it
    return [found[flag.name] for flag, _ in _RULES if flag.name in found]


def flag_counts(column: pl.Series) -> dict[str, int]:
    """Records by flag, in the order of `FLAGS`; `unknown_code` by item. Flags with no record are left out."""
    distinct = column.drop_nulls().value_counts()
    counts: Counter[str] = Counter()
    for text, height in distinct.iter_rows():
        for name in text.split(SEPARATOR):
            counts[name] += height
    order = list(FLAGS)
    return dict(sorted(counts.items(), key=lambda each: (order.index(each[0].partition(":")[0]), each[0])))
