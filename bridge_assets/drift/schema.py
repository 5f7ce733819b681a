"""Compares the columns of raw_bridges of a survey year with those of the reference years.

Belongs here: columns, types, columns without any value, and codes that are not in the Coding Guide. Does not belong
here: whether the schema is the declared one (the check `schema_matches`), and the shares of codes (`codes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.drift import limits
from bridge_assets.drift.limits import Limits, Sizes
from bridge_assets.drift.numbers import ALL_STATES

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.drift.periods import Periods

SCHEMA = "schema"

#: Values of `measure`.
CHANGES, GONE, NEW, RETYPED, EMPTY, FILLED, UNKNOWN_CODES = (
    "changes",
    "column_gone",
    "column_new",
    "type_changed",
    "no_value_any_more",
    "first_values",
    "unknown_codes",
)

#: Columns that say what is wrong with a record: no values at all are as good as they can be.
REMARKS = frozenset(("flags", "unparsed"))

#: `feature` of the row that counts all changes.
ALL_COLUMNS = "all columns"


@dataclass(frozen=True)
class YearSchema:
    """What a survey year's records look like.

    Attributes
    ----------
    types : mapping
        Column -> type.
    filled : frozenset of str
        Columns with at least one value.
    unknown : mapping
        Item -> records whose code is not in the Coding Guide.
    rows : int
    """

    types: Mapping[str, str]
    filled: frozenset[str]
    unknown: Mapping[str, int]
    rows: int


def describe_year(records: pl.LazyFrame) -> YearSchema:
    """Columns, types, values and unknown codes of raw_bridges of one year."""
    import polars as pl

    schema = records.collect_schema()
    counts = records.select(pl.all().count(), pl.len().alias("rows of the table")).collect().row(0, named=True)
    rows = counts.pop("rows of the table")
    unknown: dict[str, int] = {}
    if "flags" in schema:
        prefix = "unknown_code:"
        flags = records.select(pl.col("flags").cast(pl.String).str.split("; ").alias("flag")).explode("flag")
        found = flags.filter(pl.col("flag").str.starts_with(prefix)).group_by("flag").agg(pl.len()).collect()
        unknown = {flag.removeprefix(prefix): count for flag, count in found.iter_rows()}
    types = {name: str(kind) for name, kind in schema.items()}
    return YearSchema(types, frozenset(name for name, count in counts.items() if count), unknown, rows)


def schema_rows(by_year: Mapping[int, YearSchema], years: Sequence[int], periods: Periods) -> list[dict[str, Any]]:
    """The rows of drift_report about the schema: one that counts the changes, and one for each change.

    A column whose values a layout does not have is no change: which years have which item is published (`layouts`).

    Parameters
    ----------
    by_year : mapping
        Survey year -> its schema.
    years : sequence of int
        The survey years to compare.
    periods : Periods

    Returns
    -------
    list of dict
        As `numbers.compare_column`.
    """
    rows = []
    for year in years:
        by_reference_year = {each: by_year[each] for each in periods.compared_with(year) if each in by_year}
        if not by_reference_year or year not in by_year:
            continue
        changes = _column_changes(by_reference_year, by_year[year], year)
        reference = {each: by_year[each] for each in periods.reference if each in by_year}
        changes += _unknown_code_changes(reference, by_year[year], periods, year)
        base = {
            "survey_year": year,
            "kind": SCHEMA,
            "state": ALL_STATES,
            "reference_rows": sum(each.rows for each in by_reference_year.values()),
            "year_rows": by_year[year].rows,
        }
        total = {"feature": ALL_COLUMNS, "measure": CHANGES, "value": float(len(changes)), "threshold": 0.0}
        rows += [{**base, **change, "drifted": change["value"] > change["threshold"]} for change in [total, *changes]]
    return rows


def _column_changes(
    by_reference_year: Mapping[int, YearSchema], year: YearSchema, survey_year: int
) -> list[dict[str, Any]]:
    reference_years, reference = list(by_reference_year), list(by_reference_year.values())
    known = {name: kind for each in reference for name, kind in each.types.items()}
    always = frozenset.intersection(*(each.filled for each in reference))
    ever = frozenset.union(*(each.filled for each in reference))
    found = [(GONE, name, "") for name in known if name not in year.types]
    found += [(NEW, name, "") for name in year.types if name not in known]
    found += [
        (RETYPED, name, f"{known[name]} to {kind}")
        for name, kind in year.types.items()
        if name in known and known[name] != kind
    ]
    emptied = sorted((always & year.types.keys()) - year.filled - REMARKS)
    found += [(EMPTY, name, "") for name in emptied if _layout_has(name, survey_year)]
    first_filled = sorted((year.filled & known.keys()) - ever - REMARKS)
    found += [(FILLED, name, "") for name in first_filled if any(_layout_has(name, each) for each in reference_years)]
    return [
        {"feature": name, "measure": what, "value": 1.0, "threshold": 0.0, "cause": cause}
        for what, name, cause in found
    ]


def _layout_has(item: str, survey_year: int) -> bool:
    """Whether the published layout of a year has an item; True for a derived column, and for years of no layout."""
    from bridge_assets.nbi.coding_guide.layouts import ALL_YEARS, years_of

    ranges = years_of(item)
    if not ranges or not any(first <= survey_year <= last for first, last in ALL_YEARS):
        return True
    return any(first <= survey_year <= last for first, last in ranges)


def _unknown_code_changes(
    reference: Mapping[int, YearSchema], year: YearSchema, periods: Periods, survey_year: int
) -> list[dict[str, Any]]:
    """Items whose unknown codes are more frequent than the reference years, all of them given, let one expect."""
    found = []
    for item, records in sorted(year.unknown.items()):
        rises = {
            each: _share(item, [schema]) - _share(item, [other for name, other in reference.items() if name != each])
            for each, schema in reference.items()
        }
        compared = [reference[each] for each in periods.compared_with(survey_year) if each in reference]
        before, now = _share(item, compared), records / year.rows
        rows = sum(each.rows for each in compared)
        sizes = Sizes(rows, year.rows, missing_share=(records + before * rows) / (year.rows + rows))
        threshold = Limits(limits.MISSING, rises, periods).thresholds(sizes, survey_year)[0]
        if now - before > threshold:
            found.append(
                {
                    "feature": item,
                    "measure": UNKNOWN_CODES,
                    "value": now - before,
                    "threshold": threshold,
                    "cause": f"{records:,} records",
                    "reference_mean": before,
                    "year_mean": now,
                }
            )
    return found


def _share(item: str, years: Sequence[YearSchema]) -> float:
    """Share of the records of all these years whose code of an item is unknown; 0 without records."""
    rows = sum(each.rows for each in years)
    return sum(each.unknown.get(item, 0) for each in years) / rows if rows else 0.0
