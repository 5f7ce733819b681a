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
CONDITIONS = (5, 6, 7, 8, 9)
_STATES = len(CONDITIONS)

#: Time in a condition below and above these counts as these, in years: an inspection sees no shorter one, and files of
#: thirty years hold few longer ones of which they saw the beginning.
SHORTEST, LONGEST = 1.0, 20.0

#: The logarithm of time in a condition is taken relative to this, in years.
PIVOT = 6.0

#: An inspection finds a fall on average half an interval after it happened: 12 of 24 months (23 CFR 650.311). Rates are
#: by the time since it was found.
FOUND_AFTER = 1.0

#: Whole years since the middle of the year of a change; the last bin stands for all that are longer ago.
_BINS = int(LONGEST + FOUND_AFTER) + 1

#: After a change, what the structure and its age add to the logarithm of the rate is rounded to this, so that
#: exponentials are looked up: a rate moves by half a per cent at most. What they add beyond the limits counts as these.
_STEP, _LOWEST, _HIGHEST = 0.01, -8.0, 8.0

_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Rates:
    """What the chain needs beside the structures; arrays by condition in the order of `CONDITIONS`.

    Attributes
    ----------
    level : np.ndarray of shape (5,)
        Logarithm of the yearly rate of falling at `PIVOT` years in the condition.
    slope : np.ndarray of shape (5,)
        By which it grows with the logarithm of the time in the condition, where the beginning was seen.
    bend : float
        What is added to the slope beyond `PIVOT`.
    unseen : np.ndarray of shape (5,)
        What is added where the condition was there when the files begin: nobody knows for how long, so that time in it
        says nothing.
    longest : float
        Years in a condition beyond which the rate stays what it is, since no longer ones were seen; at most `LONGEST`.
    entry : np.ndarray of shape (5,)
        What is added just after a fall, in place of what is known of the present condition.
    rise : np.ndarray of shape (5,)
        Yearly rate of rising without work.
    drop : np.ndarray of shape (5, 6)
        Shares of the conditions that a fall leads to: the first column is Poor, the others are `CONDITIONS`.
    lift : np.ndarray of shape (5, 5)
        Shares of the conditions that a rise leads to.
    aging : np.ndarray of shape (ages,)
        What is added at each whole year of age, from 0 on; the last one stands for all that are older.
    """

    level: np.ndarray
    slope: np.ndarray
    bend: float
    unseen: np.ndarray
    longest: float
    entry: np.ndarray
    rise: np.ndarray
    drop: np.ndarray
    lift: np.ndarray
    aging: np.ndarray


@dataclass(frozen=True, slots=True)
class Present:
    """Structures as their last inspection found them; arrays of one length n.

    Attributes
    ----------
    condition : np.ndarray of int64
        5 to 9.
    years, age : np.ndarray of float64
        In the condition; since built or reconstructed.
    seen : np.ndarray of bool
        Whether the beginning of the condition was seen.
    now, later : np.ndarray of float64
        What is added to the logarithm of the rate in the present condition, and in later ones.
    """

    condition: np.ndarray
    years: np.ndarray
    age: np.ndarray
    seen: np.ndarray
    now: np.ndarray
    later: np.ndarray


def poor_by_year(present: Present, rates: Rates, horizon: int) -> np.ndarray:
    """Probability that the condition is 4 or less within 0, 1, ... `horizon` years, if nothing is done.

    Returns
    -------
    np.ndarray
        Shape (n, horizon + 1), float32; rows never fall.
    """
    rows = len(present.condition)
    result = np.empty((rows, horizon + 1), dtype=np.float32)
    stays, falls, again = _after_a_change(rates)

    def run(start: int) -> None:
        part = slice(start, start + _ROWS_AT_ONCE)
        _propagate(
            present.condition[part] - CONDITIONS[0],
            present.years[part],
            present.age[part],
            present.seen[part],
            present.now[part],
            present.later[part],
            rates.level,
            rates.slope,
            rates.bend,
            rates.unseen,
            rates.longest,
            rates.rise,
            rates.drop,
            rates.lift,
            rates.aging,
            stays,
            falls,
            again,
            result[part],
        )

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        list(workers.map(run, range(0, rows, _ROWS_AT_ONCE)))
    return result


def _after_a_change(rates: Rates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a year by what the structure adds (steps of `_STEP`), condition and bin.

    Returns
    -------
    stays, falls : np.ndarray of shape (steps, 5, bins), float32
        Of staying in the condition, and of falling.
    again : np.ndarray of shape (steps, 5), float64
        Of falling in the half of a year after the change, on average.
    """
    found = np.clip(np.arange(_BINS) + 1 - FOUND_AFTER, SHORTEST, rates.longest)
    duration = np.log(found / PIVOT)
    by_time = rates.slope[:, None] * duration + rates.bend * np.maximum(0, duration)
    added = np.arange(round((_HIGHEST - _LOWEST) / _STEP) + 1) * _STEP + _LOWEST
    fall = np.exp(added[:, None, None] + (rates.level[:, None] + rates.entry[:, None] + by_time))
    leave = fall + rates.rise[:, None]
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
    again,
    result,
):
    steps, states, bins = stays.shape
    horizon = result.shape[1] - 1
    oldest = len(aging) - 1
    mass, aged = np.zeros((states, bins)), np.zeros((states, bins))
    entering = np.zeros(states)
    there = np.zeros(states, dtype=np.bool_)  # whether anybody stands in a condition
    for row in range(len(state)):
        first = state[row]
        still, poor = 1.0, 0.0
        mass[:] = 0.0
        aged[:] = 0.0
        there[:] = False
        result[row, 0] = 0.0
        for year in range(horizon):
            older = aging[min(oldest, max(0, int(age[row] + year)))]
            entering[:] = 0.0

            by_time = unseen[first]
            if seen[row]:
                duration = np.log(min(longest, max(SHORTEST, years[row] + year + 0.5)) / PIVOT)
                by_time = slope[first] * duration + bend * max(0.0, duration)
            fall = np.exp(level[first] + by_time + now[row] + older)
            leaving = still * -np.expm1(-(fall + rise[first]))
            still -= leaving
            falling = leaving * fall / (fall + rise[first])
            poor += falling * drop[first, 0]
            for to in range(states):
                entering[to] += falling * drop[first, 1 + to] + (leaving - falling) * lift[first, to]

            step = min(steps - 1, max(0, int((later[row] + older - _LOWEST) / _STEP + 0.5)))
            occupied = min(bins, year)
            for at in range(states):
                if not there[at]:
                    continue
                leaving = falling = 0.0
                aged[at, bins - 1] = 0.0
                for bin_ in range(occupied):
                    here = mass[at, bin_]
                    kept = here * stays[step, at, bin_]
                    leaving += here - kept
                    falling += here * falls[step, at, bin_]
                    if bin_ < bins - 1:
                        aged[at, bin_ + 1] = kept
                    else:
                        aged[at, bin_] += kept
                poor += falling * drop[at, 0]
                for to in range(states):
                    entering[to] += falling * drop[at, 1 + to] + (leaving - falling) * lift[at, to]

            # Who comes in the middle of the year may fall again before it ends. Conditions are gone through downwards.
            for at in range(states - 1, -1, -1):
                if entering[at] > 0.0:
                    falling = entering[at] * again[step, at]
                    entering[at] -= falling
                    poor += falling * drop[at, 0]
                    for to in range(at):
                        entering[to] += falling * drop[at, 1 + to]
                aged[at, 0] = entering[at]
                there[at] |= entering[at] > 0.0
            mass, aged = aged, mass
            result[row, year + 1] = min(1.0, poor)


def restricted_mean(poor: np.ndarray) -> np.ndarray:
    """Mean of the years until Poor, in which later than the horizon counts as the horizon; (n, horizon + 1) -> (n,)."""
    survival = 1.0 - poor.astype(np.float64)
    return (survival[:, :-1] + survival[:, 1:]).sum(axis=1) / 2


def years_by_which(poor: np.ndarray, share: float) -> np.ndarray:
    """Years by which the probability of Poor reaches `share`, linear within a year; NaN where it does not within the
    horizon. (n, horizon + 1) -> (n,).
    """
    reached = poor >= share
    year = np.maximum(1, reached.argmax(axis=1))
    rows = np.arange(len(poor))
    before, after = poor[rows, year - 1].astype(np.float64), poor[rows, year].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        years = year - 1 + (share - before) / (after - before)
    return np.where(reached[:, -1], years, np.nan)
