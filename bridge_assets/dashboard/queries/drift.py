"""Drift of a survey year, and the two distributions of any feature: the reference years and that year."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bridge_assets.dashboard.queries.tables import Tables

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.reporting.drift.distributions import Distribution

REPORT, FEATURES, PREDICTIONS = "drift_report", "bridge_features", "bridge_predictions"

#: Period of the survey years that others are compared with, in drift_report.
_REFERENCE = "reference"

#: The prediction among the features of the page.
PROBABILITY = "fall_probability"


def drift_report(tables: Tables, survey_year: int) -> pl.DataFrame:
    """The drift_report of a survey year. Raises MissingTableError."""
    import polars as pl

    return cast("pl.DataFrame", pl.from_arrow(tables.arrow(f"select * from {{{REPORT}:{int(survey_year)}}}")))


def drifted_by_year(tables: Tables) -> dict[int, int]:
    """Survey year -> features that drifted in all states together."""
    rows = tables.rows(
        f"select survey_year, count(distinct feature) filter (drifted) as drifted from {{{REPORT}}} "
        "where kind = 'feature' and state = 'all' group by survey_year order by survey_year"
    )
    return {row["survey_year"]: row["drifted"] for row in rows}


def reference_years(tables: Tables, survey_year: int) -> list[int]:
    """The survey years with which a year is compared: those of the reference, without the year itself."""
    rows = tables.rows(
        f"select distinct survey_year from {{{REPORT}}} where period = ? and survey_year != ? order by 1",
        [_REFERENCE, survey_year],
    )
    return [row["survey_year"] for row in rows]


def distribution(tables: Tables, feature: str, state: str, survey_year: int) -> Distribution:
    """The distributions of a feature, or of the probability, of all bridges or of those of a state.

    Raises
    ------
    MissingTableError
        If the table does not exist or has no such column.
    """
    from bridge_assets.reporting.drift.distributions import distribution_of

    table = PREDICTIONS if feature == PROBABILITY else FEATURES
    present = set(tables.years(table))
    before = [year for year in reference_years(tables, survey_year) if year in present]
    sides = [_counts(tables, table, feature, state, years) for years in (before, [survey_year])]
    return distribution_of(feature, *sides)


def _counts(tables: Tables, table: str, column: str, state: str, years: list[int]):
    import numpy as np

    from bridge_assets.drift.counts import ValueCounts

    if not years:
        return ValueCounts(np.empty(0), np.empty(0, np.int64))
    name = '"{}"'.format(column.replace('"', '""'))
    union = " union all ".join(f"select {name}, structure_key from {{{table}:{year}}}" for year in years)
    where, values = ("where structure_key like ?", [f"{state}-%"]) if state != "all" else ("", [])
    found = tables.arrow(
        f"select cast({name} as double) as value, count(*) as records from ({union}) {where} group by 1 order by 1",
        values,
    )
    value = found["value"].to_numpy(zero_copy_only=False)
    records = found["records"].to_numpy(zero_copy_only=False).astype(np.int64)
    missing = np.isnan(value)
    return ValueCounts(value[~missing], records[~missing], int(records[missing].sum()))
