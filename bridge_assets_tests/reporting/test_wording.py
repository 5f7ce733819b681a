"""Formats of numbers, dates and states."""

from __future__ import annotations

import datetime as dt

from bridge_assets.reporting.wording import DASH, count, decimal, month, percent, plural, points, share, state

NB = "\N{NO-BREAK SPACE}"


def test_numbers_have_separators_and_one_decimal_of_a_percent() -> None:
    assert (count(1234567), count(592.6), percent(0.1236), decimal(0.71149)) == (
        "1,234,567",
        "593",
        f"12.4{NB}%",
        "0.711",
    )


def test_a_small_share_is_never_shown_as_zero() -> None:
    assert [share(value) for value in (0.1236, 0.001, 0.0004, 0.00005, 1e-9, 0.0, None)] == [
        f"12.4{NB}%",
        f"0.1{NB}%",
        f"0.04{NB}%",
        f"0.01{NB}%",
        f"<{NB}0.01{NB}%",
        "0",
        DASH,
    ]


def test_missing_is_a_dash() -> None:
    for format_number in (count, percent, decimal):
        assert format_number(None) == format_number(float("nan")) == DASH
    assert month(None) == DASH


def test_a_change_is_given_in_points() -> None:
    assert points(0.0123) == f"1.2{NB}points more than"
    assert points(-0.002) == f"0.2{NB}points less than"
    assert points(0.0001) == points(-0.0001) == "the same share as"


def test_one_is_not_plural() -> None:
    assert plural(1, "bridge", "bridges") == "1 bridge"
    assert plural(0.92, "bridge is", "bridges are") == "1 bridge is"
    assert plural(2000, "bridge", "bridges") == "2,000 bridges"


def test_states_and_months() -> None:
    assert (state("25"), state("99"), month(dt.date(2022, 2, 1))) == ("Massachusetts", "State 99", "2022-02")
