"""Distances of counted columns, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bridge_assets.drift.counts import ValueCounts, compare, total_variation

SAMPLES = st.lists(
    st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0, 1e6]) | st.floats(-1e3, 1e3), min_size=1, max_size=60
)


def psi_of(reference: np.ndarray, other: np.ndarray) -> float:
    """The population stability index over the deciles of the reference, from sorted samples."""
    reference, other = np.sort(reference), np.sort(other)
    edges = np.unique(reference[(np.arange(1, 10) * reference.size) // 10])
    shares = [
        np.maximum(np.diff(np.searchsorted(side, edges, side="left"), prepend=0, append=side.size) / side.size, 1e-4)
        for side in (reference, other)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


@pytest.mark.filterwarnings("ignore:ks_2samp. Exact calculation unsuccessful")
@given(SAMPLES, SAMPLES)
@settings(max_examples=300, deadline=None)
def test_all_distances_are_those_of_scipy_with_any_ties(one, other):
    found = compare(ValueCounts.of(np.array(one)), ValueCounts.of(np.array(other)))
    assert found.ks == pytest.approx(stats.ks_2samp(one, other)[0], abs=1e-12)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(one, other), rel=1e-9, abs=1e-9)
    assert found.psi == pytest.approx(psi_of(np.array(one), np.array(other)), rel=1e-9, abs=1e-12)


def test_constant_columns_are_the_same_or_entirely_different():
    fours, fives = ValueCounts.of(np.full(30, 4.0)), ValueCounts.of(np.full(20, 5.0))
    assert compare(fours, fours) == (0.0, 0.0, 0.0)
    assert compare(fours, fives)[:2] == (1.0, 1.0)


def test_the_population_stability_index_is_that_of_the_deciles():
    reference = np.arange(1000.0)
    counts = ValueCounts.of(reference)
    assert compare(counts, counts).psi == 0.0
    moved = np.concatenate([reference[:900], np.zeros(100)])  # a tenth moved from the last decile to the first
    expected = (0.2 - 0.1) * math.log(0.2 / 0.1) + (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert compare(counts, ValueCounts.of(moved)).psi == pytest.approx(expected)


def test_codes_of_few_values_have_fewer_bins():
    codes = ValueCounts.of(np.repeat([3.0, 5.0, 7.0], [100, 800, 100]))
    moved = ValueCounts.of(np.repeat([3.0, 5.0, 7.0], [300, 600, 100]))
    assert compare(codes, codes).psi == 0.0
    assert compare(codes, moved).psi > 0.1


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
