"""Confidence intervals by the cluster bootstrap, which resamples whole structures.

Inspections of one structure are correlated, so resampling single inspections would give intervals that are too narrow
(Field and Welsh, J. R. Stat. Soc. B 69, 2007). A resample is one weight per inspection: how often its structure was
drawn. So each forecast is sorted only once, whatever the number of resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from bridge_assets.models.metrics.probability import TOP_SHARES, ProbabilityMetrics

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval: percentiles of the resamples in which the metric could be measured."""

    low: float
    high: float


def bootstrap_weights(structures: Sequence[str], resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often the structure of each row was drawn, resample by resample.

    Parameters
    ----------
    structures : sequence of str, length n
        The structure key of each row.
    resamples : int
    seed : int

    Yields
    ------
    np.ndarray
        Shape (n,), int64. Each resample draws as many structures as there are, with replacement.
    """
    import numpy as np

    keys, row = np.unique(np.asarray(structures), return_inverse=True)
    if not len(keys):
        return
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(0, len(keys), len(keys)), minlength=len(keys))[row]


class WeightedMetrics(Protocol):
    """One forecast on one set of inspections, prepared for computing its metrics with any weights."""

    #: Metrics that have an interval, in the order of `compute`.
    METRICS: ClassVar[tuple[str, ...]]

    #: Metrics of which a lower value is better.
    LOWER_IS_BETTER: ClassVar[frozenset[str]]

    def __init__(self, outcomes: np.ndarray, predictions: np.ndarray, /) -> None: ...

    def compute(self, weights: np.ndarray) -> list[float]:
        """The values of `METRICS` with one weight per row; NaN where there is nothing to measure."""
        ...


class WeightedFallMetrics:
    """Probabilities of a fall, sorted once, for computing their metrics with any weights.

    Parameters
    ----------
    falls : np.ndarray of bool, shape (n,)
    probability : np.ndarray, shape (n,)
    """

    METRICS: ClassVar[tuple[str, ...]] = ("auc", "average_precision", "brier", "worst_5", "worst_10", "worst_20")
    LOWER_IS_BETTER: ClassVar[frozenset[str]] = ProbabilityMetrics.LOWER_IS_BETTER

    def __init__(self, falls: np.ndarray, probability: np.ndarray) -> None:
        import numpy as np

        probability = np.asarray(probability, dtype=float)
        self._order = np.argsort(-probability, kind="stable")
        ranked = probability[self._order]
        self._falls = np.asarray(falls, dtype=bool)[self._order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, int)
        self._squares = (ranked - self._falls) ** 2

    def compute(self, weights: np.ndarray) -> list[float]:
        """The values of `METRICS` with one weight per row; NaN where there is nothing to measure.

        With all weights 1, they equal those of `probability.probability_metrics`.
        """
        import numpy as np

        weight = weights[self._order].astype(float)
        inspected = np.cumsum(weight)[self._ends] if len(weight) else np.empty(0)
        found = np.cumsum(weight * self._falls)[self._ends] if len(weight) else np.empty(0)
        rows, falls = (inspected[-1], found[-1]) if len(inspected) else (0.0, 0.0)
        brier = float((weight * self._squares).sum() / rows) if rows else math.nan
        if not falls:
            return [math.nan, math.nan, brier, *(math.nan for _ in TOP_SHARES)]
        each_found = np.diff(found, prepend=0.0)
        not_fallen = inspected - found
        others = rows - falls
        above = np.concatenate([[0.0], not_fallen[:-1]])
        auc = 1 - float((each_found * (above + not_fallen)).sum() / 2 / falls / others) if others else math.nan
        precision = np.divide(found, inspected, out=np.zeros_like(found), where=inspected > 0)
        places = [math.ceil(round(share * rows, 6)) for share in TOP_SHARES]
        shares = np.interp(places, np.concatenate([[0.0], inspected]), np.concatenate([[0.0], found])) / falls
        return [auc, float((each_found * precision).sum() / falls), brier, *map(float, shares)]


def bootstrap_intervals(
    outcomes: np.ndarray,
    forecasts: Mapping[str, np.ndarray],
    structures: Sequence[str],
    baselines: Sequence[str],
    *,
    resamples: int,
    seed: int,
    metrics_type: type[WeightedMetrics] = WeightedFallMetrics,
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """95 % intervals of the metrics of every forecast, and of the model's gains over baselines on the same resamples.

    Parameters
    ----------
    outcomes : np.ndarray, shape (n,)
        Whether each inspection found a fall, or another outcome that `metrics_type` takes.
    forecasts : mapping of str to np.ndarray of shape (n,)
        Must contain `model`.
    structures : sequence of str, length n
        The structure key of each row.
    baselines : sequence of str
        Names of the forecasts to measure the model's gain over; names that are not in `forecasts` are skipped.
    resamples, seed : int
    metrics_type : type of WeightedMetrics
        Computes the metrics.

    Returns
    -------
    metric_intervals, gain_intervals : dict of str to dict of str to Interval
        forecast -> metric -> interval. A gain above 0 favors the model, also for metrics of which lower is better.
        A metric that fewer than half of the resamples could measure has no interval.
    """
    import numpy as np

    ranked = {name: metrics_type(outcomes, predicted) for name, predicted in forecasts.items()}
    samples = np.array(
        [
            [each.compute(weights) for each in ranked.values()]
            for weights in bootstrap_weights(structures, resamples, seed)
        ]
    ).reshape(-1, len(ranked), len(metrics_type.METRICS))
    names = list(ranked)
    metric_intervals = {name: _by_metric(samples[:, place], metrics_type.METRICS) for place, name in enumerate(names)}
    sign = np.array([-1.0 if metric in metrics_type.LOWER_IS_BETTER else 1.0 for metric in metrics_type.METRICS])
    model = samples[:, names.index("model")]
    gain_intervals = {
        name: _by_metric(sign * (model - samples[:, names.index(name)]), metrics_type.METRICS)
        for name in baselines
        if name in ranked
    }
    return metric_intervals, gain_intervals


def _by_metric(samples: np.ndarray, metrics: Sequence[str]) -> dict[str, Interval]:
    found = {metric: percentile_interval(samples[:, place]) for place, metric in enumerate(metrics)}
    return {metric: interval for metric, interval in found.items() if interval is not None}


def percentile_interval(samples: np.ndarray) -> Interval | None:
    """The middle 95 % of the resampled values; None if fewer than half of them are finite."""
    import numpy as np

    known = samples[np.isfinite(samples)]
    if not len(samples) or len(known) < len(samples) / 2:
        return None
    low, high = np.percentile(known, [50 * (1 - CONFIDENCE_LEVEL), 50 * (1 + CONFIDENCE_LEVEL)])
    return Interval(float(low), float(high))
