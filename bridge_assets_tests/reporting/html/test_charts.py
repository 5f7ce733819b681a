"""Geometry of the charts."""

from __future__ import annotations

import pytest

from bridge_assets.reporting.html.charts import LEFT, PLOT_HEIGHT, PLOT_WIDTH, TOP, shares_by_year, stacked_shares


def test_stacked_bars_fill_the_height_from_the_bottom_up() -> None:
    chart = stacked_shares("Classes", [2024, 2025], {"Poor": [0.1, 0.2], "Good": [0.9, 0.8]})
    poor, good = chart.bars[:2]
    assert (poor.name, good.name) == ("Poor", "Good")
    assert poor.y + poor.height == pytest.approx(TOP + PLOT_HEIGHT, abs=0.2)
    assert good.y == pytest.approx(TOP, abs=0.2) and good.y + good.height == pytest.approx(poor.y, abs=0.2)
    assert poor.tooltip == "2024 Poor: 10.0 %"
    assert all(bar.x >= LEFT and bar.x + bar.width <= LEFT + PLOT_WIDTH + 0.1 for bar in chart.bars)


def test_a_year_without_a_value_leaves_a_gap_in_the_line() -> None:
    line = shares_by_year("Falls", [1, 2, 3, 4, 5], {"Observed": [0.1, 0.2, None, 0.1, 0.1]}).lines[0]
    assert len(line.segments) == 2 and len(line.points) == 4
    single = shares_by_year("Falls", [1, 2, 3], {"Observed": [None, 0.2, None]}).lines[0]
    assert single.segments == () and len(single.points) == 1


@pytest.mark.parametrize(
    ("largest", "labels"),
    [
        (0.12, ["0 %", "5 %", "10 %", "15 %"]),
        (0.043, ["0 %", "2 %", "4 %", "6 %"]),
        (0.008, ["0.0 %", "0.2 %", "0.4 %", "0.6 %", "0.8 %"]),
        (1.0, ["0 %", "25 %", "50 %", "75 %", "100 %"]),
        (0.0, ["0 %", "1 %"]),
    ],
)
def test_the_axis_ends_on_a_round_number_above_the_largest_value(largest: float, labels: list[str]) -> None:
    chart = shares_by_year("Falls", [2025], {"Observed": [largest]})
    assert [tick.text for tick in chart.grid] == labels
    assert chart.lines[0].points[0][1] >= TOP


@pytest.mark.parametrize("count", [1, 9, 10, 34])
def test_some_years_are_labelled_and_always_the_last_one(count: int) -> None:
    chart = stacked_shares("Classes", list(range(2026 - count, 2026)), {"Poor": [0.1] * count})
    assert 1 <= len(chart.year_labels) <= 9 and chart.year_labels[-1].text == "2025"


def test_years_are_to_scale_in_both_charts() -> None:
    years = [1997, 1999, 2000, 2010]
    bars = stacked_shares("any", years, {"Good": [0.5] * 4}).bars
    [line] = shares_by_year("any", years, {"Good": [0.5] * 4}).lines
    for places in ([bar.x for bar in bars], [x for x, _, _ in line.points]):
        year = places[2] - places[1]
        assert [round((place - places[0]) / year, 1) for place in places] == [0, 2, 3, 13]
    assert "1998" not in [label.text for label in shares_by_year("any", [1997, 1999], {}).year_labels[:1]]
    assert [label.text for label in shares_by_year("any", [1997, 1999], {}).year_labels] == ["1997", "1998", "1999"]
