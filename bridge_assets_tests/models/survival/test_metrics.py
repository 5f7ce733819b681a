from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bridge_assets.models.survival.metrics import brier_score, concordance, kaplan_meier

FOLLOWED = st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40)


def arrays(rows: list[tuple]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    years, poor, risk = zip(*rows, strict=True)
    return np.array(years, dtype=float), np.array(poor), np.array(risk, dtype=float)


def test_kaplan_meier_worked_out_by_hand():
    # Poor at 1: one of five. Censored at 2: one. Poor at 3: one of three. Poor at 5: one of one.
    curve = kaplan_meier(np.array([1.0, 2, 3, 4, 5]), np.array([True, False, True, False, True]))
    assert curve.survival == pytest.approx([4 / 5, 4 / 5 * 2 / 3, 0])
    assert [curve.poor_within(years) for years in (0.5, 1, 2.9, 3)] == pytest.approx([0, 0.2, 0.2, 1 - 8 / 15])
    # Greenwood: 1 / (5 * 4) + 1 / (3 * 2).
    assert curve.variance[1] == pytest.approx(1 / 20 + 1 / 6)
    low, high = curve.interval(3)
    assert 0 < low < curve.poor_within(3) < high < 1
    assert curve.max_follow_up == 5


def test_at_equal_times_poor_and_censored_structures_were_both_at_risk():
    curve = kaplan_meier(np.array([2.0, 2.0]), np.array([True, False]))
    assert curve.poor_within(2) == pytest.approx(0.5)


@given(FOLLOWED)
def test_a_kaplan_meier_curve_never_rises(rows):
    years, poor, _ = arrays(rows)
    curve = kaplan_meier(years, poor)
    assert (np.diff(np.concatenate([[1.0], curve.survival])) <= 0).all()
    assert curve.poor_within(100) <= 1


@given(FOLLOWED)
def test_concordance_equals_counting_all_pairs(rows):
    years, poor, risk = arrays(rows)
    won = total = 0.0
    for first in range(len(years)):
        for later in range(len(years)):
            comparable = years[later] > years[first] or (years[later] == years[first] and not poor[later])
            if poor[first] and comparable and years[first] <= 6:
                total += 1
                won += 1.0 if risk[first] > risk[later] else 0.5 if risk[first] == risk[later] else 0.0
    found = concordance(years, poor, risk, 6, weighted=False)
    assert found == (pytest.approx(won / total) if total else None)


def test_without_censoring_unos_concordance_is_harrells():
    random = np.random.default_rng(0)
    years, risk = random.exponential(size=300), random.normal(size=300)
    all_observed = np.ones(300, dtype=bool)
    uno = concordance(years, all_observed, risk, 100)
    assert uno == pytest.approx(concordance(years, all_observed, risk, 100, weighted=False))


def test_unos_concordance_does_not_depend_on_the_censoring_and_harrells_does():
    random = np.random.default_rng(1)
    risk = random.normal(size=6000)
    # Risk ranks the first years well and the later ones not at all, so early censoring keeps the well-ranked part.
    early = random.random(6000) < 1 / (1 + np.exp(-3 * risk + 1))
    years = np.where(early, random.uniform(0, 2, 6000), random.uniform(2, 10, 6000))
    all_observed = np.ones(6000, dtype=bool)
    censored = random.exponential(4, 6000)
    followed, poor = np.minimum(years, censored), years <= censored
    truth = concordance(years, all_observed, risk, 8)
    uno, harrell = (concordance(followed, poor, risk, 8, weighted=weighted) for weighted in (True, False))
    assert truth is not None
    assert uno == pytest.approx(truth, abs=0.02)
    assert abs((harrell or 0) - truth) > 0.03


def test_brier_score_without_censoring_is_the_mean_squared_error():
    years, poor = np.array([1.0, 3, 5, 7]), np.array([True, True, True, False])
    found = brier_score(years, poor, np.array([0.9, 0.4, 0.2, 0.1]), within=4)
    assert found == pytest.approx((0.01 + 0.36 + 0.04 + 0.01) / 4)


def test_brier_score_under_censoring_estimates_the_one_without():
    random = np.random.default_rng(2)
    rate = np.exp(random.normal(-2, 0.8, 20_000))
    years, censored = random.exponential(1 / rate), random.uniform(0, 12, 20_000)
    probability = 1 - np.exp(-rate * 4)
    truth = np.mean((probability - (years <= 4)) ** 2)
    found = brier_score(np.minimum(years, censored), years <= censored, probability, within=4)
    assert found == pytest.approx(truth, rel=0.03)


def test_concordance_at_a_single_time_is_the_area_under_the_roc_curve():
    random = np.random.default_rng(3)
    fell, risk = random.random(200) < 0.2, random.normal(size=200)
    years = np.where(fell, 1.0, 2.0)
    assert concordance(years, fell, risk, 1, weighted=False) == pytest.approx(roc_auc_score(fell, risk))


def test_without_comparable_pairs_metrics_are_none():
    years = np.array([1.0, 2.0])
    none_poor = np.zeros(2, dtype=bool)
    assert concordance(years, none_poor, years, 8) is None
    assert brier_score(years, none_poor, years, 8) is None
    assert kaplan_meier(years, none_poor).interval(2) == (0.0, 1.0)
