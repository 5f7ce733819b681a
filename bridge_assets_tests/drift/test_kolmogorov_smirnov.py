"""The Kolmogorov-Smirnov statistic of large samples, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bridge_assets.drift.kolmogorov_smirnov import ks_of_columns, ks_of_values, ks_statistic, ks_test, sorted_sample

SAMPLES = st.lists(
    st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0, 1e6]) | st.floats(-1e3, 1e3), min_size=1, max_size=60
)


@pytest.mark.filterwarnings("ignore:ks_2samp. Exact calculation unsuccessful")
@given(SAMPLES, SAMPLES)
@settings(max_examples=300, deadline=None)
def test_it_is_that_of_scipy_with_any_ties(one, other):
    first, second = sorted_sample(np.array(one)), sorted_sample(np.array(other))
    assert ks_statistic(first, second) == pytest.approx(stats.ks_2samp(one, other)[0], abs=1e-12)
    assert ks_of_values(np.array(one), np.array(other)) == pytest.approx(ks_statistic(first, second), abs=1e-15)


@pytest.mark.parametrize("decimals", [0, 2, 12])
@pytest.mark.parametrize("rows", [300, 20_000])
def test_the_test_is_that_of_scipy_for_few_and_for_many_rows(rows, decimals):
    random = np.random.default_rng(rows + decimals)
    one, other = random.normal(size=rows).round(decimals), random.normal(0.01, 1, size=rows // 2).round(decimals)
    found = ks_test(sorted_sample(one), sorted_sample(other))
    assert found == pytest.approx(tuple(stats.ks_2samp(one, other)), abs=1e-12)


def test_a_sorted_sample_has_no_missing_values():
    assert sorted_sample(np.array([3, math.nan, -1, math.inf], dtype=np.float32)).tolist() == [-1, 3, math.inf]
    assert sorted_sample(np.array([True, False])).tolist() == [0, 1]


@pytest.mark.parametrize("distinct", [1, 500, 513, 8000, 8193, 65_000, 66_000])
def test_counting_gives_what_sorting_gives_up_to_its_largest_table_and_beyond(distinct):
    random = np.random.default_rng(distinct)
    values = random.normal(size=distinct)
    one, other = values[random.integers(distinct, size=90_000)], values[random.integers(distinct, size=70_000)] + 0.0
    one[:distinct] = values  # each occurs
    assert ks_of_values(one, other) == ks_statistic(sorted_sample(one), sorted_sample(other))


def test_counting_knows_zeros_infinities_and_nan():
    one, other = np.array([0.0, -0.0, np.inf, np.nan]), np.array([-0.0, 0.0, np.inf, -np.inf, -np.nan])
    assert ks_of_values(one, other) == pytest.approx(0.25)
    assert ks_of_values(one.astype(np.float32)[::2], np.array([False, True])) == pytest.approx(0.5)
    assert ks_of_columns([(one, other), (one, one)], threads=2) == [pytest.approx(0.25), 0.0]
    assert ks_of_columns([(one, other)]) == [pytest.approx(0.25)]


@pytest.mark.parametrize("measure", [ks_statistic, ks_of_values, ks_test])
def test_an_empty_side_is_an_error(measure):
    for one, other in (([], [1.0]), ([1.0], [])):
        with pytest.raises(ValueError, match="a side has no values"):
            measure(np.array(one), np.array(other))


def test_constant_columns_are_the_same_or_entirely_different():
    fours, fives = np.full(30, 4.0), np.full(20, 5.0)
    assert (ks_statistic(fours, fours), ks_statistic(fours, fives)) == (0.0, 1.0)
