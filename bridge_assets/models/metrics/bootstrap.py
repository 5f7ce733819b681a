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

from bridge_assets.models.metrics.probability import WORST, Scores

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval: percentiles of the resamples in which the figure could be measured."""

    low: float
    high: float


def structure_weights(structures: Sequence[str], resamples: int, seed: int) -> Iterator[np.ndarray]:
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


class Measured(Protocol):
    """One forecast on one set of inspections, whose figures can be asked for any weights."""

    #: Figures that have an interval, in the order of `figures`.
    FIGURES: ClassVar[tuple[str, ...]]

    #: Where a higher figure is the worse one.
    LOWER_IS_BETTER: ClassVar[frozenset[str]]

    def __init__(self, happened: np.ndarray, said: np.ndarray, /) -> None: ...

    def figures(self, weights: np.ndarray) -> list[float]:
        """The figures of `FIGURES` with these weights, one a row; NaN where there is nothing to measure."""
        ...


class Ranked:
    """Probabilities of a fall, sorted once, whose figures can be asked for any weights.

    Parameters
    ----------
    falls : np.ndarray of bool, shape (n,)
    probability : np.ndarray, shape (n,)
    """

    FIGURES: ClassVar[tuple[str, ...]] = ("auc", "average_precision", "brier", "worst_5", "worst_10", "worst_20")
    LOWER_IS_BETTER: ClassVar[frozenset[str]] = Scores.LOWER_IS_BETTER

    def __init__(self, falls: np.ndarray, probability: np.ndarray) -> None:
        import numpy as np

        probability = np.asarray(probability, dtype=float)
        self._order = np.argsort(-probability, kind="stable")
        ranked = probability[self._order]
        self._falls = np.asarray(falls, dtype=bool)[self._order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.empty(0, int)
        self._squares = (ranked - self._falls) ** 2

    def figures(self, weights: np.ndarray) -> list[float]:
        """The figures of `FIGURES` with these weights, one a row; NaN where there is nothing to measure.

        With weights of one they are those of `scores.scores`.
        """
        import numpy as np

        weight = weights[self._order].astype(float)
        looked_at = np.cumsum(weight)[self._ends] if len(weight) else np.empty(0)
        found = np.cumsum(weight * self._falls)[self._ends] if len(weight) else np.empty(0)
        rows, falls = (looked_at[-1], found[-1]) if len(looked_at) else (0.0, 0.0)
        brier = float((weight * self._squares).sum() / rows) if rows else math.nan
        if not falls:
            return [math.nan, math.nan, brier, *(math.nan for _ in WORST)]
        each_found = np.diff(found, prepend=0.0)
        passed = looked_at - found
        others = rows - falls
        above = np.concatenate([[0.0], passed[:-1]])
        auc = 1 - float((each_found * (above + passed)).sum() / 2 / falls / others) if others else math.nan
        precision = np.divide(found, looked_at, out=np.zeros_like(found), where=looked_at > 0)
        places = [math.ceil(round(share * rows, 6)) for share in WORST]
        shares = np.interp(places, np.concatenate([[0.0], looked_at]), np.concatenate([[0.0], found])) / falls
        return [auc, float((each_found * precision).sum() / falls), brier, *map(float, shares)]


def intervals(
    happened: np.ndarray,
    forecasts: Mapping[str, np.ndarray],
    structures: Sequence[str],
    against: Sequence[str],
    *,
    resamples: int,
    seed: int,
    measured: type[Measured] = Ranked,
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """95 % intervals of every forecast's figures, and of what the model gains over others on the same resamples.

    Parameters
    ----------
    happened : np.ndarray, shape (n,)
        Whether each inspection found a fall, or what else `measured` takes.
    forecasts : mapping of str to np.ndarray of shape (n,)
        With `model`.
    structures : sequence of str, length n
    against : sequence of str
        Names of forecasts that the model's gain is measured over; those that are not there are left out.
    resamples, seed : int
    measured : type of Measured
        What the figures are.

    Returns
    -------
    of_figures, of_gains : dict of str to dict of str to Interval
        forecast -> figure -> interval. A gain above 0 is in the model's favour, where lower is better too. Figures that
        hardly any resample could measure (fewer than half) have none.
    """
    import numpy as np

    ranked = {name: measured(happened, said) for name, said in forecasts.items()}
    drawn = np.array(
        [
            [each.figures(weights) for each in ranked.values()]
            for weights in structure_weights(structures, resamples, seed)
        ]
    ).reshape(-1, len(ranked), len(measured.FIGURES))
    names = list(ranked)
    of_figures = {name: _by_figure(drawn[:, place], measured.FIGURES) for place, name in enumerate(names)}
    sign = np.array([-1.0 if figure in measured.LOWER_IS_BETTER else 1.0 for figure in measured.FIGURES])
    model = drawn[:, names.index("model")]
    of_gains = {
        name: _by_figure(sign * (model - drawn[:, names.index(name)]), measured.FIGURES)
        for name in against
        if name in ranked
    }
    return of_figures, of_gains


def _by_figure(drawn: np.ndarray, figures: Sequence[str]) -> dict[str, Interval]:
    found = {figure: interval_of(drawn[:, place]) for place, figure in enumerate(figures)}
    return {figure: interval for figure, interval in found.items() if interval is not None}


def interval_of(drawn: np.ndarray) -> Interval | None:
    """The middle 95 % of what resamples gave; None where fewer than half of them gave anything."""
    import numpy as np

    known = drawn[np.isfinite(drawn)]
    if not len(drawn) or len(known) < len(drawn) / 2:
        return None
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(low), float(high))
