"""Metrics of expected changes: errors in points, rank correlation, and falls found by inspecting the worst first.

A change is the next rating minus the present one, in points of the rating (0 to 9): negative = worse. Nine ratings in
ten do not change, so "No change" has the smallest mean absolute error almost by definition; an expected change is a
mean, and squared errors are the right measure. A metric is None where it cannot be measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bridge_assets.models.metrics.bootstrap import WeightedFallMetrics
from bridge_assets.models.metrics.probability import TOP_SHARES, MetricColumn, recall_at_share

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class ChangeMetrics:
    """Metrics of one forecast on one set of inspections.

    Attributes
    ----------
    mae, rmse : float or None
        Mean absolute error and root mean squared error, in points; smaller is better.
    r2 : float or None
        Share of the squared error of "No change" that the forecast removes: 0 = none, below 0 = it adds error. None
        where nothing changed.
    spearman : float or None
        Rank correlation of expected and observed change; ties share their mean rank. None where one of them is
        constant.
    worst_5, worst_10, worst_20 : float or None
        Share of all falls (changes below 0) that is among the 5, 10 or 20 % of inspections with the lowest expected
        change; ties as in `probability.ProbabilityMetrics`.
    """

    LOWER_IS_BETTER: ClassVar[frozenset[str]] = frozenset({"mae", "rmse"})
    COMPARED_METRICS: ClassVar[tuple[str, ...]] = ("mae", "rmse", "spearman", "worst_10")
    TABLE_COLUMNS: ClassVar[tuple[MetricColumn, ...]] = (
        MetricColumn("mae", "MAE", ".3f"),
        MetricColumn("rmse", "RMSE", ".4f"),
        MetricColumn("r2", "R² over no change", ".3f"),
        MetricColumn("spearman", "rank correlation", ".3f"),
        MetricColumn("worst_5", "falls in worst 5 %", ".1%"),
        MetricColumn("worst_10", "10 %", ".1%"),
        MetricColumn("worst_20", "20 %", ".1%"),
    )
    INTERVAL_COLUMNS: ClassVar[tuple[MetricColumn, ...]] = (
        MetricColumn("mae", "MAE in points (gain = lower)", ".3f"),
        MetricColumn("rmse", "RMSE in points (gain = lower)", ".4f"),
        MetricColumn("r2", "R² over no change", ".3f"),
        MetricColumn("spearman", "rank correlation", ".3f"),
        MetricColumn("worst_5", "falls in worst 5 %", ".1%"),
        MetricColumn("worst_10", "falls in worst 10 %", ".1%"),
        MetricColumn("worst_20", "falls in worst 20 %", ".1%"),
    )
    CUT_COLUMNS: ClassVar[tuple[MetricColumn, ...]] = (
        MetricColumn("rmse", "RMSE of no change", ".4f", forecast="persistence"),
        MetricColumn("rmse", "RMSE", ".4f"),
        MetricColumn("spearman", "rank correlation of rating table", ".3f", forecast="rating_table"),
        MetricColumn("spearman", "rank correlation", ".3f"),
        MetricColumn("worst_10", "worst 10 %", ".1%"),
    )

    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    spearman: float | None = None
    worst_5: float | None = None
    worst_10: float | None = None
    worst_20: float | None = None


def change_metrics(change: np.ndarray, expected: np.ndarray) -> ChangeMetrics:
    """Compute the metrics of one forecast.

    Parameters
    ----------
    change : np.ndarray, shape (n,)
        Observed change, in points.
    expected : np.ndarray, shape (n,)
        Expected change, in points.
    """
    import numpy as np

    if not len(change):
        return ChangeMetrics()
    figures = WeightedChangeMetrics(change, expected).compute(np.ones(len(change)))
    known = (None if math.isnan(value) else value for value in figures[:4])
    return ChangeMetrics(
        *known, *(recall_at_share(change < 0, -np.asarray(expected, float), share) for share in TOP_SHARES)
    )


class WeightedChangeMetrics:
    """Expected changes, sorted once, for computing their metrics with any weights; see `bootstrap.WeightedMetrics`.

    Parameters
    ----------
    change : np.ndarray, shape (n,)
        Observed change, in points.
    expected : np.ndarray, shape (n,)
        Expected change, in points.
    """

    METRICS: ClassVar[tuple[str, ...]] = ("mae", "rmse", "r2", "spearman", "worst_5", "worst_10", "worst_20")
    LOWER_IS_BETTER: ClassVar[frozenset[str]] = ChangeMetrics.LOWER_IS_BETTER

    def __init__(self, change: np.ndarray, expected: np.ndarray) -> None:
        import numpy as np

        change, expected = np.asarray(change, dtype=float), np.asarray(expected, dtype=float)
        self._errors, self._squares, self._of_no_change = np.abs(expected - change), (expected - change) ** 2, change**2
        self._ties = tuple(np.unique(values, return_inverse=True)[1] for values in (expected, change))
        self._falls = WeightedFallMetrics(change < 0, -expected)

    def compute(self, weights: np.ndarray) -> list[float]:
        """The values of `METRICS` with one weight per row; NaN where there is nothing to measure."""
        weight = weights.astype(float)
        rows = weight.sum()
        if not rows:
            return [math.nan] * len(self.METRICS)
        squares, of_no_change = float((weight * self._squares).sum()), float((weight * self._of_no_change).sum())
        return [
            float((weight * self._errors).sum() / rows),
            math.sqrt(squares / rows),
            1 - squares / of_no_change if of_no_change else math.nan,
            _correlation(_ranks(self._ties[0], weight), _ranks(self._ties[1], weight), weight),
            *self._falls.compute(weights)[-len(TOP_SHARES) :],
        ]


def _ranks(ties: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The mean rank of the ties of each row; each row counts `weight` times."""
    import numpy as np

    count = np.bincount(ties, weights=weight)
    return (count.cumsum() - (count - 1) / 2)[ties]


def _correlation(one: np.ndarray, other: np.ndarray, weight: np.ndarray) -> float:
    rows = weight.sum()
    one, other = (values - (weight * values).sum() / rows for values in (one, other))
    spreads = [float((weight * values**2).sum()) for values in (one, other)]
    # Two different ranks have a spread of at least one half; anything less is rounding.
    return float((weight * one * other).sum()) / math.sqrt(math.prod(spreads)) if min(spreads) > 0.1 else math.nan
