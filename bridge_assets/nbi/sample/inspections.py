"""Simulates the inspections of every structure from its opening to the last survey year.

Ratings are determined only at inspections; in between, the yearly files carry the last inspection forward. The file of
survey year Y contains the inspections up to March of Y.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from bridge_assets.nbi.derived import CULVERT_DESIGN
from bridge_assets.nbi.sample.deterioration import (
    ABSENT,
    AFTER_REHABILITATION,
    COMPONENTS,
    INSPECTION_DELAYS,
    MIN_INTERVAL_MONTHS,
    REMOVAL_RATE,
    TWO_POINT_REPAIR_PROBABILITY,
    StructureState,
    fall_probability,
    lowest,
    outcome_probabilities,
    static_log_rate,
)
from bridge_assets.nbi.sample.draws import draw_index
from bridge_assets.nbi.sample.population import ADT_YEAR
from bridge_assets.nbi.sample.spec import SampleSpec

#: Years between two traffic counts of a structure.
YEARS_BETWEEN_COUNTS = 5

#: Upper limit of a traffic count, in vehicles per day and lane: 2,400 in the busiest hour, which has about one tenth of
#: the daily traffic (TRB, Highway Capacity Manual).
MAX_ADT_PER_LANE = 24_000


def first_survey_year(month: np.ndarray) -> np.ndarray:
    """First survey year whose file contains an inspection of this month (12 x year + month - 1); March is the last."""
    return (month + 9) // 12


def simulate(population: pl.DataFrame, spec: SampleSpec, rng: np.random.Generator) -> pl.DataFrame:
    """Inspect every structure repeatedly, with deterioration and repair between the inspections.

    Returns
    -------
    pl.DataFrame
        One row for each inspection in a file of the sample, ordered by structure and month: structure (row of the
        population), month, frequency (months, item 91), deck, superstructure, substructure, culvert (-1 if absent),
        reconstructed (year, 0 = never), adt, adt_year, first_file and last_file (survey years), fall_probability.

    Notes
    -----
    The years before the first survey year are simulated in the same way, so that ratings, their ages and the years of
    reconstruction are consistent when the survey begins. A structure that would have been removed before is
    reconstructed instead, because every structure in the first year must have survived.
    """
    following = pl.col("first_file").shift(-1).over("structure") - 1
    removed = pl.when(pl.col("removed_from") > 0).then(pl.col("removed_from") - 1)
    return (
        pl.DataFrame(_InspectionSimulator(population, spec, rng).run())
        .sort("structure", "month")
        .with_columns(
            first_file=pl.max_horizontal("first_file", pl.lit(spec.first_year)),
            last_file=pl.min_horizontal(pl.coalesce(removed, following, spec.last_year), pl.lit(spec.last_year)),
        )
        .filter(pl.col("first_file") <= pl.col("last_file"))
        .drop("removed_from")
    )


class _InspectionSimulator:
    """The state of all structures while `simulate` advances from inspection to inspection."""

    def __init__(self, population: pl.DataFrame, spec: SampleSpec, rng: np.random.Generator) -> None:
        size = population.height
        self.spec, self.rng = spec, rng
        self.static_log_rate = static_log_rate(population)
        self.built, self.opened = population["built"].to_numpy(), population["opened"].to_numpy()
        self.base_adt, self.growth = population["base_adt"].to_numpy(), population["growth"].to_numpy()
        self.truck_percent, self.lanes = population["truck_percent"].to_numpy(), population["lanes"].to_numpy()
        culvert = (population["design"] == CULVERT_DESIGN).to_numpy()
        self.absent = np.column_stack([culvert, culvert, culvert, ~culvert])
        # Some owners inspect Poor structures every year, and low-risk ones every 48 months (23 CFR 650.311).
        self.inspects_poor_yearly = rng.random(size) < 0.6
        low_risk = culvert | (population["longest_span"].to_numpy() < 25) & (population["kind"].to_numpy() != "7")
        self.uses_long_interval = population["long_intervals"].to_numpy() & low_risk & (rng.random(size) < 0.4)
        self.count_phase = (rng.random(size) * YEARS_BETWEEN_COUNTS).astype(int)

        initial_ratings = np.where(rng.random((size, len(COMPONENTS))) < 0.5, 9, 8)
        self.ratings = np.where(self.absent, ABSENT, initial_ratings)
        self.month = self.opened + 1 + (9 * rng.random(size)).astype(int)
        self.condition_since = self.opened.copy()
        self.reconstructed = np.zeros(size, dtype=int)

    def run(self) -> dict[str, np.ndarray]:
        found: list[dict[str, np.ndarray]] = []
        active = np.flatnonzero(first_survey_year(self.month) <= self.spec.last_year)
        while len(active):
            state, frequency = self._state(active), self._frequency(active)
            shown = first_survey_year(self.month[active])
            delay = np.array(list(INSPECTION_DELAYS))[
                draw_index(self.rng, list(INSPECTION_DELAYS.values()), len(active))
            ]
            interval = np.maximum(MIN_INTERVAL_MONTHS, frequency + delay)
            removal = self.rng.random(len(active)) < 1 - np.exp(-REMOVAL_RATE[state.condition] * frequency / 12)
            removed = removal & (shown >= self.spec.first_year)
            removed_from = np.where(removed, shown + 1 + (self.rng.random(len(active)) * interval / 12).astype(int), 0)
            # Only if no file contains this inspection, because the oracle does not account for it.
            rebuilt = removal & (first_survey_year(self.month[active] + interval) <= self.spec.first_year)
            adt, adt_year = self._traffic(active)
            row = {
                "structure": active,
                "month": self.month[active],
                "frequency": frequency,
                **{name: state.ratings[:, index] for index, name in enumerate(COMPONENTS)},
                "reconstructed": self.reconstructed[active],
                "adt": adt,
                "adt_year": adt_year,
                "first_file": shown,
                "removed_from": removed_from,
                "fall_probability": fall_probability(state, frequency),
            }
            found.append(row)
            self._advance(active, state, interval, rebuilt & ~removed)
            active = active[~removed & (first_survey_year(self.month[active]) <= self.spec.last_year)]
        return {name: np.concatenate([row[name] for row in found]) for name in found[0]}

    def _state(self, active: np.ndarray) -> StructureState:
        month = self.month[active]
        work = np.maximum(self.built[active], self.reconstructed[active])
        return StructureState(
            ratings=self.ratings[active],
            years_in_condition=(month - self.condition_since[active]) / 12,
            years_since_work=month // 12 - work,
            trucks=self._traffic(active)[0] * self.truck_percent[active] / 100,
            static_log_rate=self.static_log_rate[active],
        )

    def _traffic(self, active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        year = self.month[active] // 12
        counted = np.maximum(year - (year + self.count_phase[active]) % YEARS_BETWEEN_COUNTS, self.built[active])
        adt = self.base_adt[active] * (1 + self.growth[active]) ** (counted - ADT_YEAR)
        adt = np.minimum(adt, MAX_ADT_PER_LANE * self.lanes[active])
        step = np.where(adt < 1000, 5, np.where(adt < 10_000, 10, 100))
        return (np.maximum(1, (adt / step).round()) * step).astype(int), counted

    def _frequency(self, active: np.ndarray) -> np.ndarray:
        condition = lowest(self.ratings[active])
        frequency = np.where((condition <= 4) & self.inspects_poor_yearly[active], 12, 24)
        return np.where((condition >= 7) & self.uses_long_interval[active], 48, frequency)

    def _advance(self, active: np.ndarray, state: StructureState, interval: np.ndarray, rebuilt: np.ndarray) -> None:
        rng, shape = self.rng, state.ratings.shape
        outcome = outcome_probabilities(state, interval / 12)
        rehabilitated = (rng.random(shape[0]) < outcome.rehabilitation) | rebuilt
        repaired = rng.random(shape) < outcome.repair
        falls = ~repaired & (rng.random(shape) < outcome.fall)
        rise = np.where(rng.random(shape) < TWO_POINT_REPAIR_PROBABILITY, 2, 1)
        drop = np.where(rng.random(shape) < outcome.two_points, 2, 1)
        next_ratings = np.where(
            repaired, np.minimum(state.ratings + rise, 8), np.where(falls, state.ratings - drop, state.ratings)
        )
        next_ratings = np.where(rehabilitated[:, None], np.maximum(state.ratings, AFTER_REHABILITATION), next_ratings)
        next_ratings = np.where(self.absent[active], ABSENT, next_ratings)
        self.month[active] += interval
        self.ratings[active] = next_ratings
        changed = lowest(next_ratings) != state.condition
        self.condition_since[active] = np.where(changed, self.month[active], self.condition_since[active])
        self.reconstructed[active] = np.where(rehabilitated, self.month[active] // 12, self.reconstructed[active])
