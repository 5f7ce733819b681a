"""Metrics of probabilities: AUC, average precision, Brier score, accuracy, falls found by inspecting the worst first.

A metric is None where it cannot be measured: no inspections, no falls, or only falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

#: Shares of the list that are inspected, worst first.
TOP_SHARES = (0.05, 0.10, 0.20)


@dataclass(frozen=True, slots=True)
class MetricColumn:
    """How a table shows one metric.

    Attributes
    ----------
    metric : str
        Field of the metrics.
    heading : str
    format_spec : str
        Python format of the value.
    forecast : str
        The forecast that the metric is of, in tables with several forecasts.
    """

    metric: str
    heading: str
    format_spec: str
    forecast: str = "model"


@dataclass(frozen=True, slots=True)
class ProbabilityMetrics:
    """Metrics of one forecast on one set of inspections.

    Attributes
    ----------
    auc : float or None
        Area under the ROC curve: how often a bridge that fell ranks above one that did not. 0.5 = chance.
    average_precision : float or None
        Area under the precision-recall curve. Chance = the share of falls.
    brier : float or None
        Mean squared distance between probability and outcome; smaller is better.
    accuracy : float or None
        Share of inspections whose outcome agrees with a threshold of one half.
    worst_5, worst_10, worst_20 : float or None
        Share of all falls that is among the 5, 10 or 20 % of inspections with the highest probability. Ties are broken
        by chance, so a constant finds 5, 10 and 20 %.
    ratio : float or None
        Expected over observed falls: the sum of the probabilities over the number of falls.
    """

    LOWER_IS_BETTER: ClassVar[frozenset[str]] = frozenset({"brier"})

    #: Shown where two versions are compared.
    COMPARED_METRICS: ClassVar[tuple[str, ...]] = ("auc", "average_precision", "brier", "worst_10")

    #: All forecasts side by side; the model with its intervals; the model at earlier cut years.
    TABLE_COLUMNS: ClassVar[tuple[MetricColumn, ...]] = (
        MetricColumn("auc", "AUC", ".3f"),
        MetricColumn("average_precision", "average precision", ".3f"),
        MetricColumn("brier", "Brier", ".4f"),
        MetricColumn("accuracy", "accuracy", ".1%"),
        MetricColumn("worst_5", "falls in worst 5 %", ".1%"),
        MetricColumn("worst_10", "10 %", ".1%"),
        MetricColumn("worst_20", "20 %", ".1%"),
        MetricColumn("ratio", "expected / observed", ".2f"),
    )
    INTERVAL_COLUMNS: ClassVar[tuple[MetricColumn, ...]] = (
        MetricColumn("auc", "AUC", ".3f"),
        MetricColumn("average_precision", "average precision", ".3f"),
        MetricColumn("brier", "Brier (gain = lower)", ".4f"),
        MetricColumn("worst_5", "falls in worst 5 %", ".1%"),
        MetricColumn("worst_10", "falls in worst 10 %", ".1%"),
        MetricColumn("worst_20", "falls in worst 20 %", ".1%"),
    )
    CUT_COLUMNS: ClassVar[tuple[MetricColumn, ...]] = (
        MetricColumn("auc", "AUC of rating table", ".3f", forecast="rating_table"),
        MetricColumn("auc", "AUC", ".3f"),
        MetricColumn("average_precision", "average precision", ".3f"),
        MetricColumn("brier", "Brier", ".4f"),
        MetricColumn("worst_10", "worst 10 %", ".1%"),
        MetricColumn("ratio", "expected / observed", ".2f"),
    )

    auc: float | None = None
    average_precision: float | None = None
    brier: float | None = None
    accuracy: float | None = None
    worst_5: float | None = None
    worst_10: float | None = None
    worst_20: float | None = None
    ratio: float | None = None


def probability_metrics(falls: np.ndarray, probability: np.ndarray) -> ProbabilityMetrics:
    """Compute the metrics of one forecast.

    Parameters
    ----------
    falls : np.ndarray of bool, shape (n,)
    probability : np.ndarray, shape (n,)
    """
    import numpy as np

    if not len(falls):
        return ProbabilityMetrics()
    probability = np.asarray(probability, dtype=float)
    return ProbabilityMetrics(
        roc_auc(falls, probability),
        _average_precision(falls, probability),
        float(np.mean((probability - falls) ** 2)),
        float(np.mean((probability >= 0.5) == falls)),
        *(recall_at_share(falls, probability, share) for share in TOP_SHARES),
        ratio=expected_over_observed(falls, probability),
    )


def expected_over_observed(falls: np.ndarray, probability: np.ndarray) -> float | None:
    """Expected over observed falls; None without a fall."""
    return float(probability.sum() / falls.sum()) if falls.any() else None


def roc_auc(falls: np.ndarray, probability: np.ndarray) -> float | None:
    """Area under the ROC curve; ties count one half."""
    if falls.all() or not falls.any():
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(falls, probability))


def expected_auc(truth: np.ndarray, probability: np.ndarray) -> float | None:
    """Area under the ROC curve averaged over all outcomes, weighted by their true probabilities.

    The AUC on the actual outcomes scatters around it. None where no bridge can fall, or every bridge must.

    Parameters
    ----------
    truth : np.ndarray, shape (n,)
        True probabilities of a fall, 0 to 1.
    probability : np.ndarray, shape (n,)
        The forecast.
    """
    import numpy as np

    truth = np.asarray(truth, dtype=float)
    if not len(truth) or not (truth > 0).any() or not (truth < 1).any():
        return None
    _, group = np.unique(np.asarray(probability, dtype=float), return_inverse=True)
    falls, others = np.bincount(group, truth), np.bincount(group, 1 - truth)
    below = np.cumsum(others) - others / 2  # and half of the ties
    return float((falls * below).sum() / (falls.sum() * others.sum()))


def recall_at_share(falls: np.ndarray, probability: np.ndarray, share: float) -> float | None:
    """Share of all falls found by inspecting the worst `share` of the list (rounded up to a whole inspection).

    If only some of the inspections with equal probability are included, falls are found in proportion.
    """
    import numpy as np

    if not falls.any():
        return None
    inspected, found = gain_curve(falls, probability)
    return float(np.interp(math.ceil(round(share * len(falls), 6)), inspected, found) / falls.sum())


def gain_curve(falls: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Falls found against number inspected, the most probable first.

    Returns
    -------
    inspected, found : np.ndarray
        Counts, from (0, 0) to (n, falls), one point for each distinct probability. Linear interpolation gives the
        average over ties broken by chance.
    """
    import numpy as np

    values, group = np.unique(-np.asarray(probability, dtype=float), return_inverse=True)
    inspected = np.bincount(group, minlength=len(values)).cumsum()
    found = np.bincount(group, weights=falls, minlength=len(values)).cumsum()
    return np.concatenate([[0], inspected]), np.concatenate([[0.0], found])


def wilson_interval(fell: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    z2 = 1.959964**2
    middle = (fell + z2 / 2) / (count + z2)
    half = (z2 * (fell * (count - fell) / count + z2 / 4)) ** 0.5 / (count + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def _average_precision(falls: np.ndarray, probability: np.ndarray) -> float | None:
    if not falls.any():
        return None
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(falls, probability))
