"""Judges whether the records of a survey year stand for structures: record type 1 in item 5A.

All results are of the structures. A file in which item 5A is blank, or that holds only routes under bridges, loads
without a rejected row, and leaves every table behind it empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

#: States with fewer structures in the year before are only judged together: in a panel of 1,492 real records, a state
#: with 19 structures has 8 a year later.
MIN_STRUCTURES_OF_STATE = 100

#: Values of item 5A that a message lists.
_LISTED_VALUES = 5


@dataclass(frozen=True, slots=True)
class RecordTypes:
    """How many records of a survey year there are, by state and by value of item 5A.

    Attributes
    ----------
    records, structures : dict of str to int
        State -> all its records, and those of record type 1.
    values : dict of str to int
        Value of item 5A, `blank` for none -> records, the most frequent first.
    """

    records: dict[str, int]
    structures: dict[str, int]
    values: dict[str, int]


def count_record_types(bridges: pl.LazyFrame) -> RecordTypes:
    """Count the records of a survey year, `BRIDGE_SCHEMA`."""
    counts = (
        bridges.select(
            pl.col("structure_key").str.slice(0, 2).fill_null("?").alias("state"),
            pl.col("RECORD_TYPE_005A").cast(pl.String).fill_null("blank").alias("value"),
            "on_structure",
        )
        .group_by("state", "value")
        .agg(pl.len().alias("records"), pl.col("on_structure").sum().alias("structures"))
        .collect()
    )
    by_state = counts.group_by("state").agg(pl.col("records", "structures").sum()).sort("state")
    by_value = counts.group_by("value").agg(pl.col("records").sum()).sort("records", "value", descending=[True, False])
    return RecordTypes(
        dict(by_state.select("state", "records").iter_rows()),
        dict(by_state.select("state", "structures").iter_rows()),
        dict(by_value.iter_rows()),
    )


def structure_problems(now: RecordTypes, before: RecordTypes | None, min_share: float) -> list[str]:
    """Why the records of a survey year do not stand for its structures, one sentence each; empty if they do.

    Parameters
    ----------
    now : RecordTypes
    before : RecordTypes or None
        Of the survey year before; None if it was not loaded. Only states that have records in both years are compared,
        so that adding or leaving out a state is no problem.
    min_share : float
        The least share of the structures of the year before, 0 to 1; at 0 only the absence of every one is a problem.
    """
    total = sum(now.records.values())
    if total and not any(now.structures.values()):
        return [f"none of the {total:,} records stands for a structure: item 5A is {_listed(now.values)}, never 1"]
    if before is None:
        return []
    problems = []
    common = [state for state in now.records if state in before.records]
    compared = {f"state {state}": [state] for state in common if before.structures[state] >= MIN_STRUCTURES_OF_STATE}
    for name, states in {"the states of both years": common, **compared}.items():
        found, known = (sum(year.structures[state] for state in states) for year in (now, before))
        if found < min_share * known:
            problems.append(
                f"in {name} {found:,} records stand for a structure, {known:,} did in the year before: "
                f"{found / known:.0%}, at least {min_share:.0%} expected (item 5A is {_listed(now.values)})"
            )
    return problems


def _listed(values: dict[str, int]) -> str:
    first = [f"{value} in {records:,}" for value, records in list(values.items())[:_LISTED_VALUES]]
    return ", ".join(first) + (" and others" if len(values) > _LISTED_VALUES else "")
