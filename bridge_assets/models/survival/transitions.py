"""Where falls and rises lead, by condition: shares and rates that do not depend on the structure.

Arrays by condition are in the order of `survival_chain.CONDITIONS`, 5 to 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.nbi.derived import POOR_MAX

if TYPE_CHECKING:
    import numpy as np

#: Shares and rates by condition count as if this many more structures of all conditions had been seen in each.
_PRIOR_STRUCTURES = 20


def improvement_rates(by_condition: np.ndarray, improved: np.ndarray, years: np.ndarray) -> np.ndarray:
    import numpy as np

    exposure = np.where(improved, years / 2, years)
    overall = improved.sum() / exposure.sum()
    rates = (by_condition.T @ improved + _PRIOR_STRUCTURES * overall) / (by_condition.T @ exposure + _PRIOR_STRUCTURES)
    rates[-1] = 0.0  # nothing is above 9
    return rates


def transition_shares(condition: np.ndarray, after: np.ndarray, moved: np.ndarray, direction: int) -> np.ndarray:
    """Shares of the conditions that moves led to, (5, 6): Poor, then 5 to 9; with `_PRIOR_STRUCTURES` moves of a point
    added.
    """
    import numpy as np

    from bridge_assets.models.survival.markov import NOT_POOR_CONDITIONS

    counts = np.zeros((len(NOT_POOR_CONDITIONS), len(NOT_POOR_CONDITIONS) + 1))
    np.add.at(counts, (condition[moved] - POOR_MAX - 1, np.maximum(after[moved] - POOR_MAX, 0)), 1)
    for index in range(len(NOT_POOR_CONDITIONS)):
        counts[index, min(index + 1 + direction, len(NOT_POOR_CONDITIONS))] += _PRIOR_STRUCTURES
    return counts / counts.sum(axis=1, keepdims=True)


def single_fall_shares(shares: np.ndarray, repeat_fall: np.ndarray) -> np.ndarray:
    """Shares of what one fall leads to, out of those of what an interval with a fall leads to.

    A fall of one point stays one in an interval unless a second one follows, which happens with probability
    `repeat_fall`.
    """
    import numpy as np

    single = shares.copy()
    for index in range(1, len(shares)):
        seen = shares[index, index]
        one = min(1.0, seen / (1 - repeat_fall[index]))
        if seen < 1:
            single[index] *= (1 - one) / (1 - seen)
        single[index, index] = one
    return np.round(single / single.sum(axis=1, keepdims=True), 9)


def repeat_fall_probability(
    entry_log_rates: np.ndarray, log_rate_effect: np.ndarray, condition: np.ndarray, years: np.ndarray, fell: np.ndarray
) -> np.ndarray:
    """Probability by condition, (5,), that a second fall follows within the interval of the first.

    The first lies in the middle of the interval on average; the rate of the second is that of a condition just come to,
    of which `entry_log_rates` is the logarithm by condition, and `log_rate_effect` what each row adds.
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
    import numpy as np

    overall = float(values.mean()) if len(values) else 0.0
    return np.asarray(
        (by_condition.T @ values + _PRIOR_STRUCTURES * overall) / (by_condition.sum(axis=0) + _PRIOR_STRUCTURES)
    )
