"""Calibration: do predicted probabilities agree with the share of bridges that fell?

It is measured on tenths of the held-out inspections, sorted by probability. Even perfect probabilities show some error,
because falls are rare. That error is estimated by drawing outcomes from the probabilities (consistency resampling:
Broecker and Smith, Weather and Forecasting 22, 2007), and only the excess over it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.models.calibration.fit import log_odds
from bridge_assets.models.metrics.bootstrap import Interval, bootstrap_weights, percentile_interval
from bridge_assets.models.metrics.probability import wilson_interval

if TYPE_CHECKING:
    import numpy as np

N_BINS = 10

#: Number of draws to estimate the error of perfect probabilities.
_CONSISTENCY_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """A tenth of the inspections, sorted by predicted probability.

    Attributes
    ----------
    inspections, falls : int
    expected : float
        Mean probability.
    observed, observed_low, observed_high : float
        Share that fell, and its 95 % interval.
    """

    inspections: int
    falls: int
    expected: float
    observed: float
    observed_low: float
    observed_high: float


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """Calibration of predictions, by tenths of the inspections.

    Attributes
    ----------
    bins : tuple of CalibrationBin
    error : float
        Expected calibration error: distance between mean prediction and mean outcome, averaged over the tenths.
    error_interval : Interval or None
        Of `error`, by the cluster bootstrap. It is always above 0.
    error_if_perfect, error_if_perfect_95 : float
        Mean and 95 % quantile of the error that perfect predictions would have.
    """

    bins: tuple[CalibrationBin, ...]
    error: float
    error_interval: Interval | None
    error_if_perfect: float
    error_if_perfect_95: float

    @property
    def excess(self) -> float:
        """Calibration error beyond that of perfect predictions; 0 or less = none can be detected."""
        return self.error - self.error_if_perfect

    def _error_summary(self, unit: str, forecasts: str) -> str:
        verdict = "no more than" if self.error <= self.error_if_perfect_95 else "more than"
        return (
            f"expected calibration error {self.error:.4f}{unit}: {verdict} perfect {forecasts} show on as many "
            f"inspections ({self.error_if_perfect:.4f} on average, up to {self.error_if_perfect_95:.4f})"
        )


@dataclass(frozen=True, slots=True)
class Reliability(CalibrationResult):
    """Calibration of probabilities: `error` is between mean probability and share that fell.

    Attributes
    ----------
    ratio : float or None
        Mean probability divided by share that fell: above 1 = too many falls predicted. None without a fall.
    ratio_interval : Interval or None
    slope : float or None
        Slope of the outcome on the log odds of the probability (Cox, Biometrika 45, 1958): 1 = right, above 1 =
        probabilities too close together, below 1 = too far apart. None where it cannot be fitted.
    """

    ratio: float | None
    ratio_interval: Interval | None
    slope: float | None

    @property
    def summary(self) -> str:
        """The results in a sentence."""
        text = self._error_summary("", "probabilities")
        if self.ratio is not None:
            text += f"; falls expected over falls observed {self.ratio:.3f}"
            if self.ratio_interval:
                text += f" ({self.ratio_interval.low:.3f} to {self.ratio_interval.high:.3f})"
        return text + (f"; slope {self.slope:.2f}" if self.slope is not None else "")


def reliability(
    falls: np.ndarray, probability: np.ndarray, structures: Sequence[str], *, resamples: int, seed: int
) -> Reliability | None:
    """Compare probabilities with outcomes.

    Parameters
    ----------
    falls : np.ndarray of bool, shape (n,)
    probability : np.ndarray, shape (n,)
    structures : sequence of str, length n
        Structure keys, for the bootstrap.
    resamples, seed : int

    Returns
    -------
    Reliability or None
        None without inspections.
    """
    import numpy as np

    if not len(falls):
        return None
    probability = np.asarray(probability, dtype=float)
    falls = np.asarray(falls, dtype=bool)
    decile = assign_deciles(probability)

    def error(weights: np.ndarray, outcomes: np.ndarray) -> float:
        # |mean probability - share that fell| times the tenth's share of the rows.
        return float(np.abs(np.bincount(decile, weights * (probability - outcomes), N_BINS)).sum() / weights.sum())

    ones = np.ones(len(falls))
    random = np.random.default_rng(seed)
    perfect = [
        error(ones, random.random(len(falls)) < probability) for _ in range(_CONSISTENCY_RESAMPLES if resamples else 0)
    ]
    samples = np.array(
        [
            (error(weights, falls), _ratio(weights, probability, falls))
            for weights in bootstrap_weights(structures, resamples, seed)
        ]
    ).reshape(-1, 2)
    ratio = _ratio(ones, probability, falls)
    return Reliability(
        tuple(_calibration_bin(falls[decile == number], probability[decile == number]) for number in np.unique(decile)),
        error(ones, falls),
        percentile_interval(samples[:, 0]),
        float(np.mean(perfect)) if perfect else 0.0,
        float(np.quantile(perfect, 0.95)) if perfect else 0.0,
        ratio if np.isfinite(ratio) else None,
        percentile_interval(samples[:, 1]),
        calibration_slope(falls, probability),
    )


def assign_deciles(predictions: np.ndarray) -> np.ndarray:
    """The tenth of each row, 0 to 9, sorted by prediction; ties in row order."""
    import numpy as np

    decile = np.empty(len(predictions), dtype=np.intp)
    for number, part in enumerate(np.array_split(np.argsort(predictions, kind="stable"), N_BINS)):
        decile[part] = number
    return decile


def calibration_slope(falls: np.ndarray, probability: np.ndarray) -> float | None:
    """Slope of a logistic regression of the outcome on the probability's log odds; None where it cannot be fitted."""
    import numpy as np

    odds = log_odds(probability, margin=1e-6)
    if falls.all() or not falls.any() or np.ptp(odds) < 1e-9:
        return None
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e9, max_iter=200).fit(odds[:, None], falls)
    return float(fitted.coef_[0, 0])


def _ratio(weights: np.ndarray, probability: np.ndarray, falls: np.ndarray) -> float:
    fell = float((weights * falls).sum())
    return float((weights * probability).sum()) / fell if fell else float("nan")


def _calibration_bin(falls: np.ndarray, probability: np.ndarray) -> CalibrationBin:
    count, hits = len(falls), int(falls.sum())
    return CalibrationBin(count, hits, float(probability.mean()), hits / count, *wilson_interval(hits, count))
