"""Calibrated expected changes are distinguished from miscalibrated ones."""

from __future__ import annotations

import numpy as np
import pytest

from bridge_assets.models.metrics.bootstrap import Interval
from bridge_assets.models.metrics.change_calibration import ChangeReliability, change_reliability, mean_interval


def inspections(count: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Observed changes, true expected changes, and structures with two inspections each."""
    random = np.random.default_rng(seed)
    falls, rises = random.beta(1, 8, count), random.beta(1, 20, count)
    draw = random.random(count)
    change = np.where(draw < falls, -1.0, np.where(draw > 1 - rises, 2.0, 0.0))
    return change, 2 * rises - falls, [str(number // 2) for number in range(count)]


def measure(change: np.ndarray, expected: np.ndarray, structures: list[str], resamples: int) -> ChangeReliability:
    found = change_reliability(change, expected, structures, resamples=resamples, seed=3)
    assert found is not None
    return found


def test_true_expectations_show_no_more_error_than_chance():
    found = measure(*inspections(), resamples=200)
    assert abs(found.excess) < 0.02
    assert found.error <= found.error_if_perfect_95
    assert isinstance(found.bias_interval, Interval)
    assert found.bias_interval.low < 0 < found.bias_interval.high
    assert found.slope == pytest.approx(1, abs=0.2)
    assert "no more than perfect expectations" in found.summary
    assert sum(each.inspections for each in found.bins) == 4000
    assert [each.expected for each in found.bins] == sorted(each.expected for each in found.bins)


def test_wrong_expectations_are_found():
    change, expected, structures = inspections()
    shifted = measure(change, expected - 0.2, structures, resamples=100)
    assert shifted.bias == pytest.approx(-0.2, abs=0.05)
    assert isinstance(shifted.bias_interval, Interval)
    assert shifted.bias_interval.high < 0
    assert shifted.excess > 0.1
    assert "more than perfect expectations" in shifted.summary
    assert "-0." in shifted.summary
    spread = measure(change, 3 * expected, structures, resamples=0)
    assert spread.slope == pytest.approx(1 / 3, abs=0.1)
    assert (spread.error_if_perfect, spread.bias_interval) == (0.0, None)


def test_one_or_no_inspection_does_not_raise():
    assert change_reliability(np.empty(0), np.empty(0), [], resamples=5, seed=0) is None
    one = measure(np.array([-1.0]), np.array([-0.1]), ["a"], resamples=5)
    assert (len(one.bins), one.slope) == (1, None)
    assert mean_interval(np.array([-1.0])) == (-1.0, -1.0)


def test_nineteen_of_twenty_intervals_contain_the_mean():
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        low, high = mean_interval(random.choice([-1.0, 0.0, 2.0], 200, p=[0.1, 0.86, 0.04]))
        covered += low <= -0.02 <= high
    assert 0.91 < covered / 400 < 0.98
