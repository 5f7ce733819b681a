"""Calibration of a regression: do expected changes agree with observed ones? The counterpart of `calibration`.

It is measured on tenths of the held-out inspections, sorted by expected change. Even perfect predictions show some
error, because changes are rare and large. That error is estimated by resampling the observed changes, shifted so that
each tenth's mean is the expected one, and only the excess over it counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.models.metrics.bootstrap import Interval, bootstrap_weights, percentile_interval
from bridge_assets.models.metrics.calibration import N_BINS, CalibrationBin, CalibrationResult, assign_deciles

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class ChangeReliability(CalibrationResult):
    """Calibration of expected changes, in points of the rating: `error` is between mean expected and observed change.

    In `bins`, `expected` and `observed` are mean changes, and the interval of `observed` is that of a mean
    (`mean_interval`).

    Attributes
    ----------
    bias : float
        Mean expected minus mean observed change: below 0 = bridges did better than expected.
    bias_interval : Interval or None
    slope : float or None
        Slope of observed on expected change: 1 = right, above 1 = expectations too close together, below 1 = too far
        apart. None where all expectations are the same.
    """

    bias: float
    bias_interval: Interval | None
    slope: float | None

    @property
    def summary(self) -> str:
        """The results in a sentence."""
        text = f"{self._error_summary(' points', 'expectations')}; expected minus observed change {self.bias:+.4f}"
        if self.bias_interval:
            text += f" ({self.bias_interval.low:+.4f} to {self.bias_interval.high:+.4f})"
        return text + (f"; slope {self.slope:.2f}" if self.slope is not None else "")


def change_reliability(
    change: np.ndarray, expected: np.ndarray, structures: Sequence[str], *, resamples: int, seed: int
) -> ChangeReliability | None:
    """Compare expected changes with observed ones.

    Parameters
    ----------
    change, expected : np.ndarray, shape (n,)
        In points; negative = worse.
    structures : sequence of str, length n
        Structure keys, for the bootstrap.
    resamples, seed : int

    Returns
    -------
    ChangeReliability or None
        None without inspections.
    """
    import numpy as np

    if not len(change):
        return None
    change, expected = np.asarray(change, dtype=float), np.asarray(expected, dtype=float)
    decile = assign_deciles(expected)
    errors = expected - change
    mean_error_by_decile = np.bincount(decile, errors, N_BINS) / np.maximum(np.bincount(decile, minlength=N_BINS), 1)
    centred_errors = errors - mean_error_by_decile[decile]

    def error(weights: np.ndarray, distance: np.ndarray) -> float:
        return float(np.abs(np.bincount(decile, weights * distance, N_BINS)).sum() / weights.sum())

    ones = np.ones(len(change))
    samples = np.array(
        [
            (error(weights, errors), error(weights, centred_errors), (weights * errors).sum() / weights.sum())
            for weights in bootstrap_weights(structures, resamples, seed)
        ]
    ).reshape(-1, 3)
    perfect = samples[:, 1]
    return ChangeReliability(
        tuple(_calibration_bin(change[decile == number], expected[decile == number]) for number in np.unique(decile)),
        error(ones, errors),
        percentile_interval(samples[:, 0]),
        float(perfect.mean()) if len(perfect) else 0.0,
        float(np.quantile(perfect, 0.95)) if len(perfect) else 0.0,
        float(errors.mean()),
        percentile_interval(samples[:, 2]),
        _calibration_slope(change, expected),
    )


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of a mean, by its standard error and the normal distribution; of a single value, the value."""
    mean = float(values.mean())
    half = 1.959964 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean - half, mean + half


def _calibration_slope(change: np.ndarray, expected: np.ndarray) -> float | None:
    around = expected - expected.mean()
    spread = float((around**2).sum())
    return float((around * change).sum()) / spread if spread > 1e-12 else None


def _calibration_bin(change: np.ndarray, expected: np.ndarray) -> CalibrationBin:
    return CalibrationBin(
        len(change), int((change < 0).sum()), float(expected.mean()), float(change.mean()), *mean_interval(change)
    )
