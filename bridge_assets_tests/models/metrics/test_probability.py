from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from bridge_assets.models.metrics.probability import (
    ProbabilityMetrics,
    expected_auc,
    gain_curve,
    probability_metrics,
    recall_at_share,
    wilson_interval,
)


def test_metrics_computed_by_hand():
    falls = np.array([True, False, True, False, False])
    found = probability_metrics(falls, np.array([0.9, 0.8, 0.4, 0.2, 0.2]))
    # Pairs of a fall and no fall: 6, of which 0.9 wins 3 and 0.4 wins 2.
    assert found.auc == pytest.approx(5 / 6)
    # Precision at the two falls: 1/1 and 2/3.
    assert found.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert found.brier == pytest.approx((0.01 + 0.64 + 0.36 + 0.04 + 0.04) / 5)
    assert found.accuracy == pytest.approx(3 / 5)
    # 5, 10 and 20 % of five inspections are one each.
    assert (found.worst_5, found.worst_10, found.worst_20) == (0.5, 0.5, 0.5)


def test_metrics_equal_those_of_scikit_learn():
    random = np.random.default_rng(0)
    falls = random.random(2000) < 0.1
    probability = np.round(np.clip(0.1 + 0.1 * falls + random.normal(0, 0.1, 2000), 0, 1), 2)  # with ties
    found = probability_metrics(falls, probability)
    assert found.auc == pytest.approx(roc_auc_score(falls, probability))
    assert found.average_precision == pytest.approx(average_precision_score(falls, probability))
    assert found.brier == pytest.approx(brier_score_loss(falls, probability))


def test_a_constant_ranks_like_chance():
    falls = np.arange(1000) % 10 == 0
    found = probability_metrics(falls, np.full(1000, 0.3))
    assert (found.auc, found.average_precision) == (0.5, pytest.approx(0.1))
    assert (found.worst_5, found.worst_10, found.worst_20) == pytest.approx((0.05, 0.1, 0.2))


def test_ties_at_the_cut_count_in_proportion():
    falls = np.array([True, True, False, False, False, False, False, False, False, False])
    probability = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    # The second of the two inspected ones is one of four with the same probability, one of which fell.
    assert recall_at_share(falls, probability, 0.2) == pytest.approx((1 + 0.25) / 2)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60))
def test_the_gain_curve_rises_from_zero_to_all_falls(rows):
    falls, probability = np.array([fell for fell, _ in rows]), np.array([value for _, value in rows])
    inspected, found = gain_curve(falls, probability)
    assert (inspected[0], found[0]) == (0, 0)
    assert (inspected[-1], found[-1]) == (len(rows), falls.sum())
    assert (np.diff(inspected) > 0).all()
    assert (np.diff(found) >= 0).all()


def test_nothing_to_measure_gives_none():
    assert probability_metrics(np.array([], dtype=bool), np.array([])) == ProbabilityMetrics()
    no_falls = probability_metrics(np.zeros(3, dtype=bool), np.array([0.1, 0.2, 0.3]))
    assert (no_falls.auc, no_falls.average_precision, no_falls.worst_10) == (None, None, None)
    assert (no_falls.brier, no_falls.accuracy) == (pytest.approx(0.14 / 3), 1.0)
    only_falls = probability_metrics(np.ones(3, dtype=bool), np.array([0.1, 0.2, 0.3]))
    assert only_falls.auc is None


def test_the_expected_auc_is_the_mean_over_outcomes():
    random = np.random.default_rng(0)
    truth = random.beta(1, 4, 300)
    forecast = truth + random.normal(0, 0.1, 300)
    drawn = [probability_metrics(random.random(300) < truth, forecast).auc or 0.0 for _ in range(400)]
    best, found, constant = (expected_auc(truth, each) or 0.0 for each in (truth, forecast, np.full(300, 0.1)))
    assert found == pytest.approx(np.mean(drawn), abs=0.004)
    assert best > found > constant == 0.5
    for none in (np.empty(0), np.zeros(3), np.ones(3)):
        assert expected_auc(none, none) is None


def test_the_interval_of_a_share_is_wilsons():
    assert wilson_interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson_interval(20, 20)[1] == 1
