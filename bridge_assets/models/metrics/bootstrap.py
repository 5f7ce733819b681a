"""How sure a figure is: the cluster bootstrap, which draws whole structures.

Inspections of one structure resemble each other, so that drawing single ones would promise too much (Field and Welsh,
J. R. Stat. Soc. B 69, 2007). A resample is a weight an inspection, how often its structure was drawn; a forecast is
sorted once, whatever the number of resamples.
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
    """A 95 % interval: percentiles of the resamples in which the figure could be measured."""

    low: float
    high: float


def bootstrap_weights(structures: Sequence[str], resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row's structure was drawn, resample by resample.

    Parameters
    ----------
    structures : sequence of str, length n
        The structure key of each row.
    resamples : int
    seed : int

    Yields
    ------
    np.ndarray
        Shape (n,), int64. As many structures are drawn as there are, with replacement.
    """
    import numpy as np

    keys, row = np.unique(np.asarray(structures), return_inverse=True)
    if not len(keys):
        return
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(0, len(keys), len(keys)), minlength=len(keys))[row]


class WeightedMetrics(Protocol):
    """One forecast on one set of inspections, whose figures can be asked for any weights."""

    #: Figures that have an interval, in the order of `compute`.
    METRICS: ClassVar[tuple[str, ...]]

    #: Where a higher figure is the worse one.
    LOWER_IS_BETTER: ClassVar[frozenset[str]]

    def __init__(self, outcomes: np.ndarray, predictions: np.ndarray, /) -> None: ...

    def compute(self, weights: np.ndarray) -> list[float]:
        """The figures of `METRICS` with these weights, one a row; NaN where there is nothing to measure."""
        ...


class WeightedFallMetrics:
    """Probabilities of a fall, sorted once, whose figures can be asked for any weights.

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
        """The figures of `METRICS` with these weights, one a row; NaN where there is nothing to measure.

        With weights of one they are those of `scores.scores`.
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
    """95 % intervals of every forecast's figures, and of what the model gains over others on the same resamples.

    Parameters
    ----------
    outcomes : np.ndarray, shape (n,)
        Whether each inspection found a fall, or what else `metrics_type` takes.
    forecasts : mapping of str to np.ndarray of shape (n,)
        With `model`.
    structures : sequence of str, length n
    baselines : sequence of str
        Names of forecasts that the model's gain is measured over; those that are not there are left out.
    resamples, seed : int
    metrics_type : type of WeightedMetrics
        What the figures are.

    Returns
    -------
    of_figures, of_gains : dict of str to dict of str to Interval
        forecast -> figure -> interval. A gain above 0 is in the model's favour, where lower is better too. Figures that
        hardly any resample could measure (fewer than half) have none.
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
    of_figures = {name: _by_metric(samples[:, place], metrics_type.METRICS) for place, name in enumerate(names)}
    sign = np.array([-1.0 if figure in metrics_type.LOWER_IS_BETTER else 1.0 for figure in metrics_type.METRICS])
    model = samples[:, names.index("model")]
    of_gains = {
        name: _by_metric(sign * (model - samples[:, names.index(name)]), metrics_type.METRICS)
        for name in baselines
        if name in ranked
    }
    return of_figures, of_gains


def _by_metric(samples: np.ndarray, figures: Sequence[str]) -> dict[str, Interval]:
    found = {figure: percentile_interval(samples[:, place]) for place, figure in enumerate(figures)}
    return {figure: interval for figure, interval in found.items() if interval is not None}


def percentile_interval(samples: np.ndarray) -> Interval | None:
    """The middle 95 % of what resamples gave; None where fewer than half of them gave anything."""
    import numpy as np

    known = samples[np.isfinite(samples)]
    if not len(samples) or len(known) < len(samples) / 2:
        return None
    low, high = np.percentile(known, [50 * (1 - CONFIDENCE_LEVEL), 50 * (1 + CONFIDENCE_LEVEL)])
    return Interval(float(low), float(high))
