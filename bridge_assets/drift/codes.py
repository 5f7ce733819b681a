"""Compares coded items: the shares of the codes of a survey year with those of the reference years.

Belongs here: which items are compared, and the rows of drift_report for codes. Does not belong here: whether a state
recoded an item (`recoding`), and thresholds (`limits`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge_assets.drift import limits
from bridge_assets.drift.counts import ValueCounts, total_variation
from bridge_assets.drift.limits import Limits, Sizes
from bridge_assets.drift.numbers import ALL_STATES

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.drift.periods import Periods

CODE = "code"

#: Coded items that say where a record belongs or who sent it: their shares are not a property of the bridges.
NOT_COMPARED = ("STATE_CODE_001", "RECORD_TYPE_005A", "OTHER_STATE_CODE_098A", "FED_AGENCY", "SUBMITTED_BY")

#: What a blank is called where codes are listed.
BLANK = "blank"

#: State -> code -> rows.
CodeCounts = dict[str, dict[str, int]]


@cache
def compared_items() -> tuple[str, ...]:
    """The coded items that are compared: those with a list of codes that FHWA does not compute from the ratings."""
    from bridge_assets.nbi.coding_guide.items import ITEMS

    return tuple(
        item.name for item in ITEMS if item.codes and not item.derived_from_ratings and item.name not in NOT_COMPARED
    )


def code_text(value: str | None) -> str:
    """A code in one form: upper case, without leading zeros, and `blank` for none; `01`, ` 1` and `1` are the same."""
    text = (value or "").strip().upper()
    return (text.lstrip("0") or "0") if text else BLANK


def coded_records(records: pl.LazyFrame) -> pl.DataFrame:
    """The coded items of each structure of a survey year.

    Parameters
    ----------
    records : pl.LazyFrame
        raw_bridges of one year.

    Returns
    -------
    pl.DataFrame
        structure_key, state (two digits), inspection_date, and the compared items as Categorical; one row for each
        structure.
    """
    import polars as pl

    from bridge_assets.data.records.structures import one_record_per_structure

    items = compared_items()
    key = ["structure_key", "survey_year", "on_structure", "inspection_date", "line_number"]
    present = records.collect_schema().names()  # `schema` names a column that is gone
    codes = [(pl.col(item) if item in present else pl.lit(None).alias(item)).cast(pl.Categorical) for item in items]
    records = records.select(*key, *codes)
    table = one_record_per_structure(records).collect()
    return table.select("structure_key", pl.col("structure_key").str.head(2).alias("state"), "inspection_date", *items)


def count_codes(table: pl.DataFrame, item: str) -> CodeCounts:
    """State -> code -> rows of an item, from `coded_records`."""
    import polars as pl

    found: CodeCounts = {}
    for state, value, rows in table.group_by("state", item).agg(pl.len()).iter_rows():
        codes, code = found.setdefault(state, {}), code_text(value)
        codes[code] = codes.get(code, 0) + rows
    return found


def compare_item(
    item: str, by_year: Mapping[int, CodeCounts], years: Sequence[int], periods: Periods
) -> list[dict[str, Any]]:
    """The rows of drift_report of an item: its total variation in all states and in each state.

    Parameters
    ----------
    item : str
    by_year : mapping
        Survey year -> counts. A year in which no record has a code gives no row: its layout lacks the item (`schema`).
    years : sequence of int
        The survey years to compare.
    periods : Periods

    Returns
    -------
    list of dict
        As `numbers.compare_column`.
    """
    coded = {year: counts for year, counts in by_year.items() if any(set(codes) - {BLANK} for codes in counts.values())}
    names = {code for counts in coded.values() for codes in counts.values() for code in codes}
    numbers = {code: float(number) for number, code in enumerate(sorted(names))}
    reference_years = [year for year in periods.reference if year in coded]
    states = sorted({state for year in reference_years for state in coded[year]})
    rows = []
    for state in [ALL_STATES, *states]:
        parts = {year: _value_counts(coded[year], state, numbers) for year in coded}
        pool = ValueCounts.pooled([parts[year] for year in reference_years])
        others = {year: pool.without(parts[year]) for year in reference_years}
        distances = {
            year: total_variation(others[year], parts[year])
            for year in reference_years
            if others[year].size and parts[year].size
        }
        learned = Limits(limits.TOTAL_VARIATION, distances, periods)
        least_rows = 1 if state == ALL_STATES else periods.settings.state_rows
        for year in years:
            reference = others.get(year, pool)
            if year not in parts or min(reference.size, parts[year].size) < least_rows:
                continue
            value = total_variation(reference, parts[year])
            sizes = Sizes(reference.size, parts[year].size, codes=np.union1d(reference.values, parts[year].values).size)
            threshold = learned.thresholds(sizes, year)[state != ALL_STATES]
            rows.append(
                {
                    "survey_year": year,
                    "kind": CODE,
                    "feature": item,
                    "state": state,
                    "measure": limits.TOTAL_VARIATION,
                    "value": value,
                    "threshold": threshold,
                    "drifted": value > threshold,
                    "reference_rows": reference.rows,
                    "year_rows": parts[year].rows,
                }
            )
    return rows


def _value_counts(counts: CodeCounts, state: str, numbers: Mapping[str, float]) -> ValueCounts:
    chosen = counts.values() if state == ALL_STATES else [counts.get(state, {})]
    totals: dict[float, int] = {}
    for codes in chosen:
        for code, rows in codes.items():
            totals[numbers[code]] = totals.get(numbers[code], 0) + rows
    ordered = sorted(totals.items())
    return ValueCounts(
        np.array([number for number, _ in ordered]), np.array([rows for _, rows in ordered], dtype=np.int64)
    )
