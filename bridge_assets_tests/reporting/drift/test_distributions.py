"""Both distributions of a column, their bins, sentences and charts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bridge_assets.drift.counts import ValueCounts
from bridge_assets.reporting.drift.charts import LEFT, PLOT_HEIGHT, PLOT_WIDTH, TOP, draw_distribution
from bridge_assets.reporting.drift.distributions import BINS, Distribution, distribution_of
from bridge_assets.reporting.drift.wording import describe_distribution


def of(name: str, reference: object, year: object) -> Distribution:
    return distribution_of(name, ValueCounts.of(np.array(reference)), ValueCounts.of(np.array(year)))


AGES = np.random.default_rng(3).gamma(5, 9, 4000).round()


def test_many_values_are_gathered_in_bins_that_hold_all_of_them() -> None:
    found = of("log_length", np.random.default_rng(1).normal(size=5000), np.random.default_rng(2).normal(1, 1, 3000))
    assert len(found.bins) == BINS and not found.has_single_values
    assert sum(each.reference for each in found.bins) == pytest.approx(1)
    assert sum(each.year for each in found.bins) == pytest.approx(1)
    assert [each.high for each in found.bins[:-1]] == [each.low for each in found.bins[1:]]
    assert found.year_median == pytest.approx(1, abs=0.1) and found.reference_median == pytest.approx(0, abs=0.1)
    # Half way between two normal distributions of the same width.
    assert found.gap_at == pytest.approx(0.5, abs=0.3) and found.reference_below > found.year_below


def test_whole_numbers_have_bins_of_equally_many_of_them() -> None:
    found = of("age", AGES, AGES + 5)
    widths = {each.high - each.low for each in found.bins}
    assert found.is_whole and len(widths) == 1 and widths.pop() % 1 == 0
    assert all(each.low % 1 == 0.5 for each in found.bins)


def test_few_values_are_shown_one_by_one() -> None:
    found = of("condition", [7, 7, 6, 5], [7, 6, 6, 4])
    assert [(each.low, each.reference, each.year) for each in found.bins] == [
        (4, 0, 0.25),
        (5, 0.25, 0),
        (6, 0.25, 0.5),
        (7, 0.5, 0.25),
    ]
    assert found.has_single_values and not found.is_yes_or_no
    assert of("membrane", [0, 1], [1, 1]).is_yes_or_no


def test_extreme_values_do_not_press_the_others_together() -> None:
    found = of("age", np.append(AGES, [9999]), AGES)
    assert found.bins[-1].high < 150
    assert sum(each.reference for each in found.bins) == pytest.approx(1)


def test_nearly_constant_columns_have_bins_too() -> None:
    mostly = np.append(np.zeros(5000), np.arange(1, 21) / 10)
    found = of("log_length", mostly, mostly)
    assert found.bins[0].low == 0 and found.bins[-1].high == 2
    assert sum(each.year for each in found.bins) == pytest.approx(1)


def test_a_side_without_values_has_no_bins_but_shares_of_missing_values() -> None:
    found = of("scour", [1.0, math.nan], [math.nan])
    assert (found.bins, found.reference_missing, found.year_missing) == ((), 0.5, 1.0)
    assert describe_distribution(found) == [
        "No value for 100.0\N{NO-BREAK SPACE}% of the bridges; 50.0\N{NO-BREAK SPACE}% before."
    ]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            of("age", [40, 50, 60, 70], [60, 70, 70, 80]),
            [
                "Half of the bridges have at most 70 years; 50 years in the reference years.",
                "The difference is largest at 50 years: none of the bridges have at most that, 50.0 % in the reference "
                "years.",
            ],
        ),
        (of("membrane", [0, 0, 0, 1], [1, 1, 0, 1]), ["Yes for 75.0 % of the bridges; 25.0 % in the reference years."]),
        (of("membrane", [0, 0], [0, 0]), ["Yes for 0 of the bridges; 0 in the reference years."]),
        (
            of("fall_probability", [0.1, 0.2, 0.3], [0.1, 0.2, 0.9]),
            [
                "Half of the bridges have at most 20.0 %, as in the reference years.",
                "The difference is largest at 30.0 %: 66.7 % of the bridges have at most that, 100.0 % in the "
                "reference years.",
            ],
        ),
    ],
)
def test_the_sentences_say_what_an_engineer_would_count(found: Distribution, expected: list[str]) -> None:
    assert [each.replace("\N{NO-BREAK SPACE}", " ") for each in describe_distribution(found)] == expected


@pytest.mark.parametrize(
    "found", [of("age", AGES, AGES + 12), of("condition", [7, 7, 6], [5, 6, 7]), of("membrane", [0, 1], [1, 1])]
)
def test_charts_stay_within_their_frame_and_bars_stand_on_the_ground(found: Distribution) -> None:
    chart = draw_distribution(found, "Title")
    ground = TOP + PLOT_HEIGHT
    for bar in (*chart.reference, *chart.year):
        assert bar.x >= LEFT - 0.1 and bar.x + bar.width <= LEFT + PLOT_WIDTH + 0.1
        assert bar.y >= TOP - 0.1 and bar.y + bar.height == pytest.approx(ground, abs=0.2)
    assert bool(chart.line) is (not found.has_single_values)
    assert len({(label.x, label.text) for label in chart.labels}) == len(chart.labels)
    assert chart.grid[0].text == "0 %"


def test_the_axis_of_a_logarithm_has_the_values_themselves() -> None:
    chart = draw_distribution(of("log_adt", np.linspace(1, 5, 900), np.linspace(1, 4, 900)), "Traffic")
    assert chart.labels[0].text.startswith("9") and "," in chart.labels[-1].text
    assert chart.gap_x is not None
