"""Calibrated probabilities are distinguished from miscalibrated ones, beyond chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bridge_assets.models.metrics.calibration import calibration_slope, reliability

STRUCTURES = 4000


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).beta(1.2, 9, STRUCTURES)


@pytest.fixture(scope="module")
def falls(truth) -> np.ndarray:
    return np.random.default_rng(1).random(STRUCTURES) < truth


def measure(falls, probability, resamples: int = 100) -> Any:
    structures = [f"01-{number}" for number in range(len(falls))]
    return reliability(falls, probability, structures, resamples=resamples, seed=0)


def test_true_probabilities_show_no_more_error_than_chance(truth, falls):
    found = measure(falls, truth)
    assert found.error <= found.error_if_perfect_95
    assert abs(found.excess) < 0.006
    assert found.slope == pytest.approx(1, abs=0.12)
    assert found.ratio_interval.low < 1 < found.ratio_interval.high
    assert "no more than perfect probabilities show" in found.summary


@pytest.mark.parametrize(
    ("change", "ratio", "slopes"),
    [
        (lambda p: p / 2, (0.45, 0.55), (0.85, 1.15)),
        (lambda p: np.minimum(1, 2 * p), (1.8, 2.2), (0.3, 1.1)),
        (lambda p: 0.8 * p.mean() + 0.2 * p, (0.9, 1.1), (2.0, 20.0)),
        (lambda p: p**2 / (p**2 + (1 - p) ** 2) + 0.08, (0.9, 1.4), (0.2, 1.5)),
    ],
    ids=["halved", "doubled", "too close to each other", "too far apart"],
)
def test_miscalibrated_probabilities_are_found(change, ratio, slopes, truth, falls):
    found = measure(falls, change(truth))
    assert found.error > found.error_if_perfect_95
    assert found.excess > 0.02
    assert ratio[0] < found.ratio < ratio[1]
    assert slopes[0] < found.slope < slopes[1]
    assert ": more than perfect probabilities show" in found.summary


def test_every_inspection_is_in_one_of_the_sorted_tenths(truth, falls):
    bins = measure(falls, truth).bins
    assert sum(each.inspections for each in bins) == STRUCTURES
    assert sum(each.falls for each in bins) == falls.sum()
    assert [each.expected for each in bins] == sorted(each.expected for each in bins)
    assert all(each.observed_low <= each.observed <= each.observed_high for each in bins)


def test_a_metric_that_cannot_be_measured_is_none():
    assert measure(np.empty(0, dtype=bool), np.empty(0)) is None
    no_falls = measure(np.zeros(30, dtype=bool), np.full(30, 0.1))
    assert (no_falls.ratio, no_falls.ratio_interval, no_falls.slope) == (None, None, None)
    few = measure(np.array([True, False, False]), np.array([0.5, 0.2, 0.1]), resamples=0)
    assert (few.error_interval, len(few.bins)) == (None, 3)
    assert calibration_slope(np.array([True, False]), np.array([0.2, 0.2])) is None
