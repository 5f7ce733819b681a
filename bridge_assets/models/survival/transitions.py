"""Where falls and rises lead, by condition: shares and rates that do not depend on the structure.

Arrays by condition are in the order of `survival_chain.CONDITIONS`, 5 to 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.models.survival.panel import POOR

if TYPE_CHECKING:
    import numpy as np

#: Shares and rates by condition count as if this many more structures of all conditions had been seen in each.
_PRIOR = 20


def rise_rates(by_condition: np.ndarray, rose: np.ndarray, years: np.ndarray) -> np.ndarray:
    import numpy as np

    exposure = np.where(rose, years / 2, years)
    overall = rose.sum() / exposure.sum()
    rates = (by_condition.T @ rose + _PRIOR * overall) / (by_condition.T @ exposure + _PRIOR)
    rates[-1] = 0.0  # nothing is above 9
    return rates


def shares_of_moves(condition: np.ndarray, after: np.ndarray, moved: np.ndarray, direction: int) -> np.ndarray:
    """Shares of the conditions that moves led to, (5, 6): Poor, then 5 to 9; with `_PRIOR` moves of a point added."""
    import numpy as np

    from bridge_assets.models.survival.markov import CONDITIONS

    counts = np.zeros((len(CONDITIONS), len(CONDITIONS) + 1))
    np.add.at(counts, (condition[moved] - POOR - 1, np.maximum(after[moved] - POOR, 0)), 1)
    for index in range(len(CONDITIONS)):
        counts[index, min(index + 1 + direction, len(CONDITIONS))] += _PRIOR
    return counts / counts.sum(axis=1, keepdims=True)


def first_falls(shares: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Shares of what one fall leads to, out of those of what an interval with a fall leads to.

    A fall of one point stays one in an interval unless a second one follows, which happens with probability `again`.
    """
    import numpy as np

    single = shares.copy()
    for index in range(1, len(shares)):
        seen = shares[index, index]
        one = min(1.0, seen / (1 - again[index]))
        if seen < 1:
            single[index] *= (1 - one) / (1 - seen)
        single[index, index] = one
    return np.round(single / single.sum(axis=1, keepdims=True), 9)


def second_fall(
    fresh_rates: np.ndarray, apart: np.ndarray, condition: np.ndarray, years: np.ndarray, fell: np.ndarray
) -> np.ndarray:
    """Probability by condition, (5,), that a second fall follows within the interval of the first.

    The first lies in the middle of the interval on average; the rate of the second is that of a condition just come to,
    of which `fresh_rates` is the logarithm by condition, and `apart` what each row adds.
    """
    import numpy as np

    from bridge_assets.models.survival.markov import CONDITIONS

    chance = np.zeros(len(CONDITIONS))
    for index in range(1, len(CONDITIONS)):
        rows = fell & (condition == CONDITIONS[index])
        if rows.any():
            chance[index] = np.mean(-np.expm1(-np.exp(fresh_rates[index - 1] + apart[rows]) * years[rows] / 2))
    return np.minimum(chance, 0.5)


def means_by_condition(by_condition: np.ndarray, values: np.ndarray) -> np.ndarray:
    import numpy as np

    overall = float(values.mean()) if len(values) else 0.0
    return np.asarray((by_condition.T @ values + _PRIOR * overall) / (by_condition.sum(axis=0) + _PRIOR))
