"""Compares features and predictions: numbers, in all states together and in each state.

Belongs here: the rows of drift_report for numbers. Does not belong here: distances (`counts`), thresholds (`limits`),
codes (`codes`), and reading tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge_assets.drift import limits
from bridge_assets.drift.counts import ValueCounts, compare
from bridge_assets.drift.limits import Limits, Sizes

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.drift.periods import Periods

#: `state` of the rows for all states together, as in data_quality.
ALL_STATES = "all"

#: Value of `kind`.
FEATURE, PREDICTION = "feature", "prediction"

#: State -> counts.
ByState = dict[str, ValueCounts]


@dataclass(frozen=True)
class NumberColumn:
    """One column in the survey years.

    Attributes
    ----------
    name : str
    kind : str
        `feature` or `prediction`.
    by_year : mapping
        Survey year -> state -> counts. Years without the column, such as years that were not scored, are left out.
    recoded : mapping
        Survey year -> states that recoded an item from which the column is computed (`recoding`).
    """

    name: str
    kind: str
    by_year: Mapping[int, ByState]
    recoded: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def group(self, year: int, state: str, without: Sequence[str] = ()) -> ValueCounts:
        """The counts of a year in a state, or in all states but some."""
        states = self.by_year[year]
        if state != ALL_STATES:
            return states.get(state) or ValueCounts.pooled([])
        return ValueCounts.pooled([counts for name, counts in states.items() if name not in without])


def count_by_state(tables: Mapping[int, pl.LazyFrame], column: str) -> dict[int, ByState]:
    """Count the values of a column in each survey year and state.

    Parameters
    ----------
    tables : mapping
        Survey year -> `state` and the column: numbers or Booleans; null and NaN are missing.
    column : str

    Returns
    -------
    dict
        Survey year -> state -> counts.
    """
    import numpy as np
    import polars as pl

    value = pl.col(column).cast(pl.Float64).fill_nan(None).alias("value")
    parts = [table.select(pl.lit(year, pl.Int16).alias("year"), "state", value) for year, table in tables.items()]
    if not parts:
        return {}
    key = ["year", "state", "value"]
    counted = pl.concat(parts).group_by(key).agg(pl.len().cast(pl.Int64).alias("rows")).collect().sort(key)
    groups = counted.group_by("year", "state", maintain_order=True).agg(pl.len()).rows()
    values = counted["value"].to_numpy().astype(np.float64)  # null, which comes first in its group, becomes NaN
    rows = counted["rows"].to_numpy()
    found: dict[int, ByState] = {year: {} for year in tables}
    start = 0
    for year, state, length in groups:
        end, missing = start + length, 0
        if np.isnan(values[start]):
            missing, start = int(rows[start]), start + 1
        found[year][str(state)] = ValueCounts(values[start:end], rows[start:end], missing)
        start = end
    return found


def measure(
    reference: ValueCounts, year: ValueCounts, least_values: int = 1, *, is_part: bool = False
) -> dict[str, float]:
    """Every measure of a year against the reference; NaN for a distance if a side has too few values.

    The measure of missing values is the share in the year less that in the reference: negative if fewer are missing.

    Parameters
    ----------
    reference, year : ValueCounts
    least_values : int
        Fewer values are not compared: the years since a repair of three bridges say nothing about a state.
    is_part : bool
        Whether the year is one of those in the reference, and is to be left out of it.
    """
    values: dict[str, float] = dict.fromkeys(limits.NUMBER_MEASURES, math.nan)
    size, missing = reference.size, reference.missing
    if is_part:
        size, missing = size - year.size, missing - year.missing
    if size + missing and year.rows:
        values[limits.MISSING] = year.missing_share - missing / (size + missing)
    if min(size, year.size) >= least_values:
        found = compare(reference, year, is_part=is_part)
        values |= {limits.KS: found.ks, limits.WASSERSTEIN: found.wasserstein, limits.PSI: found.psi}
    return values


def compare_column(column: NumberColumn, years: Sequence[int], periods: Periods) -> list[dict[str, Any]]:
    """The rows of drift_report of a column.

    Parameters
    ----------
    column : NumberColumn
    years : sequence of int
        The survey years to compare; years in which `column` is absent give no rows.
    periods : Periods

    Returns
    -------
    list of dict
        One for each year, group and measure; `report.REPORT_SCHEMA` without period and model version.
    """
    reference_years = [year for year in periods.reference if year in column.by_year]
    states = sorted({state for year in reference_years for state in column.by_year[year]})
    rows = []
    for state in [ALL_STATES, *states]:
        parts = {year: column.group(year, state) for year in reference_years}
        pool = ValueCounts.pooled(list(parts.values()))
        if state != ALL_STATES and pool.rows < periods.settings.state_rows:
            continue
        learned = learn_limits(pool, parts, periods)
        for year in years:
            if year in column.by_year:
                rows += _group_rows(column, year, state, pool, parts.get(year), learned, periods)
    return rows


def learn_limits(pool: ValueCounts, parts: Mapping[int, ValueCounts], periods: Periods) -> dict[str, Limits]:
    """Measure -> limits, from the distance of each reference year from the others.

    Parameters
    ----------
    pool : ValueCounts
        All reference years together.
    parts : mapping
        Reference year -> its counts.
    periods : Periods
    """
    found: dict[str, dict[int, float]] = {name: {} for name in limits.NUMBER_MEASURES}
    for year, part in parts.items():
        for name, value in measure(pool, part, is_part=True).items():  # few values differ more: a higher threshold
            if not math.isnan(value):
                found[name][year] = value
    return {name: Limits(name, distances, periods) for name, distances in found.items()}


def _group_rows(
    column: NumberColumn,
    year: int,
    state: str,
    pool: ValueCounts,
    own_part: ValueCounts | None,
    learned: Mapping[str, Limits],
    periods: Periods,
) -> list[dict[str, Any]]:
    counts = column.group(year, state)
    reference = pool if own_part is None else pool.without(own_part)
    least_rows = 1 if state == ALL_STATES else periods.settings.state_rows
    if min(counts.rows, reference.rows) < least_rows:
        return []
    deviation = pool.deviation if pool.size else 0.0
    sizes = {name: _sizes(reference, counts, name, deviation) for name in learned}
    both = {name: each.thresholds(sizes[name], year) for name, each in learned.items()}
    errors = {name: error for name, (_, error) in both.items()}
    thresholds = {name: warn for name, (warn, _) in both.items()} if state == ALL_STATES else errors
    values = measure(reference, counts, periods.settings.state_rows)
    is_empty = not (reference.size and counts.size)
    drifted = {name: _has_drifted(name, value, thresholds[name], is_empty) for name, value in values.items()}
    cause = ""
    if any(drifted.values()) and column.recoded.get(year):
        cause = _recoding_cause(column, year, state, thresholds, periods)
    return [
        {
            "survey_year": year,
            "kind": column.kind,
            "feature": column.name,
            "state": state,
            "measure": name,
            "value": None if math.isnan(value) else value,
            "threshold": thresholds[name],
            "error_threshold": errors[name] if column.kind == PREDICTION and state == ALL_STATES else None,
            "drifted": drifted[name],
            "cause": cause if drifted[name] else "",
            "reference_mean": _mean(reference, name),
            "year_mean": _mean(counts, name),
            "reference_rows": reference.rows,
            "year_rows": counts.rows,
        }
        for name, value in values.items()
    ]


def _has_drifted(name: str, value: float, threshold: float, is_empty: bool) -> bool:
    """Whether a value exceeds its threshold.

    A falling share of missing values alone is not drift: structures have the shortest history in the first years, and
    history features fill up as it grows. It is drift if a side has no values at all, so that nothing else can be
    compared.
    """
    if name == limits.MISSING and is_empty:
        return abs(value) > threshold
    return value > threshold


def _recoding_cause(
    column: NumberColumn, year: int, state: str, thresholds: Mapping[str, float], periods: Periods
) -> str:
    """`recoded: 25, 36` if the drift is theirs alone: without these states, nothing exceeds its threshold."""
    recoded = sorted(column.recoded[year])
    if state != ALL_STATES:
        return f"recoded: {state}" if state in recoded else ""
    years = [each for each in periods.compared_with(year) if each in column.by_year]
    reference = ValueCounts.pooled([column.group(each, ALL_STATES, recoded) for each in years])
    counts = column.group(year, ALL_STATES, recoded)
    if reference.rows and counts.rows:
        values = measure(reference, counts, periods.settings.state_rows)
        is_empty = not (reference.size and counts.size)
        if any(_has_drifted(name, value, thresholds[name], is_empty) for name, value in values.items()):
            return ""
    return f"recoded: {', '.join(recoded)}"


def _sizes(reference: ValueCounts, year: ValueCounts, name: str, deviation: float) -> Sizes:
    if name == limits.MISSING:  # of all rows; the others are computed from the rows with a value
        share = (reference.missing + year.missing) / (reference.rows + year.rows)
        return Sizes(reference.rows, year.rows, missing_share=share)
    return Sizes(reference.size, year.size, deviation)


def _mean(counts: ValueCounts, name: str) -> float | None:
    value = counts.missing_share if name == limits.MISSING else counts.mean
    return None if math.isnan(value) else value
