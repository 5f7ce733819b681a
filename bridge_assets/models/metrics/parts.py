"""Metrics of the parts of the hold-out that people act on, and calibration by rating.

A headline over all bridges is mostly about Good ones: ratings of 8 and 9 fall most often, and nobody is worried about
an 8 that becomes a 7. So the same metrics are computed for ratings of 7 and less, and for bridges that become Poor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bridge_assets.markdown import table
from bridge_assets.models.metrics.bootstrap import (
    Interval,
    bootstrap_intervals,
    bootstrap_weights,
    percentile_interval,
)
from bridge_assets.models.metrics.probability import ProbabilityMetrics, probability_metrics
from bridge_assets.nbi.derived import GOOD_MIN, POOR_MAX

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

#: A rating's share of falls that end in Poor counts as if it had this many more falls, none of which did.
_PRIOR_FALLS = 5

#: Names of the two parts.
LOW_RATED, BECOMES_POOR = "low_rated", "becomes_poor"

#: Columns of `parts_markdown`: metric, heading, format.
_COLUMNS = (
    ("auc", "AUC", ".3f"),
    ("average_precision", "average precision", ".3f"),
    ("worst_10", "found in worst 10 %", ".1%"),
    ("ratio", "expected / observed", ".2f"),
)


@dataclass(frozen=True, slots=True)
class RatingCalibration:
    """Expected and observed falls of the held-out inspections of one rating.

    Attributes
    ----------
    rating : int
    inspections, falls : int
    expected : float
        Sum of the probabilities.
    ratio : float or None
        Expected over observed falls; None without a fall.
    ratio_interval : Interval or None
        By resampling structures.
    """

    rating: int
    inspections: int
    falls: int
    expected: float
    ratio: float | None
    ratio_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the hold-out, with the metrics of the model and of the rating table on it.

    Attributes
    ----------
    name, meaning : str
        Short name; which inspections, and what is to be found among them.
    inspections, falls : int
        Their number, and how many had the outcome.
    scores : mapping of str to ProbabilityMetrics
        `rating_table`, if there is one, and `model`.
    intervals : mapping of str to Interval
        Of the model, by metric.
    gains : mapping of str to Interval
        Of the model's gain over the rating table, by metric.
    """

    name: str
    meaning: str
    inspections: int
    falls: int
    scores: Mapping[str, ProbabilityMetrics]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    gains: Mapping[str, Interval] = field(default_factory=dict)


def calibration_by_rating(
    falls: np.ndarray,
    probability: np.ndarray,
    ratings: np.ndarray,
    structures: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> tuple[RatingCalibration, ...]:
    """Expected and observed falls of every rating, lowest first.

    Parameters
    ----------
    falls : np.ndarray of bool, shape (n,)
    probability, ratings : np.ndarray, shape (n,)
    structures : sequence of str, length n
        Structure keys, for the intervals.
    resamples, seed : int
    """
    import numpy as np

    if not len(ratings):
        return ()
    values, place = np.unique(ratings, return_inverse=True)
    samples = np.array(
        [
            _ratios(place, len(values), weights * probability, weights * falls)
            for weights in bootstrap_weights(structures, resamples, seed)
        ]
    ).reshape(-1, len(values))
    whole = _ratios(place, len(values), probability, falls)
    counts, found, expected = (np.bincount(place, weights, len(values)) for weights in (None, falls, probability))
    return tuple(
        RatingCalibration(
            int(rating),
            int(counts[each]),
            int(found[each]),
            float(expected[each]),
            float(whole[each]) if np.isfinite(whole[each]) else None,
            percentile_interval(samples[:, each]),
        )
        for each, rating in enumerate(values)
    )


def measure_parts(
    train: pl.DataFrame, holdout: pl.DataFrame, forecasts: Mapping[str, np.ndarray], *, resamples: int, seed: int
) -> tuple[Part, ...]:
    """The parts of a hold-out: ratings of 7 and less, and bridges that become Poor.

    Parameters
    ----------
    train, holdout : pl.DataFrame
        Inspections with `structure_key`, `fall`, `rating` and, for the second part, `becomes_poor` (Boolean; null for a
        bridge that is Poor already). The first part is left out for the target `poor`, which holds for some bridges
        already (`is_now`): there, the table knows the outcome of those.
    forecasts : mapping of str to np.ndarray
        Probabilities of a fall, one per held-out inspection; `rating_table` is optional, others than that and `model`
        are not used. The probability of becoming Poor is that of a fall times the share of the falls from that rating
        that ended in Poor in training.
    resamples, seed : int
    """
    import numpy as np

    probabilities = {name: forecasts[name] for name in ("rating_table", "model") if name in forecasts}
    structures = np.asarray(holdout["structure_key"].to_list(), dtype=object)

    def part(name: str, meaning: str, outcome: np.ndarray, rows: np.ndarray, factor: np.ndarray) -> Part:
        chosen = {each: (values * factor)[rows] for each, values in probabilities.items()}
        keys = structures[rows].tolist()
        intervals, gains = bootstrap_intervals(
            outcome[rows], chosen, keys, ("rating_table",), resamples=resamples, seed=seed
        )
        scores = {each: probability_metrics(outcome[rows], values) for each, values in chosen.items()}
        return Part(
            name,
            meaning,
            int(rows.sum()),
            int(outcome[rows].sum()),
            scores,
            intervals.get("model", {}),
            gains.get("rating_table", {}),
        )

    rating = holdout["rating"].cast(float).to_numpy()
    falls, ones = holdout["fall"].to_numpy().astype(bool), np.ones(holdout.height)
    parts = []
    if not ("is_now" in holdout.columns and holdout["is_now"].any()):
        parts.append(part(LOW_RATED, f"rated {GOOD_MIN} or less: which fall", falls, rating <= GOOD_MIN, ones))
    if "becomes_poor" in holdout.columns:
        becomes = holdout["becomes_poor"]
        parts.append(
            part(
                BECOMES_POOR,
                "not Poor yet: which are Poor at the next inspection",
                becomes.fill_null(False).to_numpy().astype(bool),
                becomes.is_not_null().to_numpy(),
                _share_to_poor(train, rating),
            )
        )
    return tuple(each for each in parts if each.inspections)


def _share_to_poor(train: pl.DataFrame, rating: np.ndarray) -> np.ndarray:
    """For each rating, the share of the training falls from it that ended in Poor; 1 one point above Poor."""
    import numpy as np

    fell = train.filter("fall")
    from_rating, poor = fell["rating"].cast(int).to_numpy(), fell["becomes_poor"].fill_null(False).to_numpy()
    counts, hits = (np.bincount(from_rating, weights, 10) for weights in (None, poor))
    share = hits / (counts + _PRIOR_FALLS)
    share[POOR_MAX + 1] = 1.0
    return share[rating.astype(int)]


def _ratios(place: np.ndarray, count: int, expected: np.ndarray, observed: np.ndarray) -> np.ndarray:
    import numpy as np

    sums, falls = np.bincount(place, expected, count), np.bincount(place, observed, count)
    return np.divide(sums, falls, out=np.full(count, np.nan), where=falls > 0)


def by_rating_markdown(ratings: Sequence[RatingCalibration]) -> str:
    """Expected and observed falls by rating, as a Markdown table."""
    rows = []
    for each in ratings:
        ratio = "-" if each.ratio is None else f"{each.ratio:.2f}"
        if each.ratio_interval is not None:
            ratio += f" ({each.ratio_interval.low:.2f} to {each.ratio_interval.high:.2f})"
        shares = (each.expected / each.inspections, each.falls / each.inspections)
        rows.append(
            (str(each.rating), f"{each.inspections:,}", f"{each.falls:,}", *(f"{x:.1%}" for x in shares), ratio)
        )
    header = ("rating", "inspections", "fell", "mean probability", "share that fell", "expected / observed (95 %)")
    return table(header, rows, "rrrrrr")


def parts_markdown(parts: Sequence[Part]) -> str:
    """The parts as a Markdown table: the rating table and the model on each, and the model's intervals."""
    labels = {"rating_table": "rating table", "model": "model"}
    rows = []
    for part in parts:
        for name, metrics in part.scores.items():
            cells = []
            for metric, _, form in _COLUMNS:
                value, interval = getattr(metrics, metric), part.intervals.get(metric)
                cell = "-" if value is None else format(value, form)
                if name == "model" and interval is not None:
                    cell += f" ({interval.low:{form}} to {interval.high:{form}})"
                cells.append(cell)
            rows.append((part.meaning, f"{part.inspections:,}", f"{part.falls:,}", labels[name], *cells))
    header = ("part", "inspections", "of these", "forecast", *(heading for _, heading, _ in _COLUMNS))
    return table(header, rows, "lrrl" + "r" * len(_COLUMNS))
