"""Do expected changes come true? The counterpart of `calibration` for a regression.

Judged on tenths of the held-out inspections, in the order of what was expected. Some error is there even if every
expectation is right, because changes are few and large: it is worked out by drawing the observed changes anew, moved so
that each tenth's mean is the expected one, and only what goes beyond it counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.models.metrics.bootstrap import Interval, interval_of, structure_weights
from bridge_assets.models.metrics.calibration import BINS, Bin, Judged, by_tenth

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class ChangeReliability(Judged):
    """How true expected changes came, in points of the rating: `error` is between their mean and that of the observed.

    In `bins`, too, `expected` and `observed` are mean changes, and the interval of `observed` is that of a mean
    (`mean_interval`).

    Attributes
    ----------
    bias : float
        Mean expected less mean observed change: below 0 = bridges fared better than expected.
    bias_interval : Interval or None
    slope : float or None
        Of the observed on the expected change: 1 = right, above 1 = expectations too close to each other, below 1 = too
        far apart. None where all expectations are the same.
    """

    bias: float
    bias_interval: Interval | None
    slope: float | None

    @property
    def said(self) -> str:
        """The figures in a sentence."""
        text = f"{self._error_said(' points', 'expectations')}; expected less observed change {self.bias:+.4f}"
        if self.bias_interval:
            text += f" ({self.bias_interval.low:+.4f} to {self.bias_interval.high:+.4f})"
        return text + (f"; slope {self.slope:.2f}" if self.slope is not None else "")


def change_reliability(
    change: np.ndarray, expected: np.ndarray, structures: Sequence[str], *, resamples: int, seed: int
) -> ChangeReliability | None:
    """Judge expected changes by what happened.

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
    tenth = by_tenth(expected)
    missed = expected - change
    of_tenth = np.bincount(tenth, missed, BINS) / np.maximum(np.bincount(tenth, minlength=BINS), 1)
    by_chance = missed - of_tenth[tenth]

    def error(weights: np.ndarray, distance: np.ndarray) -> float:
        return float(np.abs(np.bincount(tenth, weights * distance, BINS)).sum() / weights.sum())

    ones = np.ones(len(change))
    drawn = np.array(
        [
            (error(weights, missed), error(weights, by_chance), (weights * missed).sum() / weights.sum())
            for weights in structure_weights(structures, resamples, seed)
        ]
    ).reshape(-1, 3)
    perfect = drawn[:, 1]
    return ChangeReliability(
        tuple(_bin(change[tenth == number], expected[tenth == number]) for number in np.unique(tenth)),
        error(ones, missed),
        interval_of(drawn[:, 0]),
        float(perfect.mean()) if len(perfect) else 0.0,
        float(np.quantile(perfect, 0.95)) if len(perfect) else 0.0,
        float(missed.mean()),
        interval_of(drawn[:, 2]),
        _slope(change, expected),
    )


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of a mean, by its standard error and the normal distribution; of a single value, the value."""
    mean = float(values.mean())
    half = 1.959964 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean - half, mean + half


def _slope(change: np.ndarray, expected: np.ndarray) -> float | None:
    around = expected - expected.mean()
    spread = float((around**2).sum())
    return float((around * change).sum()) / spread if spread > 1e-12 else None


def _bin(change: np.ndarray, expected: np.ndarray) -> Bin:
    return Bin(
        len(change), int((change < 0).sum()), float(expected.mean()), float(change.mean()), *mean_interval(change)
    )
