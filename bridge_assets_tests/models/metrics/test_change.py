"""Metrics of expected changes equal those of scipy and scikit-learn; a weight is equivalent to repeating a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from bridge_assets.models.metrics.bootstrap import bootstrap_intervals
from bridge_assets.models.metrics.change import ChangeMetrics, WeightedChangeMetrics, change_metrics

rows = st.lists(st.tuples(st.integers(-2, 3), st.integers(-4, 4), st.integers(0, 3)), max_size=40)


@settings(deadline=None, max_examples=150)
@given(rows)
def test_a_weight_is_equivalent_to_repeating_the_row(rows):
    change = np.array([changed for changed, _, _ in rows], dtype=float)
    expected = np.array([value / 4 for _, value, _ in rows])
    weights = np.array([weight for _, _, weight in rows], dtype=np.int64)
    ranked = WeightedChangeMetrics(change, expected)
    for weight in (weights, np.ones(len(rows), dtype=np.int64)):
        plain = change_metrics(np.repeat(change, weight), np.repeat(expected, weight))
        for name, value in zip(WeightedChangeMetrics.METRICS, ranked.compute(weight), strict=True):
            other = getattr(plain, name)
            assert np.isnan(value) if other is None else value == pytest.approx(other, abs=1e-9), name


def a_forecast(count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    expected = np.round(random.normal(-0.1, 0.3, count), 2)
    chance = np.clip(np.abs(expected), 0, 1)
    return np.where(random.random(count) < chance, np.sign(expected), 0), expected


def test_metrics_equal_those_of_scipy_and_scikit_learn():
    change, expected = a_forecast()
    found = change_metrics(change, expected)
    assert found.mae == pytest.approx(mean_absolute_error(change, expected))
    assert found.rmse == pytest.approx(root_mean_squared_error(change, expected))
    assert found.r2 == pytest.approx(1 - ((change - expected) ** 2).sum() / (change**2).sum())
    assert found.spearman == pytest.approx(spearmanr(change, expected)[0])
    worst = np.argsort(expected, kind="stable")[: len(expected) // 10]
    assert found.worst_10 == pytest.approx((change[worst] < 0).sum() / (change < 0).sum(), abs=0.01)


def test_no_change_explains_nothing_and_ranks_nothing():
    change, expected = a_forecast()
    found = change_metrics(change, np.zeros(len(change)))
    assert (found.r2, found.spearman) == (0, None)
    assert found.worst_20 == pytest.approx(0.2, abs=1e-3)
    assert found.rmse == pytest.approx(np.sqrt((change**2).mean()))
    assert (found.rmse or 0) > (change_metrics(change, expected).rmse or 0)


@pytest.mark.parametrize("count", [0, 1, 50_001])
def test_metrics_are_none_where_there_is_nothing_to_measure(count):
    found = change_metrics(np.zeros(count), np.full(count, 0.1))
    assert (found.r2, found.spearman, found.worst_10) == (None, None, None)
    assert (found == ChangeMetrics()) == (count == 0)
    assert count == 0 or (found.mae, found.rmse) == pytest.approx((0.1, 0.1))


def test_a_gain_is_positive_where_the_errors_of_the_model_are_smaller():
    change, expected = a_forecast()
    forecasts = {"persistence": np.zeros(len(change)), "model": expected}
    structures = [str(number // 2) for number in range(len(change))]
    figures, gains = bootstrap_intervals(
        change, forecasts, structures, ("persistence",), resamples=60, seed=1, metrics_type=WeightedChangeMetrics
    )
    assert gains["persistence"]["rmse"].low > 0
    assert gains["persistence"]["r2"].low > 0
    assert "spearman" not in figures["persistence"]
    assert figures["model"]["spearman"].low < (change_metrics(change, expected).spearman or 0)
