"""Columns, types and unknown codes of a survey year against the reference years."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from bridge_assets.drift.periods import Periods
from bridge_assets.drift.schema import ALL_COLUMNS, describe_year, schema_rows
from bridge_assets.settings import DriftSettings


def records(rows: int = 1000, unknown: int = 0, **more: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "OWNER_022": ["01"] * rows,
            "SUFFICIENCY_RATING": [71.5] * rows,
            "ADT_029": pl.Series([100] * rows, dtype=pl.Int32),
            "flags": pl.Series(
                ["adt_too_high; unknown_code:OWNER_022"] * unknown + [None] * (rows - unknown), dtype=pl.String
            ),
        }
    ).with_columns(**more)


def changes(year: pl.DataFrame, reference: pl.DataFrame | None = None, survey_year: int = 2018) -> Mapping[str, dict]:
    """Measure -> row, of a year after two reference years."""
    tables = {2010: records() if reference is None else reference, 2011: records(), survey_year: year}
    schemas = {each: describe_year(table.lazy()) for each, table in tables.items()}
    rows = schema_rows(schemas, [survey_year], Periods((2010, 2011), DriftSettings()))
    [total] = [row for row in rows if row["feature"] == ALL_COLUMNS]
    assert total["value"] == len(rows) - 1 and total["drifted"] is (len(rows) > 1)
    return {row["measure"]: row for row in rows if row is not total}


def test_a_year_like_the_others_has_a_row_that_says_so() -> None:
    assert changes(records()) == {}


def test_columns_that_are_gone_new_or_of_another_type_are_named() -> None:
    found = changes(records(NEW_ITEM=pl.lit("1"), ADT_029=pl.lit("100")).drop("OWNER_022"))
    assert {name: row["feature"] for name, row in found.items()} == {
        "column_gone": "OWNER_022",
        "column_new": "NEW_ITEM",
        "type_changed": "ADT_029",
    }
    assert found["type_changed"]["cause"] == "Int32 to String"


def named(tables: Mapping[int, pl.DataFrame], survey_year: int, measure: str) -> set[str]:
    schemas = {year: describe_year(table.lazy()) for year, table in tables.items()}
    rows = schema_rows(schemas, [survey_year], Periods((2010, 2011), DriftSettings()))
    return {row["feature"] for row in rows if row["measure"] == measure}


def test_a_column_without_any_value_is_named_unless_the_layout_lacks_it() -> None:
    empty = records(OWNER_022=pl.lit(None, pl.String), SUFFICIENCY_RATING=pl.lit(None, pl.Float64))
    reference = {2010: records(), 2011: records()}
    assert named({**reference, 2018: empty}, 2018, "no_value_any_more") == {"OWNER_022", "SUFFICIENCY_RATING"}
    # The layout of 2019 has no sufficiency rating.
    assert named({**reference, 2019: empty}, 2019, "no_value_any_more") == {"OWNER_022"}


def test_first_values_are_named_unless_the_layout_is_the_reason() -> None:
    # The published class is in the files from 2016.
    empty = records(OWNER_022=pl.lit(None, pl.String), BRIDGE_CONDITION=pl.lit(None, pl.String))
    filled = records(BRIDGE_CONDITION=pl.lit("G"))
    assert named({2010: empty, 2011: empty, 2018: filled}, 2018, "first_values") == {"OWNER_022"}


def test_unknown_codes_beyond_the_reference_are_named_with_their_number() -> None:
    found = changes(records(unknown=120), reference=records(unknown=10))["unknown_codes"]
    assert (found["feature"], found["cause"]) == ("OWNER_022", "120 records")
    assert (found["year_mean"], found["reference_mean"]) == (0.12, 0.005)
    assert changes(records(unknown=20), reference=records(unknown=10)) == {}


def test_a_reference_year_is_compared_with_the_others() -> None:
    tables = {2010: records(), 2011: records(unknown=200), 2012: records()}
    schemas = {year: describe_year(table.lazy()) for year, table in tables.items()}
    rows = schema_rows(schemas, [2010, 2011, 2012], Periods((2010, 2011, 2012), DriftSettings()))
    assert [row["value"] for row in rows] == [0, 0, 0]  # its own difference is among those learned from
