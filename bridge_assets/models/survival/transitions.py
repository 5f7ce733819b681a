"""Shares and rates of transitions by condition: they do not depend on the structure.

Arrays by condition are in the order of `markov.NOT_POOR_CONDITIONS`, 5 to 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.nbi.derived import POOR_MAX

if TYPE_CHECKING:
    import numpy as np

#: Shrinkage: each condition counts as if it had this many more structures with the average of all conditions.
_PRIOR_STRUCTURES = 20


def improvement_rates(by_condition: np.ndarray, improved: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Yearly rate of improving without work by condition, (5,), shrunk towards the overall rate.

    Parameters
    ----------
    by_condition : np.ndarray of shape (n, 5)
        One-hot condition.
    improved : np.ndarray of bool, shape (n,)
    years : np.ndarray of shape (n,)
        Length of each interval.
    """
    import numpy as np

    exposure = np.where(improved, years / 2, years)
    overall = improved.sum() / exposure.sum()
    rates = (by_condition.T @ improved + _PRIOR_STRUCTURES * overall) / (by_condition.T @ exposure + _PRIOR_STRUCTURES)
    rates[-1] = 0.0  # nothing is above 9
    return rates


def transition_shares(condition: np.ndarray, after: np.ndarray, moved: np.ndarray, direction: int) -> np.ndarray:
    """Shares of the conditions that transitions lead to, (5, 6): Poor, then 5 to 9.

    `_PRIOR_STRUCTURES` transitions by one point are added for each condition.

    Parameters
    ----------
    condition, after : np.ndarray of int, shape (n,)
    moved : np.ndarray of bool, shape (n,)
        The intervals to count.
    direction : {-1, 1}
        Falls or improvements.
    """
    import numpy as np

    from bridge_assets.models.survival.markov import NOT_POOR_CONDITIONS

    counts = np.zeros((len(NOT_POOR_CONDITIONS), len(NOT_POOR_CONDITIONS) + 1))
    np.add.at(counts, (condition[moved] - POOR_MAX - 1, np.maximum(after[moved] - POOR_MAX, 0)), 1)
    for index in range(len(NOT_POOR_CONDITIONS)):
        counts[index, min(index + 1 + direction, len(NOT_POOR_CONDITIONS))] += _PRIOR_STRUCTURES
    return counts / counts.sum(axis=1, keepdims=True)


def single_fall_shares(shares: np.ndarray, repeat_fall: np.ndarray) -> np.ndarray:
    """Shares of the conditions that a single fall leads to, from those that an interval with a fall leads to.

    A fall of one point is observed as such unless a second fall follows in the same interval, which has probability
    `repeat_fall`. Both arrays are by condition; (5, 6) -> (5, 6).
    """
    import numpy as np

    single = shares.copy()
    for index in range(1, len(shares)):
        observed = shares[index, index]
        one_point = min(1.0, observed / (1 - repeat_fall[index]))
        if observed < 1:
            single[index] *= (1 - one_point) / (1 - observed)
        single[index, index] = one_point
    return np.round(single / single.sum(axis=1, keepdims=True), 9)


def repeat_fall_probability(
    entry_log_rates: np.ndarray, log_rate_effect: np.ndarray, condition: np.ndarray, years: np.ndarray, fell: np.ndarray
) -> np.ndarray:
    """Probability by condition, (5,), that a second fall follows within the interval of the first.

    The first fall is in the middle of the interval on average; the second has the rate of a condition that was just
    entered.

    Parameters
    ----------
    entry_log_rates : np.ndarray of shape (5,)
        Logarithm of that rate by condition.
    log_rate_effect : np.ndarray of shape (n,)
        Added to it for each interval.
    condition, years, fell : np.ndarray of shape (n,)
        Condition at the beginning of the interval, its length, and whether it contains a fall.
    """
    import numpy as np

    from bridge_assets.models.survival.markov import NOT_POOR_CONDITIONS

    probability = np.zeros(len(NOT_POOR_CONDITIONS))
    for index in range(1, len(NOT_POOR_CONDITIONS)):
        rows = fell & (condition == NOT_POOR_CONDITIONS[index])
        if rows.any():
            probability[index] = np.mean(
                -np.expm1(-np.exp(entry_log_rates[index - 1] + log_rate_effect[rows]) * years[rows] / 2)
            )
    return np.minimum(probability, 0.5)


def means_by_condition(by_condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of values by condition, (5,), shrunk towards the overall mean; `by_condition` is one-hot, (n, 5)."""
    import numpy as np

    overall = float(values.mean()) if len(values) else 0.0
    return np.asarray(
        (by_condition.T @ values + _PRIOR_STRUCTURES * overall) / (by_condition.sum(axis=0) + _PRIOR_STRUCTURES)
    )
