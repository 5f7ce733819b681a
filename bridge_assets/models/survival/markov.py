"""From yearly rates to the years until Poor: a chain over conditions and time in them, for many structures at once.

A structure stands in its present condition, or in one that it came to since. Each year it falls with a rate that
depends on the condition, the time in it, the age and the structure; by how many points is drawn from shares by
condition; it rises without work with a rate by condition. What is carried is probability, not simulated lives: the
result has no noise.

Belongs here: the arithmetic. Where the rates come from is `survival`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit

#: The conditions that are not Poor: 5 to 9, in this order in every array here.
NOT_POOR_CONDITIONS = (5, 6, 7, 8, 9)
_N_CONDITIONS = len(NOT_POOR_CONDITIONS)

#: Time in a condition below and above these counts as these, in years: an inspection sees no shorter one, and files of
#: thirty years hold few longer ones of which they saw the beginning.
MIN_DURATION_YEARS, MAX_DURATION_YEARS = 1.0, 20.0

#: The logarithm of time in a condition is taken relative to this, in years.
REFERENCE_DURATION_YEARS = 6.0

#: An inspection finds a fall on average half an interval after it happened: 12 of 24 months (23 CFR 650.311). Rates are
#: by the time since it was found.
DETECTION_LAG_YEARS = 1.0

#: Whole years since the middle of the year of a change; the last bin stands for all that are longer ago.
_N_DURATION_BINS = int(MAX_DURATION_YEARS + DETECTION_LAG_YEARS) + 1

#: After a change, what the structure and its age add to the logarithm of the rate is rounded to this, so that
#: exponentials are looked up: a rate moves by half a per cent at most. What they add beyond the limits counts as these.
_LOG_RATE_STEP, _MIN_LOG_RATE, _MAX_LOG_RATE = 0.01, -8.0, 8.0

_CHUNK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class TransitionRates:
    """What the chain needs beside the structures; arrays by condition in the order of `NOT_POOR_CONDITIONS`.

    Attributes
    ----------
    log_rate : np.ndarray of shape (5,)
        Logarithm of the yearly rate of falling at `REFERENCE_DURATION_YEARS` years in the condition.
    duration_slope : np.ndarray of shape (5,)
        By which it grows with the logarithm of the time in the condition, where the beginning was seen.
    duration_slope_change : float
        What is added to the slope beyond `REFERENCE_DURATION_YEARS`.
    unobserved_onset_effect : np.ndarray of shape (5,)
        What is added where the condition was there when the files begin: nobody knows for how long, so that time in it
        says nothing.
    max_duration_years : float
        Years in a condition beyond which the rate stays what it is, since no longer ones were seen; at most
        `MAX_DURATION_YEARS`.
    after_fall_effect : np.ndarray of shape (5,)
        What is added just after a fall, in place of what is known of the present condition.
    improvement_rate : np.ndarray of shape (5,)
        Yearly rate of rising without work.
    fall_transition_shares : np.ndarray of shape (5, 6)
        Shares of the conditions that a fall leads to: the first column is Poor, the others are `NOT_POOR_CONDITIONS`.
    improvement_transition_shares : np.ndarray of shape (5, 5)
        Shares of the conditions that a rise leads to.
    age_effect : np.ndarray of shape (ages,)
        What is added at each whole year of age, from 0 on; the last one stands for all that are older.
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


@dataclass(frozen=True, slots=True)
class CurrentState:
    """Structures as their last inspection found them; arrays of one length n.

    Attributes
    ----------
    condition : np.ndarray of int64
        5 to 9.
    years_in_condition, age : np.ndarray of float64
        In the condition; since built or reconstructed.
    onset_observed : np.ndarray of bool
        Whether the beginning of the condition was seen.
    current_log_rate_effect, later_log_rate_effect : np.ndarray of float64
        What is added to the logarithm of the rate in the present condition, and in later ones.
    """

    condition: np.ndarray
    years_in_condition: np.ndarray
    age: np.ndarray
    onset_observed: np.ndarray
    current_log_rate_effect: np.ndarray
    later_log_rate_effect: np.ndarray


def poor_probability_by_year(state: CurrentState, rates: TransitionRates, horizon: int) -> np.ndarray:
    """Probability that the condition is 4 or less within 0, 1, ... `horizon` years, if nothing is done.

    Returns
    -------
    np.ndarray
        Shape (n, horizon + 1), float32; rows never fall.
    """
    rows = len(state.condition)
    result = np.empty((rows, horizon + 1), dtype=np.float32)
    stays, falls, repeat_fall = _transition_tables(rates)

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

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(run, range(0, rows, _CHUNK_ROWS)))
    return result


def _transition_tables(rates: TransitionRates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a year by what the structure adds (steps of `_STEP`), condition and bin.

    Returns
    -------
    stays, falls : np.ndarray of shape (steps, 5, bins), float32
        Of staying in the condition, and of falling.
    again : np.ndarray of shape (steps, 5), float64
        Of falling in the half of a year after the change, on average.
    """
    found = np.clip(np.arange(_N_DURATION_BINS) + 1 - DETECTION_LAG_YEARS, MIN_DURATION_YEARS, rates.max_duration_years)
    duration = np.log(found / REFERENCE_DURATION_YEARS)
    by_time = rates.duration_slope[:, None] * duration + rates.duration_slope_change * np.maximum(0, duration)
    added = np.arange(round((_MAX_LOG_RATE - _MIN_LOG_RATE) / _LOG_RATE_STEP) + 1) * _LOG_RATE_STEP + _MIN_LOG_RATE
    fall = np.exp(added[:, None, None] + (rates.log_rate[:, None] + rates.after_fall_effect[:, None] + by_time))
    leave = fall + rates.improvement_rate[:, None]
    stays = np.exp(-leave)
    falls = (1 - stays) * fall / leave
    return stays.astype(np.float32), falls.astype(np.float32), -np.expm1(-0.5 * fall[:, :, 0])


@njit(nogil=True, cache=True)
def _propagate(
    state,
    years,
    age,
    seen,
    now,
    later,
    level,
    slope,
    bend,
    unseen,
    longest,
    rise,
    drop,
    lift,
    aging,
    stays,
    falls,
    repeat_fall,
    result,
):
    steps, states, bins = stays.shape
    horizon = result.shape[1] - 1
    oldest = len(aging) - 1
    probability, next_probability = np.zeros((states, bins)), np.zeros((states, bins))
    entering = np.zeros(states)
    occupied_states = np.zeros(states, dtype=np.bool_)  # whether anybody stands in a condition
    for row in range(len(state)):
        first = state[row]
        stay_probability, poor = 1.0, 0.0
        probability[:] = 0.0
        next_probability[:] = 0.0
        occupied_states[:] = False
        result[row, 0] = 0.0
        for year in range(horizon):
            older = aging[min(oldest, max(0, int(age[row] + year)))]
            entering[:] = 0.0

            by_time = unseen[first]
            if seen[row]:
                duration = np.log(
                    min(longest, max(MIN_DURATION_YEARS, years[row] + year + 0.5)) / REFERENCE_DURATION_YEARS
                )
                by_time = slope[first] * duration + bend * max(0.0, duration)
            fall = np.exp(level[first] + by_time + now[row] + older)
            leaving = stay_probability * -np.expm1(-(fall + rise[first]))
            stay_probability -= leaving
            falling = leaving * fall / (fall + rise[first])
            poor += falling * drop[first, 0]
            for to in range(states):
                entering[to] += falling * drop[first, 1 + to] + (leaving - falling) * lift[first, to]

            step = min(steps - 1, max(0, int((later[row] + older - _MIN_LOG_RATE) / _LOG_RATE_STEP + 0.5)))
            occupied = min(bins, year)
            for condition in range(states):
                if not occupied_states[condition]:
                    continue
                leaving = falling = 0.0
                next_probability[condition, bins - 1] = 0.0
                for bin_ in range(occupied):
                    cell_probability = probability[condition, bin_]
                    stayed = cell_probability * stays[step, condition, bin_]
                    leaving += cell_probability - stayed
                    falling += cell_probability * falls[step, condition, bin_]
                    if bin_ < bins - 1:
                        next_probability[condition, bin_ + 1] = stayed
                    else:
                        next_probability[condition, bin_] += stayed
                poor += falling * drop[condition, 0]
                for to in range(states):
                    entering[to] += falling * drop[condition, 1 + to] + (leaving - falling) * lift[condition, to]

            # Who comes in the middle of the year may fall again before it ends. Conditions are gone through downwards.
            for condition in range(states - 1, -1, -1):
                if entering[condition] > 0.0:
                    falling = entering[condition] * repeat_fall[step, condition]
                    entering[condition] -= falling
                    poor += falling * drop[condition, 0]
                    for to in range(condition):
                        entering[to] += falling * drop[condition, 1 + to]
                next_probability[condition, 0] = entering[condition]
                occupied_states[condition] |= entering[condition] > 0.0
            probability, next_probability = next_probability, probability
            result[row, year + 1] = min(1.0, poor)


def restricted_mean(poor: np.ndarray) -> np.ndarray:
    """Mean of the years until Poor, in which later than the horizon counts as the horizon; (n, horizon + 1) -> (n,)."""
    survival = 1.0 - poor.astype(np.float64)
    return (survival[:, :-1] + survival[:, 1:]).sum(axis=1) / 2


def quantile_years(poor: np.ndarray, share: float) -> np.ndarray:
    """Years by which the probability of Poor reaches `share`, linear within a year; NaN where it does not within the
    horizon. (n, horizon + 1) -> (n,).
    """
    reached = poor >= share
    year = np.maximum(1, reached.argmax(axis=1))
    rows = np.arange(len(poor))
    lower, upper = poor[rows, year - 1].astype(np.float64), poor[rows, year].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        years = year - 1 + (share - lower) / (upper - lower)
    return np.where(reached[:, -1], years, np.nan)
