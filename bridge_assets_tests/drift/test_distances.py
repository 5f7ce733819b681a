"""Distances between two samples, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bridge_assets.drift.distances import (
    ks_statistic,
    ks_test,
    limiting_p_value,
    population_stability_index,
    sorted_sample,
    wasserstein_distance,
)

SAMPLES = st.lists(
    st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0, 1e6]) | st.floats(-1e3, 1e3), min_size=1, max_size=60
)


@pytest.mark.filterwarnings("ignore:ks_2samp. Exact calculation unsuccessful")
@given(SAMPLES, SAMPLES)
@settings(max_examples=300, deadline=None)
def test_both_are_those_of_scipy_with_any_ties(one, other):
    first, second = sorted_sample(np.array(one)), sorted_sample(np.array(other))
    assert ks_statistic(first, second) == pytest.approx(stats.ks_2samp(one, other)[0], abs=1e-12)
    expected = stats.wasserstein_distance(one, other)
    assert wasserstein_distance(first, second) == pytest.approx(expected, rel=1e-9, abs=1e-9)


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


@pytest.mark.parametrize("measure", [ks_statistic, ks_test, wasserstein_distance, population_stability_index])
def test_an_empty_side_is_an_error(measure):
    for one, other in (([], [1.0]), ([1.0], [])):
        with pytest.raises(ValueError, match="a side has no values"):
            measure(np.array(one), np.array(other))


def test_constant_columns_are_the_same_or_entirely_different():
    fours, fives = np.full(30, 4.0), np.full(20, 5.0)
    assert (ks_statistic(fours, fours), ks_statistic(fours, fives)) == (0.0, 1.0)
    assert (wasserstein_distance(fours, fours), wasserstein_distance(fours, fives)) == (0.0, 1.0)
    assert population_stability_index(fours, fours) == 0.0


def test_the_limiting_p_value_is_close_and_says_that_nothing_is_harmless_at_national_size():
    for rows, error in ((10_000, 0.004), (620_000, 0.0006)):
        for z in (0.6, 1.0, 1.4, 2.0):
            statistic = z / math.sqrt(rows / 2)
            expected = stats.kstwo.sf(statistic, rows / 2)
            assert limiting_p_value(statistic, rows, rows) == pytest.approx(expected, abs=error)
    assert limiting_p_value(0.0025, 620_000, 620_000) < 0.05


def test_the_population_stability_index_is_that_of_the_deciles():
    reference = np.arange(1000.0)
    assert population_stability_index(reference, reference) == 0.0
    moved = np.sort(np.concatenate([reference[:900], np.zeros(100)]))  # a tenth moved from the last decile to the first
    expected = (0.2 - 0.1) * math.log(0.2 / 0.1) + (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert population_stability_index(reference, moved) == pytest.approx(expected)


def test_codes_of_few_values_have_fewer_bins():
    codes = sorted_sample(np.repeat([3.0, 5.0, 7.0], [100, 800, 100]))
    moved = sorted_sample(np.repeat([3.0, 5.0, 7.0], [300, 600, 100]))
    assert population_stability_index(codes, codes) == 0.0
    assert population_stability_index(codes, moved) > 0.1
