"""Deterioration and repair of the components in the sample, and the true probability that the condition falls.

Everything here depends only on values in the inventory at an inspection or before it, so that a model can in principle
learn all of it. Between two inspections that are ``T`` years apart:

1. **Rehabilitation** of the whole structure, with probability ``1 - exp(-w(M) T)``, where ``M`` is the condition (the
   lowest rating). Every component rises to at least its rating in `AFTER_REHABILITATION`, item 106 (year reconstructed)
   is set, and nothing falls.
2. Otherwise each component is, independently of the others, **repaired** with probability ``1 - exp(-u(r) T)``, which
   raises its rating ``r`` by one or two points.
3. Otherwise it **falls** with probability ``1 - exp(-h T)``, by two points with probability
   `TWO_POINT_FALL_PROBABILITY`, else by one.

The yearly rate of falling is a product of smooth factors::

    h = rate(r) * (clip(t, 1, 12) / 6) ** SHAPE         t: years since the last change of the condition
        * exp( SALT * (s - 1/2)                         s = 1 / (1 + exp(-(latitude - 38.5) / 1.5))
             + TRUCKS * (log10(1 + trucks per day) - 2) items 29 x 109
             + AGING * (min(a, 80) - 40) / 40           a: years since built or reconstructed
             + kind(component, 43A)                     `MATERIAL_EFFECTS`; continuous spans as simple ones
             + PROTECTED * [deck, and 108C is 1 to 4]
             + SCOUR * (8 - item 113) / 5 )             substructure and culvert; U, T and 6 count as 5, 9 and N as 8

Sources of the numbers: the profile of ``rate(r)`` and ``u(r)`` follows the yearly rating changes in Massachusetts, 2000
to 2012: a 9 falls about once in four years, an 8 once in eight, a 7 or 6 once in eighteen, and below 5 repairs are more
frequent than falls. With `DURATION_SHAPE` above 0 the rate grows with time, as found by Weibull duration models of
condition ratings (Mishalani and Madanat, 2002 [1]_). That literature agrees that de-icing salt, trucks, age and
uncoated bars accelerate deterioration. The effects, above all that of salt, are stronger than in reality: they are
chosen so that the results are close to national figures (about 6 % of deck ratings fall per year, 84 % stay when the
inspection date changes; 45 % Good, 48 % Fair, 7 % Poor) and so that the true probabilities rank the falls with an AUC
of about 0.78. Unlike in real files, no rating changes without a new inspection date.

References
----------
.. [1] R. G. Mishalani and S. M. Madanat, "Computation of infrastructure transition probabilities using stochastic
   duration models", Journal of Infrastructure Systems 8(4), 2002.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

#: Order of the components in every array here: items 58, 59, 60 and 62.
COMPONENTS = ("deck", "superstructure", "substructure", "culvert")

#: Rating of a component that the structure does not have.
ABSENT = -1

#: How far ahead a label looks for the next inspection (the longest interval of 23 CFR 650.311).
HORIZON_MONTHS = 48

#: Months by which an inspection is early (negative) or late -> share. No two inspections are less than a year apart.
INSPECTION_DELAYS = {-2: 0.05, -1: 0.13, 0: 0.42, 1: 0.17, 2: 0.08, 3: 0.05, 6: 0.05, 12: 0.05}
MIN_INTERVAL_MONTHS = 12

# Yearly rates by rating 0 to 9. A rating of 1 does not fall further, and 0 does not occur.
FALL_RATE = np.array([0, 0, 0.017, 0.019, 0.02, 0.021, 0.025, 0.033, 0.095, 0.24])
REPAIR_RATE = np.array([0, 0.2, 0.18, 0.17, 0.13, 0.058, 0.026, 0.006, 0, 0])
REHABILITATION_RATE = np.array([0, 0.1, 0.08, 0.05, 0.03, 0.005, 0.002, 0.0005, 0, 0])
REMOVAL_RATE = np.array([0, 0.08, 0.06, 0.04, 0.018, 0.004, 0.002, 0.001, 0.0005, 0])

TWO_POINT_FALL_PROBABILITY, TWO_POINT_FALL_MIN_RATING = 0.08, 4
TWO_POINT_REPAIR_PROBABILITY = 0.2
AFTER_REHABILITATION = np.array([8, 7, 7, 7])

DURATION_SHAPE, MAX_DURATION_YEARS = 0.6, 12
SALT_EFFECT, TRUCK_EFFECT, AGE_EFFECT, PROTECTION_EFFECT, SCOUR_EFFECT = 2.5, 0.4, 0.2, -0.25, 0.2

#: For each component, in the order of `COMPONENTS`: simple-span code of item 43A -> logarithm of its factor, else 0.
MATERIAL_EFFECTS: tuple[dict[str, float], ...] = ({"3": 0.1, "7": 0.4}, {"3": 0.2, "7": 0.5}, {"7": 0.4}, {"3": 0.4})


def lowest(ratings: np.ndarray) -> np.ndarray:
    """The condition: the lowest rating of the components that the structure has, (n, 4) -> (n,)."""
    return np.where(ratings == ABSENT, 9, ratings).min(axis=1)


@dataclass(frozen=True, slots=True)
class StructureState:
    """The state of n structures at an inspection; arrays (n,), or (n, 4) by component.

    Attributes
    ----------
    ratings : array of int, (n, 4)
        `ABSENT` for a component that the structure does not have.
    years_in_condition : array, (n,)
        Years since the last change of the condition.
    years_since_work : array, (n,)
        Years since it was built or reconstructed.
    trucks : array, (n,)
        Trucks per day, items 29 x 109 as published at that inspection.
    static_log_rate : array, (n, 4)
        `static_log_rate` of the structures.
    """

    ratings: np.ndarray
    years_in_condition: np.ndarray
    years_since_work: np.ndarray
    trucks: np.ndarray
    static_log_rate: np.ndarray

    @property
    def condition(self) -> np.ndarray:
        """The lowest rating, (n,)."""
        return lowest(self.ratings)


def static_log_rate(population: pl.DataFrame) -> np.ndarray:
    """Logarithm of the rate factors that do not change over time: salt, kind, protection and scour.

    Returns
    -------
    array, shape (structures, 4)
    """
    kind = population["kind"].replace({"2": "1", "4": "3", "6": "5"})
    salt = SALT_EFFECT * (1 / (1 + np.exp(-(population["latitude"].to_numpy() - 38.5) / 1.5)) - 0.5)
    columns = [
        salt + kind.replace_strict(table, default=0.0, return_dtype=pl.Float64).to_numpy() for table in MATERIAL_EFFECTS
    ]
    columns[0] = columns[0] + PROTECTION_EFFECT * population["protection"].is_in(["1", "2", "3", "4"]).to_numpy()
    counted = population["scour"].replace({"N": "8", "9": "8", "U": "5", "T": "5", "6": "5"}).cast(pl.Int64).to_numpy()
    for index in (2, 3):
        columns[index] = columns[index] + SCOUR_EFFECT * (8 - counted) / 5
    return np.column_stack(columns)


def fall_rate(state: StructureState) -> np.ndarray:
    """Yearly rate of falling by component, (n, 4); 0 for an absent component."""
    shared = (
        DURATION_SHAPE * np.log(np.clip(state.years_in_condition, 1, MAX_DURATION_YEARS) / 6)
        + TRUCK_EFFECT * (np.log10(1 + state.trucks) - 2)
        + AGE_EFFECT * (np.minimum(state.years_since_work, 80) - 40) / 40
    )
    rate = FALL_RATE[state.ratings] * np.exp(state.static_log_rate + shared[:, None])
    return np.where(state.ratings == ABSENT, 0, rate)


@dataclass(frozen=True, slots=True)
class OutcomeProbabilities:
    """Probabilities of the outcomes before the next inspection: rehabilitation (n,), the others (n, 4)."""

    rehabilitation: np.ndarray
    repair: np.ndarray
    fall: np.ndarray
    two_points: np.ndarray


def outcome_probabilities(state: StructureState, years: np.ndarray | float) -> OutcomeProbabilities:
    """Probabilities of each outcome over an interval of `years` ((n,) or one number).

    `repair` is conditional on no rehabilitation, `fall` on neither, and `two_points` on a fall.
    """
    interval = np.broadcast_to(years, state.trucks.shape)
    absent = state.ratings == ABSENT
    return OutcomeProbabilities(
        rehabilitation=1 - np.exp(-REHABILITATION_RATE[state.condition] * interval),
        repair=np.where(absent, 0, 1 - np.exp(-REPAIR_RATE[state.ratings] * interval[:, None])),
        fall=1 - np.exp(-fall_rate(state) * interval[:, None]),
        two_points=np.where(state.ratings >= TWO_POINT_FALL_MIN_RATING, TWO_POINT_FALL_PROBABILITY, 0.0),
    )


def fall_probability_within(state: StructureState, years: np.ndarray | float) -> np.ndarray:
    """Probability, (n,), that the condition is lower after an interval of `years`.

    The condition M falls if any component ends below M: a component at M by any fall, one at M + 1 by a fall of two
    points. Since the components are independent unless the structure is rehabilitated,
    P = (1 - P(rehabilitation)) (1 - product over components of (1 - P(ends below M))).
    """
    outcome = outcome_probabilities(state, years)
    above = state.ratings - state.condition[:, None]
    falls = (1 - outcome.repair) * outcome.fall
    below = np.where(above == 0, falls, np.where(above == 1, falls * outcome.two_points, 0))
    below = np.where(state.ratings == ABSENT, 0, below)
    return (1 - outcome.rehabilitation) * (1 - np.prod(1 - below, axis=1))


def fall_probability(state: StructureState, frequency: np.ndarray) -> np.ndarray:
    """Probability, (n,), that the condition is lower at the next inspection, if this takes place within the horizon.

    Parameters
    ----------
    state : StructureState
    frequency : array of int, (n,)
        Designated interval in months (item 91).

    Notes
    -----
    The actual date of the next inspection is not known at this one. The probability is therefore the weighted mean over
    those `INSPECTION_DELAYS` that keep the interval within `HORIZON_MONTHS`.
    """
    weighted, total = np.zeros(len(frequency)), np.zeros(len(frequency))
    for delay, share in INSPECTION_DELAYS.items():
        months = np.maximum(MIN_INTERVAL_MONTHS, frequency + delay)
        weight = np.where(months <= HORIZON_MONTHS, share, 0.0)
        weighted += weight * fall_probability_within(state, months / 12)
        total += weight
    return weighted / total
