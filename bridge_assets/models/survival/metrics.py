"""Metrics of probabilities of Poor under censored follow-up: Kaplan-Meier, concordance, Brier score.

The outcome of a censored structure is not known. Kaplan-Meier uses the structure for as long as it was followed;
concordance and Brier score give structures that were followed longer the weight of those that were not (inverse
probability of censoring weights).

References
----------
- F. E. Harrell et al., "Evaluating the yield of medical tests", JAMA 247(18), 1982: concordance of comparable pairs.
- H. Uno et al., "On the C-statistics for evaluating overall adequacy of risk prediction procedures with censored
  survival data", Statistics in Medicine 30(10), 2011: the same, independent of the censoring.
- E. Graf et al., "Assessment and comparison of prognostic classification schemes for survival data", Statistics in
  Medicine 18(17-18), 1999: the Brier score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Two-sided 95 % quantile of the normal distribution.
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class KaplanMeier:
    """A survival curve: one step at each time of an event.

    Attributes
    ----------
    times : np.ndarray of shape (steps,)
        Years, ascending.
    survival, variance : np.ndarray of shape (steps,)
        Probability of not being Poor yet from each time on, and Greenwood's variance of its logarithm.
    max_follow_up : float
        Longest follow-up in years; the curve is unknown beyond it.
    """

    times: np.ndarray
    survival: np.ndarray
    variance: np.ndarray
    max_follow_up: float

    def poor_within(self, years: float) -> float:
        """Probability of Poor within `years`; beyond the follow-up, that at its end."""
        import numpy as np

        index = int(np.searchsorted(self.times, years, side="right")) - 1
        return 0.0 if index < 0 else float(1 - self.survival[index])

    def interval(self, years: float) -> tuple[float, float]:
        """95 % interval of `poor_within`, by the complementary log-log of the survival; (0, 1) where undefined."""
        import numpy as np

        index = int(np.searchsorted(self.times, years, side="right")) - 1
        if index < 0 or not 0 < self.survival[index] < 1:
            return 0.0, 1.0
        centre = np.log(-np.log(self.survival[index]))
        half = _Z * np.sqrt(self.variance[index]) / abs(np.log(self.survival[index]))
        return float(-np.expm1(-np.exp(centre - half))), float(-np.expm1(-np.exp(centre + half)))


def kaplan_meier(years: np.ndarray, observed: np.ndarray, weights: np.ndarray | None = None) -> KaplanMeier:
    """Estimate a survival curve.

    Parameters
    ----------
    years : np.ndarray of float, shape (n,)
        Time until the event, or until censoring.
    observed : np.ndarray of bool, shape (n,)
        Whether the event was observed.
    weights : np.ndarray of float, shape (n,), optional
        How often each observation counts; default: once.
    """
    import numpy as np

    weights = np.ones(len(years)) if weights is None else weights
    times, index = np.unique(years, return_inverse=True)
    n_at_time = np.bincount(index, weights=weights, minlength=len(times))
    events = np.bincount(index, weights=weights * observed, minlength=len(times))
    at_risk = n_at_time[::-1].cumsum()[::-1]
    n_remaining = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(np.where(at_risk > 0, n_remaining / at_risk, 1.0))
        variance = np.cumsum(np.where(events > 0, events / (at_risk * n_remaining), 0.0))
    steps = events > 0
    last = float(times[-1]) if len(times) else 0.0
    return KaplanMeier(times[steps], survival[steps], variance[steps], last)


def concordance(
    years: np.ndarray, poor: np.ndarray, risk: np.ndarray, horizon: float, *, weighted: bool = True
) -> float | None:
    """How often the one of two structures that became Poor first had the higher risk; ties count one half.

    Parameters
    ----------
    years, poor : np.ndarray of shape (n,)
        Follow-up in years, and whether it ended with Poor.
    risk : np.ndarray of shape (n,)
    horizon : float
        Years; a structure that becomes Poor later counts as not Poor.
    weighted : bool
        True: Uno's concordance; False: Harrell's.

    Returns
    -------
    float or None
        None where no pair can be compared.
    """
    import numpy as np

    weights = 1 / _censoring_survival(years, poor, years, just_before=True) ** 2 if weighted else np.ones(len(years))
    order = np.lexsort((~poor, years))
    years, poor, weights = years[order], poor[order], weights[order]
    _, rank = np.unique(risk[order], return_inverse=True)
    won = total = 0.0
    # From the last to the first; a tree of partial sums (Fenwick, 1994) counts later structures by rank.
    size = int(rank.max()) + 2 if len(rank) else 1
    tree = [0] * (size + 1)

    def below(position: int) -> int:
        count = 0
        while position > 0:
            count += tree[position]
            position -= position & -position
        return count

    later, index = 0, len(years) - 1
    while index >= 0:
        # At equal times, Poor comes before censoring: the censored structure was not Poor yet.
        first = index
        while first > 0 and years[first - 1] == years[index] and poor[first - 1] == poor[index]:
            first -= 1
        if poor[index] and years[index] <= horizon:
            for row in range(first, index + 1):
                lower, equal_or_lower = below(int(rank[row])), below(int(rank[row]) + 1)
                won += weights[row] * (lower + (equal_or_lower - lower) / 2)
                total += weights[row] * later
        for row in range(first, index + 1):
            position = int(rank[row]) + 1
            while position <= size:
                tree[position] += 1
                position += position & -position
        later += index + 1 - first
        index = first - 1
    return float(won / total) if total else None


def brier_score(years: np.ndarray, poor: np.ndarray, probability: np.ndarray, within: float) -> float | None:
    """Mean squared distance between the probability of Poor within some years and the outcome.

    Parameters
    ----------
    years, poor : np.ndarray of shape (n,)
        Follow-up in years, and whether it ended with Poor.
    probability : np.ndarray of shape (n,)
    within : float
        Years.

    Returns
    -------
    float or None
        None where no structure was followed that long.
    """
    import numpy as np

    early, long = poor & (years <= within), years > within
    if not long.any():
        return None
    weights = np.zeros(len(years))
    weights[early] = 1 / _censoring_survival(years, poor, years[early], just_before=True)
    weights[long] = 1 / _censoring_survival(years, poor, np.array([within]))[0]
    return float(np.sum(weights * (probability - early) ** 2) / len(years))


def _censoring_survival(
    years: np.ndarray, poor: np.ndarray, times: np.ndarray, *, just_before: bool = False
) -> np.ndarray:
    """Probability of not being censored yet at (or just before) `times`; at equal times, Poor precedes censoring."""
    import numpy as np

    curve = kaplan_meier(years, ~poor)
    index = np.searchsorted(curve.times, times, side="left" if just_before else "right")
    values = np.concatenate([[1.0], curve.survival])[index]
    return np.maximum(values, 1e-3)  # caps the weight of one structure at 1,000
