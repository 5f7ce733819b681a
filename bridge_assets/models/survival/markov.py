"""From yearly rates to the probability of Poor by year: a chain over condition and time in condition.

A structure is in its present condition or in one it reached since. Each year it falls at a rate that depends on the
condition, the time in it, the age and the structure; the number of points follows shares by condition. Without work it
improves at a rate by condition. The chain propagates probabilities and simulates nothing, so the result has no noise.

Belongs here: the arithmetic. Does not belong here: fitting the rates (`fit`).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bridge_assets.compiled import cached_njit

#: The conditions that are not Poor: 5 to 9, in this order in every array here.
NOT_POOR_CONDITIONS = (5, 6, 7, 8, 9)
_N_CONDITIONS = len(NOT_POOR_CONDITIONS)

#: Shorter and longer times in a condition are clipped to these, in years: inspections do not resolve shorter times, and
#: thirty years of files contain few longer ones whose beginning was observed.
MIN_DURATION_YEARS, MAX_DURATION_YEARS = 1.0, 20.0

#: The logarithm of time in condition is taken relative to this, in years.
REFERENCE_DURATION_YEARS = 6.0

#: An inspection finds a fall on average half an interval after it happened: 12 of 24 months (23 CFR 650.311). Rates
#: depend on the time since the fall was found.
DETECTION_LAG_YEARS = 1.0

#: Bins of whole years since the middle of the year of a change; the last bin holds all longer times.
_N_DURATION_BINS = int(MAX_DURATION_YEARS + DETECTION_LAG_YEARS) + 1

#: After a change, the effect of the structure and its age on the log rate is rounded to this step, so that exponentials
#: can be looked up: a rate changes by half a per cent at most. Effects outside the limits are clipped to them.
_LOG_RATE_STEP, _MIN_LOG_RATE, _MAX_LOG_RATE = 0.01, -8.0, 8.0

_CHUNK_ROWS = 20_000


@dataclass(frozen=True)
class TransitionRates:
    """The rates that all structures share; arrays by condition are in the order of `NOT_POOR_CONDITIONS`.

    Attributes
    ----------
    log_rate : np.ndarray of shape (5,)
        Logarithm of the yearly rate of falling after `REFERENCE_DURATION_YEARS` years in the condition.
    duration_slope : np.ndarray of shape (5,)
        Change of the log rate per unit of log time in condition, where the beginning was observed.
    duration_slope_change : float
        Added to the slope beyond `REFERENCE_DURATION_YEARS`.
    unobserved_onset_effect : np.ndarray of shape (5,)
        Used instead of the duration effect where the files begin with this condition: the time in it is not known.
    max_duration_years : float
        Years in a condition beyond which the rate is constant, because no longer ones were observed; at most
        `MAX_DURATION_YEARS`.
    after_fall_effect : np.ndarray of shape (5,)
        Added to the log rate after a fall, in place of the effects of the present condition.
    improvement_rate : np.ndarray of shape (5,)
        Yearly rate of improving without work.
    fall_transition_shares : np.ndarray of shape (5, 6)
        Shares of the conditions that a fall leads to: the first column is Poor, the others are `NOT_POOR_CONDITIONS`.
    improvement_transition_shares : np.ndarray of shape (5, 5)
        Shares of the conditions that an improvement leads to.
    age_effect : np.ndarray of shape (ages,)
        Added to the log rate at each whole year of age, from 0 on; the last one is used for all older structures.
    """

    log_rate: np.ndarray
    duration_slope: np.ndarray
    duration_slope_change: float
    unobserved_onset_effect: np.ndarray
    max_duration_years: float
    after_fall_effect: np.ndarray
    improvement_rate: np.ndarray
    fall_transition_shares: np.ndarray
    improvement_transition_shares: np.ndarray
    age_effect: np.ndarray

    @cached_property
    def transition_tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`_transition_tables`, made once: for one structure, they take most of the time."""
        return _transition_tables(self)


@dataclass(frozen=True, slots=True)
class CurrentState:
    """Structures at their last inspection; arrays of one length n.

    Attributes
    ----------
    condition : np.ndarray of int64
        5 to 9.
    years_in_condition, age : np.ndarray of float64
        Years in the condition; years since built or reconstructed.
    onset_observed : np.ndarray of bool
        Whether the beginning of the condition was observed.
    current_log_rate_effect, later_log_rate_effect : np.ndarray of float64
        Added to the log rate in the present condition, and in later ones.
    """

    condition: np.ndarray
    years_in_condition: np.ndarray
    age: np.ndarray
    onset_observed: np.ndarray
    current_log_rate_effect: np.ndarray
    later_log_rate_effect: np.ndarray


def poor_probability_by_year(state: CurrentState, rates: TransitionRates, horizon: int) -> np.ndarray:
    """Probability that the condition is 4 or less within 0, 1, ... `horizon` years, if nothing is repaired.

    Parameters
    ----------
    state : CurrentState
        n structures.
    rates : TransitionRates
    horizon : int
        Years.

    Returns
    -------
    np.ndarray
        Shape (n, horizon + 1), float32; no row ever decreases.
    """
    rows = len(state.condition)
    result = np.empty((rows, horizon + 1), dtype=np.float32)
    stays, falls, repeat_fall = rates.transition_tables

    def run(start: int) -> None:
        part = slice(start, start + _CHUNK_ROWS)
        _propagate(
            state.condition[part] - NOT_POOR_CONDITIONS[0],
            state.years_in_condition[part],
            state.age[part],
            state.onset_observed[part],
            state.current_log_rate_effect[part],
            state.later_log_rate_effect[part],
            rates.log_rate,
            rates.duration_slope,
            rates.duration_slope_change,
            rates.unobserved_onset_effect,
            rates.max_duration_years,
            rates.improvement_rate,
            rates.fall_transition_shares,
            rates.improvement_transition_shares,
            rates.age_effect,
            stays,
            falls,
            repeat_fall,
            result[part],
        )

    if rows <= _CHUNK_ROWS:
        run(0)
        return result
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(run, range(0, rows, _CHUNK_ROWS)))
    return result


def _transition_tables(rates: TransitionRates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Yearly probabilities after a change, by log-rate effect (steps of `_LOG_RATE_STEP`), condition and duration bin.

    Returns
    -------
    stays, falls : np.ndarray of shape (steps, 5, bins), float32
        Probability of staying in the condition, and of falling.
    repeat_fall : np.ndarray of shape (steps, 5), float64
        Probability of falling again in the remaining half of the year of the change.
    """
    years = np.clip(np.arange(_N_DURATION_BINS) + 1 - DETECTION_LAG_YEARS, MIN_DURATION_YEARS, rates.max_duration_years)
    duration = np.log(years / REFERENCE_DURATION_YEARS)
    by_time = rates.duration_slope[:, None] * duration + rates.duration_slope_change * np.maximum(0, duration)
    effect = np.arange(round((_MAX_LOG_RATE - _MIN_LOG_RATE) / _LOG_RATE_STEP) + 1) * _LOG_RATE_STEP + _MIN_LOG_RATE
    fall = np.exp(effect[:, None, None] + (rates.log_rate[:, None] + rates.after_fall_effect[:, None] + by_time))
    leave = fall + rates.improvement_rate[:, None]
    stays = np.exp(-leave)
    falls = (1 - stays) * fall / leave
    return stays.astype(np.float32), falls.astype(np.float32), -np.expm1(-0.5 * fall[:, :, 0])


@cached_njit(nogil=True)
def _propagate(
    condition,
    years_in_condition,
    age,
    onset_observed,
    current_effect,
    later_effect,
    log_rate,
    slope,
    slope_change,
    unobserved_onset_effect,
    longest,
    improvement_rate,
    fall_shares,
    improvement_shares,
    age_effect,
    stays,
    falls,
    repeat_fall,
    result,
):
    """Fill `result` row by row; conditions are 0 to 4 for 5 to 9, arguments otherwise as in the classes above.

    The probability of the present condition is one number, since its time is the same for all of it. The probability
    of later conditions is held by condition and duration bin.
    """
    steps, n_conditions, bins = stays.shape
    horizon = result.shape[1] - 1
    oldest = len(age_effect) - 1
    probability, next_probability = np.zeros((n_conditions, bins)), np.zeros((n_conditions, bins))
    entering = np.zeros(n_conditions)
    occupied = np.zeros(n_conditions, dtype=np.bool_)  # whether a later condition has any probability
    for row in range(len(condition)):
        first = condition[row]
        staying, poor = 1.0, 0.0
        probability[:] = 0.0
        next_probability[:] = 0.0
        occupied[:] = False
        result[row, 0] = 0.0
        for year in range(horizon):
            aging = age_effect[min(oldest, max(0, int(age[row] + year)))]
            entering[:] = 0.0

            duration_effect = unobserved_onset_effect[first]
            if onset_observed[row]:
                years = min(longest, max(MIN_DURATION_YEARS, years_in_condition[row] + year + 0.5))
                duration = np.log(years / REFERENCE_DURATION_YEARS)
                duration_effect = slope[first] * duration + slope_change * max(0.0, duration)
            fall = np.exp(log_rate[first] + duration_effect + current_effect[row] + aging)
            leaving = staying * -np.expm1(-(fall + improvement_rate[first]))
            staying -= leaving
            falling = leaving * fall / (fall + improvement_rate[first])
            poor += falling * fall_shares[first, 0]
            _add_entering(entering, first, falling, leaving - falling, fall_shares, improvement_shares)

            step = min(steps - 1, max(0, int((later_effect[row] + aging - _MIN_LOG_RATE) / _LOG_RATE_STEP + 0.5)))
            poor = _advance_later_conditions(
                poor,
                probability,
                next_probability,
                occupied,
                min(bins, year),
                step,
                stays,
                falls,
                fall_shares,
                improvement_shares,
                entering,
            )
            poor = _settle_entering(poor, next_probability, occupied, entering, step, repeat_fall, fall_shares)
            probability, next_probability = next_probability, probability
            result[row, year + 1] = min(1.0, poor)


@cached_njit(nogil=True)
def _advance_later_conditions(
    poor,
    probability,
    next_probability,
    occupied,
    n_used_bins,
    step,
    stays,
    falls,
    fall_shares,
    improvement_shares,
    entering,
):
    """Advance all later conditions by a year: staying moves one duration bin on, leaving is added to `entering`.

    Returns the probability of Poor, `poor` included.
    """
    n_conditions, bins = probability.shape
    for condition in range(n_conditions):
        if not occupied[condition]:
            continue
        leaving = falling = 0.0
        next_probability[condition, bins - 1] = 0.0
        for duration_bin in range(n_used_bins):
            before = probability[condition, duration_bin]
            stayed = before * stays[step, condition, duration_bin]
            leaving += before - stayed
            falling += before * falls[step, condition, duration_bin]
            if duration_bin < bins - 1:
                next_probability[condition, duration_bin + 1] = stayed
            else:
                next_probability[condition, duration_bin] += stayed
        poor += falling * fall_shares[condition, 0]
        _add_entering(entering, condition, falling, leaving - falling, fall_shares, improvement_shares)
    return poor


@cached_njit(nogil=True)
def _settle_entering(poor, next_probability, occupied, entering, step, repeat_fall, fall_shares):
    """Put `entering` into the first duration bin, after a possible second fall in the rest of the year.

    Conditions are visited downwards, since a second fall leads to a lower one. Returns the probability of Poor, `poor`
    included.
    """
    for condition in range(len(entering) - 1, -1, -1):
        if entering[condition] > 0.0:
            falling = entering[condition] * repeat_fall[step, condition]
            entering[condition] -= falling
            poor += falling * fall_shares[condition, 0]
            for to in range(condition):
                entering[to] += falling * fall_shares[condition, 1 + to]
        next_probability[condition, 0] = entering[condition]
        occupied[condition] |= entering[condition] > 0.0
    return poor


@cached_njit(nogil=True, inline="always")  # called for every structure, year and condition
def _add_entering(entering, condition, falling, improving, fall_shares, improvement_shares):
    """Distribute what falls or improves from a condition over the conditions it leads to, without Poor."""
    for to in range(len(entering)):
        entering[to] += falling * fall_shares[condition, 1 + to] + improving * improvement_shares[condition, to]


def restricted_mean(poor: np.ndarray) -> np.ndarray:
    """Mean years until Poor, with times beyond the horizon counted as the horizon; (n, horizon + 1) -> (n,)."""
    survival = 1.0 - poor.astype(np.float64)
    return (survival[:, :-1] + survival[:, 1:]).sum(axis=1) / 2


def quantile_years(poor: np.ndarray, share: float) -> np.ndarray:
    """Years after which the probability of Poor reaches `share`, interpolated linearly within a year.

    NaN where it does not reach it within the horizon. (n, horizon + 1) -> (n,).
    """
    reached = poor >= share
    year = np.maximum(1, reached.argmax(axis=1))
    rows = np.arange(len(poor))
    lower, upper = poor[rows, year - 1].astype(np.float64), poor[rows, year].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        years = year - 1 + (share - lower) / (upper - lower)
    return np.where(reached[:, -1], years, np.nan)
