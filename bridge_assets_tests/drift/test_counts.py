"""Distances of counted columns, against those of sorted samples and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bridge_assets.drift.counts import ValueCounts, compare, total_variation
from bridge_assets.drift.distances import (
    ks_statistic,
    population_stability_index,
    sorted_sample,
    wasserstein_distance,
)

SAMPLES = st.lists(
    st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0, 1e6]) | st.floats(-1e3, 1e3), min_size=1, max_size=60
)


@given(SAMPLES, SAMPLES)
@settings(max_examples=300, deadline=None)
def test_all_distances_are_those_of_the_sorted_samples(one, other):
    first, second = sorted_sample(np.array(one)), sorted_sample(np.array(other))
    found = compare(ValueCounts.of(np.array(one)), ValueCounts.of(np.array(other)))
    assert found.ks == pytest.approx(ks_statistic(first, second), abs=1e-12)
    assert found.wasserstein == pytest.approx(wasserstein_distance(first, second), rel=1e-9, abs=1e-9)
    assert found.psi == pytest.approx(population_stability_index(first, second), rel=1e-9, abs=1e-12)


@given(SAMPLES, SAMPLES)
@settings(max_examples=200, deadline=None)
def test_a_part_is_left_out_of_the_reference(one, other):
    """Each reference year is compared with the other reference years."""
    rest, part = ValueCounts.of(np.array(one)), ValueCounts.of(np.array(other))
    pool = ValueCounts.pooled([rest, part])
    assert compare(pool, part, is_part=True) == pytest.approx(compare(rest, part), rel=1e-9, abs=1e-12)
    left = pool.without(part)
    assert (left.values.tolist(), left.counts.tolist()) == (rest.values.tolist(), rest.counts.tolist())


def test_counts_know_their_rows_missing_values_mean_and_deviation():
    counts = ValueCounts.of(np.array([3, 1, math.nan, 3, 1, 1]))
    assert (counts.values.tolist(), counts.counts.tolist(), counts.missing) == ([1.0, 3.0], [3, 2], 1)
    assert (counts.size, counts.rows, counts.missing_share) == (5, 6, pytest.approx(1 / 6))
    assert (counts.mean, counts.deviation) == (pytest.approx(1.8), pytest.approx(np.std([3, 1, 3, 1, 1])))
    empty = ValueCounts.pooled([])
    assert (empty.rows, empty.size) == (0, 0)
    assert math.isnan(empty.mean) and math.isnan(empty.deviation) and math.isnan(empty.missing_share)


def test_pooled_counts_are_the_counts_of_all_values():
    parts = [np.array([1.0, 2, math.nan]), np.array([2.0, 5]), np.array([math.nan])]
    pooled, at_once = (
        ValueCounts.pooled([ValueCounts.of(part) for part in parts]),
        ValueCounts.of(np.concatenate(parts)),
    )
    assert (pooled.values.tolist(), pooled.counts.tolist()) == (at_once.values.tolist(), at_once.counts.tolist())
    assert pooled.missing == at_once.missing == 2


def test_the_total_variation_is_the_share_that_would_have_to_change():
    codes = ValueCounts.of(np.repeat([1.0, 2, 3], [50, 30, 20]))
    recoded = ValueCounts.of(np.repeat([1.0, 2, 4], [50, 30, 20]))
    assert total_variation(codes, codes) == 0
    assert total_variation(codes, recoded) == pytest.approx(0.2)
    assert total_variation(codes, ValueCounts.of(np.full(7, 9.0))) == 1


def test_a_side_without_values_is_an_error():
    some, none = ValueCounts.of(np.array([1.0])), ValueCounts.of(np.array([math.nan]))
    for one, other in ((some, none), (none, some)):
        with pytest.raises(ValueError, match="a side has no values"):
            compare(one, other)
        with pytest.raises(ValueError, match="a side has no values"):
            total_variation(one, other)
    with pytest.raises(ValueError, match="a side has no values"):
        compare(some, some, is_part=True)


def test_a_shift_of_an_eighth_of_the_deviation_is_the_least_effect():
    """The source of WASSERSTEIN_FACTOR."""
    from bridge_assets.drift.limits import WASSERSTEIN_FACTOR

    shift = WASSERSTEIN_FACTOR * 0.05
    assert 2 * stats.norm.cdf(shift / 2) - 1 == pytest.approx(0.05, abs=0.001)
