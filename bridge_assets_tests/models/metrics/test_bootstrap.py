"""Intervals by resampling structures: weighted metrics equal the plain ones, and structures count, not rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_assets.models.metrics.bootstrap import (
    WeightedFallMetrics,
    bootstrap_intervals,
    bootstrap_weights,
    percentile_interval,
)
from bridge_assets.models.metrics.probability import probability_metrics

forecasts = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), max_size=40)


def plain(falls: np.ndarray, probability: np.ndarray) -> list[float | None]:
    figures = probability_metrics(falls, probability)
    return [getattr(figures, name) for name in WeightedFallMetrics.METRICS]


@settings(deadline=None, max_examples=150)
@given(forecasts)
def test_a_weight_is_equivalent_to_repeating_the_row(rows):
    falls = np.array([fell for fell, _, _ in rows], dtype=bool)
    probability = np.array([value / 6 for _, value, _ in rows])
    weights = np.array([weight for _, _, weight in rows], dtype=np.int64)
    ranked = WeightedFallMetrics(falls, probability)
    for weight in (weights, np.ones(len(rows), dtype=np.int64)):
        found = ranked.compute(weight)
        expected = plain(np.repeat(falls, weight), np.repeat(probability, weight))
        for name, value, other in zip(WeightedFallMetrics.METRICS, found, expected, strict=True):
            assert np.isnan(value) if other is None else value == pytest.approx(other, abs=1e-9), name


def a_forecast(structures: int = 400, seed: int = 0):
    random = np.random.default_rng(seed)
    probability = random.beta(1, 7, structures)
    falls = random.random(structures) < probability
    return falls, probability, [f"01-{number}" for number in range(structures)]


def test_repeated_rows_of_a_structure_do_not_narrow_the_interval():
    falls, probability, structures = a_forecast()
    once, _ = bootstrap_intervals(falls, {"model": probability}, structures, (), resamples=50, seed=3)
    again, _ = bootstrap_intervals(
        np.repeat(falls, 4),
        {"model": np.repeat(probability, 4)},
        [each for each in structures for _ in range(4)],
        (),
        resamples=50,
        seed=3,
    )
    for figure in ("auc", "average_precision", "brier"):
        assert again["model"][figure].low == pytest.approx(once["model"][figure].low)
        assert again["model"][figure].high == pytest.approx(once["model"][figure].high)


def test_nineteen_of_twenty_intervals_contain_the_truth():
    # Brier score of correct probabilities: the mean of p (1 - p).
    covered = 0
    for seed in range(60):
        falls, probability, structures = a_forecast(300, seed)
        found, _ = bootstrap_intervals(falls, {"model": probability}, structures, (), resamples=100, seed=seed)
        truth = 1 * 7 / (8 * 9)  # E[p (1 - p)] of a beta(1, 7): ab / ((a + b)(a + b + 1))
        covered += found["model"]["brier"].low <= truth <= found["model"]["brier"].high
    assert covered >= 51


def test_a_gain_is_measured_on_the_same_resamples_and_positive_if_the_model_is_better():
    falls, probability, structures = a_forecast()
    noise = np.random.default_rng(5).random(len(falls))
    _, gains = bootstrap_intervals(
        falls,
        {"model": probability, "itself": probability, "noise": noise},
        structures,
        ("itself", "noise", "unknown"),
        resamples=100,
        seed=0,
    )
    assert set(gains) == {"itself", "noise"}
    assert {(each.low, each.high) for each in gains["itself"].values()} == {(0.0, 0.0)}
    assert gains["noise"]["auc"].low > 0
    assert gains["noise"]["brier"].low > 0, "a lower Brier score is a gain"


def test_the_same_seed_gives_the_same_intervals():
    falls, probability, structures = a_forecast()
    one, two = (
        bootstrap_intervals(falls, {"model": probability}, structures, (), resamples=20, seed=1) for _ in range(2)
    )
    assert one == two
    assert one != bootstrap_intervals(falls, {"model": probability}, structures, (), resamples=20, seed=2)


@pytest.mark.parametrize("resamples", [0, 20])
def test_nothing_to_resample_gives_no_interval(resamples):
    empty = np.empty(0)
    assert bootstrap_intervals(empty.astype(bool), {"model": empty}, [], (), resamples=resamples, seed=0) == (
        {"model": {}},
        {},
    )
    assert list(bootstrap_weights([], 5, 0)) == []
    assert percentile_interval(np.array([np.nan, np.nan, 1.0])) is None
