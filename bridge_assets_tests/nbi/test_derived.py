"""Condition, class, key, date and position from coded text."""

from __future__ import annotations

import datetime

import polars as pl
import pytest

from bridge_assets.nbi import derived


def one(expression: pl.Expr, **items: str | None):
    return (
        pl.DataFrame({name: pl.Series([value], dtype=pl.String) for name, value in items.items()})
        .select(expression)
        .item()
    )


def ratings(
    deck: str | None, superstructure: str | None, substructure: str | None, culvert: str | None
) -> dict[str, str | None]:
    return {
        "DECK_COND_058": deck, "SUPERSTRUCTURE_COND_059": superstructure, "SUBSTRUCTURE_COND_060": substructure,
        "CULVERT_COND_062": culvert,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("items", "condition", "of_class"),
    [
        (("7", "8", "9", "N"), 7, "Good"),
        (("6", "8", "9", "N"), 6, "Fair"),
        (("5", "5", "7", "N"), 5, "Fair"),
        (("9", "4", "7", "N"), 4, "Poor"),
        (("N", "N", "N", "6"), 6, "Fair"),
        (("n", "n", "n", "0"), 0, "Poor"),
        (("5", "8", "7", "8"), 5, "Fair"),
        (("N", "N", "N", "N"), None, None),
        ((None, None, None, None), None, None),
        (("10", "-1", "x", "8"), 8, "Good"),
        (("10", "N", "N", "N"), None, None),
    ],
)
def test_condition_is_the_lowest_rating_and_class_follows(items, condition, of_class) -> None:
    assert one(derived.condition(), **ratings(*items)) == condition
    assert one(derived.condition_class(derived.condition()), **ratings(*items)) == of_class


@pytest.mark.parametrize(
    ("coded", "year", "date"),
    [
        ("222", 2022, datetime.date(2022, 2, 1)),
        ("1299", 2001, datetime.date(1999, 12, 1)),
        ("191", 1992, datetime.date(1991, 1, 1)),
        ("0422", 2019, datetime.date(2022, 4, 1)),
        ("100", 1999, datetime.date(2000, 1, 1)),
        ("1330", 2019, None),
        ("0", 2019, None),
        ("", 2019, None),
        (None, 2019, None),
        ("12019", 2019, None),
        ("129", 2019, datetime.date(2029, 1, 1)),
        ("130", 2019, datetime.date(1930, 1, 1)),
        ("105", 1995, datetime.date(2005, 1, 1)),
        ("106", 1995, datetime.date(1906, 1, 1)),
        ("+222", 2022, None),
        ("1222", 2022, datetime.date(2022, 12, 1)),
        ("99", 2022, None),
    ],
)
def test_inspection_dates(coded, year, date) -> None:
    assert one(derived.inspection_date(year), DATE_OF_INSPECT_090=coded) == date


@pytest.mark.parametrize(
    ("state", "latitude", "longitude", "expected"),
    [
        ("01", "31555400", "087413000", (31.931667, -87.691667)),
        ("02", "55212367", "131422649", (55.356575, -131.707358)),
        ("66", "13280000", "144450000", (13.466667, 144.75)),
        ("01", "31556000", "087413000", (None, -87.691667)),
        ("01", "31605400", "0", (None, None)),
        ("01", "99999999", "999999999", (None, None)),
        ("01", None, "1234567890", (None, None)),
        ("01", "3155N400", "W87413000", (None, None)),
        ("60", "14180000", "170420000", (-14.3, -170.7)),
        ("69", "15110000", "145440000", (15.183333, 145.733333)),
        # The last second of a degree, the last degree, and one more of each.
        ("01", "89595999", "179595999", (89.999997, -179.999997)),
        ("01", "90000000", "180000000", (None, None)),
        ("01", "31600000", "087600000", (None, None)),
        ("01", "31590000", "087590000", (31.983333, -87.983333)),
        ("01", "00000001", "000000001", (0.000003, -0.000003)),
        # One digit too many, though the number is a position.
        ("01", "031555400", "0087413000", (None, None)),
    ],
)
def test_coordinates(state, latitude, longitude, expected) -> None:
    items = {"STATE_CODE_001": state, "LAT_016": latitude, "LONG_017": longitude}
    north, east = one(derived.latitude(), **items), one(derived.longitude(), **items)
    assert (north, east) == tuple(value if value is None else pytest.approx(value, abs=1e-6) for value in expected)


@pytest.mark.parametrize(
    ("state", "number", "key"),
    [
        ("01", "000232         ", "01-232"),
        ("01", "            232", "01-232"),
        ("1", "232", "01-232"),
        ("10", "      1331N067 ", "10-1331N067"),
        ("02", "0000", "02-0"),
        ("011", "232", "01-232"),
        ("02", "10 0", "02-10 0"),
    ],
)
def test_padding_variants_are_the_same_structure(state, number, key) -> None:
    assert one(derived.structure_key(), STATE_CODE_001=state, STRUCTURE_NUMBER_008=number) == key


def test_age_and_days_since_inspection_are_as_of_the_end_of_the_survey_year() -> None:
    records = pl.DataFrame(
        {
            "YEAR_BUILT_027": [1974, 0, 2020, None, 2019, 1],
            "inspection_date": [datetime.date(2019, 12, 1), datetime.date(2020, 1, 1), *[None] * 4],
        },
        schema={"YEAR_BUILT_027": pl.Int32, "inspection_date": pl.Date},
    )
    result = records.select(age=derived.age(2019), days=derived.days_since(pl.col("inspection_date"), 2019))
    assert result["age"].to_list() == [45, None, None, None, 0, 2018]
    assert result["days"].to_list() == [30, -1, None, None, None, None]


def test_every_derived_column_of_three_records():
    items = {
        "STATE_CODE_001": ["02", "66", "01"],
        "STRUCTURE_NUMBER_008": ["  A1 ", "0007", "8"],
        "RECORD_TYPE_005A": ["1", "2", None],
        "STRUCTURE_TYPE_043B": ["19", "9", None],
        "DECK_COND_058": ["N", "7", None],
        "SUPERSTRUCTURE_COND_059": ["N", "8", None],
        "SUBSTRUCTURE_COND_060": ["N", "9", None],
        "CULVERT_COND_062": ["4", "N", None],
        "DATE_OF_INSPECT_090": ["1219", "120", None],
        "LAT_016": ["61300000", "13300000", None],
        "LONG_017": ["149300000", "144300000", None],
        "YEAR_BUILT_027": [2000, 1999, None],
    }
    types = {name: pl.Int32 if name == "YEAR_BUILT_027" else pl.String for name in items}
    table = pl.DataFrame(items, schema=types).select(derived.derived_columns(2019))
    assert dict(table.schema) == {
        "survey_year": pl.Int16, "structure_key": pl.String, "on_structure": pl.Boolean, "is_culvert": pl.Boolean,
        "condition": pl.Int8, "condition_class": pl.String, "inspection_date": pl.Date,
        "inspected_in_future": pl.Boolean, "days_since_inspection": pl.Int32, "age": pl.Int16,
        "latitude": pl.Float64, "longitude": pl.Float64,
    }  # fmt: skip
    in_2019, in_2020 = datetime.date(2019, 12, 1), datetime.date(2020, 1, 1)
    assert table.rows() == [
        (2019, "02-A1", True, True, 4, "Poor", in_2019, False, 30, 19, 61.5, -149.5),
        (2019, "66-7", False, False, 7, "Good", in_2020, True, -1, 20, 13.5, 144.5),
        (2019, "01-8", False, False, None, None, None, False, None, None, None, None),
    ]
    assert {name for each in derived.derived_columns(2019) for name in each.meta.root_names()} == set(
        derived.DECODED_ITEMS
    )
