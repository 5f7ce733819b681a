"""Geometry of the sparklines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_assets.reporting.html.strips import (
    BAR_HEIGHT,
    LEVEL_NAMES,
    LEVELS,
    MAX_STRIP_WIDTH,
    bar_sparkline,
    strip_width,
    tint_level,
    tinted_sparkline,
)

SHARES = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=34)


@given(SHARES)
def test_every_year_has_a_mark_at_the_same_position_in_both_kinds(shares: list[float | None]) -> None:
    years = list(range(1992, 1992 + len(shares)))
    one, other = bar_sparkline(years, shares), tinted_sparkline(years, shares)
    assert [mark.x for mark in one.marks] == [mark.x for mark in other.marks]
    assert one.width == other.width <= MAX_STRIP_WIDTH
    for mark, year in zip(one.marks, years, strict=True):
        assert mark.tooltip.startswith(f"{year}: ")
        assert mark.y >= 0 and mark.y + mark.height == pytest.approx(BAR_HEIGHT, abs=0.02)


def test_bars_are_scaled_to_the_highest_of_the_row_and_small_shares_are_visible() -> None:
    strip = bar_sparkline([2017, 2018, 2019], [0.5, 0.25, 1e-9])
    assert [mark.height for mark in strip.marks] == [BAR_HEIGHT, BAR_HEIGHT / 2, 1.5]


@pytest.mark.parametrize(
    ("share", "expected"), [(None, None), (0.0, 0), (1e-9, 1), (0.001, 2), (0.05, 3), (0.1, 4), (0.5, 5), (1.0, 5)]
)
def test_levels_are_logarithmic_and_zero_has_a_separate_level(share: float | None, expected: int | None) -> None:
    assert tint_level(share) == expected


def test_every_level_has_a_name() -> None:
    assert len(LEVEL_NAMES) == len(LEVELS) + 1


def test_a_year_without_a_file_leaves_its_place_empty() -> None:
    years = [1997, 1999, 2000, 2010]
    for draw in (bar_sparkline, tinted_sparkline):
        strip = draw(years, [0.1, 0.2, 0.3, 0.4])
        first = strip.marks[0].x
        places = [(mark.x - first) / (strip.marks[2].x - strip.marks[1].x) for mark in strip.marks]
        assert places == pytest.approx([0, 2, 3, 13], abs=0.01)
        assert strip.width == strip_width(years)
        assert strip.marks[-1].x + strip.marks[-1].width <= strip.width
