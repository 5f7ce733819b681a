"""The inspections of every structure, one after another, from its opening to the last survey year.

Ratings are found at inspections only; in between a yearly file carries the last inspection forward. The file of survey
year Y holds what was inspected until March of Y.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from bridge_assets.nbi.derived import CULVERT_DESIGN
from bridge_assets.nbi.sample.deterioration import (
    ABSENT,
    AFTER_REHABILITATION,
    COMPONENTS,
    DELAYS,
    REMOVAL_RATE,
    REPAIRED_BY_TWO,
    SHORTEST_INTERVAL,
    Standing,
    chances,
    fall_probability,
    lasting_speed,
    lowest,
)
from bridge_assets.nbi.sample.draws import pick
from bridge_assets.nbi.sample.population import ADT_YEAR
from bridge_assets.nbi.sample.spec import SampleSpec

#: Years between two counts of traffic at one place.
YEARS_BETWEEN_COUNTS = 5

#: Vehicles a day and lane that no count exceeds: 2,400 an hour in the busiest hour, which has about a tenth of the day
#: (TRB, Highway Capacity Manual).
MOST_TRAFFIC_A_LANE = 24_000


def survey_year_showing(month: np.ndarray) -> np.ndarray:
    """The first survey year whose file holds an inspection of this month (12 x year + month - 1); the last is March."""
    return (month + 9) // 12


def simulate(population: pl.DataFrame, spec: SampleSpec, rng: np.random.Generator) -> pl.DataFrame:
    """Inspect every structure again and again, and let deterioration and repair work in between.

    Returns
    -------
    pl.DataFrame
        One row for each inspection that a file of the sample shows, ordered by structure and month: structure (row of
        the population), month, frequency (months, item 91), deck, superstructure, substructure, culvert (-1 where there
        is none), reconstructed (year, 0 = never), adt, adt_year, first_file and last_file (survey years),
        fall_probability.

    Notes
    -----
    The time before the first survey year is lived through in the same way, so that ratings, their ages and the years of
    reconstruction fit together when the survey begins. A structure that would have been removed then is reconstructed
    instead: what stands in the first year has survived.
    """
    following = pl.col("first_file").shift(-1).over("structure") - 1
    removed = pl.when(pl.col("removed_from") > 0).then(pl.col("removed_from") - 1)
    return (
        pl.DataFrame(_Life(population, spec, rng).run())
        .sort("structure", "month")
        .with_columns(
            first_file=pl.max_horizontal("first_file", pl.lit(spec.first_year)),
            last_file=pl.min_horizontal(pl.coalesce(removed, following, spec.last_year), pl.lit(spec.last_year)),
        )
        .filter(pl.col("first_file") <= pl.col("last_file"))
        .drop("removed_from")
    )


class _Life:
    """The state of all structures while `simulate` goes from inspection to inspection."""

    def __init__(self, population: pl.DataFrame, spec: SampleSpec, rng: np.random.Generator) -> None:
        size = population.height
        self.spec, self.rng = spec, rng
        self.lasting = lasting_speed(population)
        self.built, self.opened = population["built"].to_numpy(), population["opened"].to_numpy()
        self.base_adt, self.growth = population["base_adt"].to_numpy(), population["growth"].to_numpy()
        self.truck_percent, self.lanes = population["truck_percent"].to_numpy(), population["lanes"].to_numpy()
        culvert = (population["design"] == CULVERT_DESIGN).to_numpy()
        self.absent = np.column_stack([culvert, culvert, culvert, ~culvert])
        # Owners' habits: who inspects what is Poor every year, and what is low risk every fourth (23 CFR 650.311).
        self.watches_poor = rng.random(size) < 0.6
        low_risk = culvert | (population["longest_span"].to_numpy() < 25) & (population["kind"].to_numpy() != "7")
        self.waits = population["long_intervals"].to_numpy() & low_risk & (rng.random(size) < 0.4)
        self.count_phase = (rng.random(size) * YEARS_BETWEEN_COUNTS).astype(int)

        new = np.where(rng.random((size, len(COMPONENTS))) < 0.5, 9, 8)
        self.ratings = np.where(self.absent, ABSENT, new)
        self.month = self.opened + 1 + (9 * rng.random(size)).astype(int)
        self.condition_since = self.opened.copy()
        self.reconstructed = np.zeros(size, dtype=int)

    def run(self) -> dict[str, np.ndarray]:
        found: list[dict[str, np.ndarray]] = []
        alive = np.flatnonzero(survey_year_showing(self.month) <= self.spec.last_year)
        while len(alive):
            standing, frequency = self._standing(alive), self._frequency(alive)
            shown = survey_year_showing(self.month[alive])
            delay = np.array(list(DELAYS))[pick(self.rng, list(DELAYS.values()), len(alive))]
            interval = np.maximum(SHORTEST_INTERVAL, frequency + delay)
            removal = self.rng.random(len(alive)) < 1 - np.exp(-REMOVAL_RATE[standing.condition] * frequency / 12)
            removed = removal & (shown >= self.spec.first_year)
            removed_from = np.where(removed, shown + 1 + (self.rng.random(len(alive)) * interval / 12).astype(int), 0)
            # Only where no file shows this inspection: the oracle knows nothing of it.
            rebuilt = removal & (survey_year_showing(self.month[alive] + interval) <= self.spec.first_year)
            adt, adt_year = self._traffic(alive)
            row = {
                "structure": alive,
                "month": self.month[alive],
                "frequency": frequency,
                **{name: standing.ratings[:, index] for index, name in enumerate(COMPONENTS)},
                "reconstructed": self.reconstructed[alive],
                "adt": adt,
                "adt_year": adt_year,
                "first_file": shown,
                "removed_from": removed_from,
                "fall_probability": fall_probability(standing, frequency),
            }
            found.append(row)
            self._live_on(alive, standing, interval, rebuilt & ~removed)
            alive = alive[~removed & (survey_year_showing(self.month[alive]) <= self.spec.last_year)]
        return {name: np.concatenate([row[name] for row in found]) for name in found[0]}

    def _standing(self, alive: np.ndarray) -> Standing:
        month = self.month[alive]
        work = np.maximum(self.built[alive], self.reconstructed[alive])
        return Standing(
            ratings=self.ratings[alive],
            years_in_condition=(month - self.condition_since[alive]) / 12,
            years_since_work=month // 12 - work,
            trucks=self._traffic(alive)[0] * self.truck_percent[alive] / 100,
            lasting=self.lasting[alive],
        )

    def _traffic(self, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        year = self.month[alive] // 12
        counted = np.maximum(year - (year + self.count_phase[alive]) % YEARS_BETWEEN_COUNTS, self.built[alive])
        adt = self.base_adt[alive] * (1 + self.growth[alive]) ** (counted - ADT_YEAR)
        adt = np.minimum(adt, MOST_TRAFFIC_A_LANE * self.lanes[alive])
        step = np.where(adt < 1000, 5, np.where(adt < 10_000, 10, 100))
        return (np.maximum(1, (adt / step).round()) * step).astype(int), counted

    def _frequency(self, alive: np.ndarray) -> np.ndarray:
        condition = lowest(self.ratings[alive])
        frequency = np.where((condition <= 4) & self.watches_poor[alive], 12, 24)
        return np.where((condition >= 7) & self.waits[alive], 48, frequency)

    def _live_on(self, alive: np.ndarray, standing: Standing, interval: np.ndarray, rebuilt: np.ndarray) -> None:
        rng, shape = self.rng, standing.ratings.shape
        outcome = chances(standing, interval / 12)
        rehabilitated = (rng.random(shape[0]) < outcome.rehabilitation) | rebuilt
        repaired = rng.random(shape) < outcome.repair
        falls = ~repaired & (rng.random(shape) < outcome.fall)
        rise = np.where(rng.random(shape) < REPAIRED_BY_TWO, 2, 1)
        drop = np.where(rng.random(shape) < outcome.two_points, 2, 1)
        after = np.where(
            repaired, np.minimum(standing.ratings + rise, 8), np.where(falls, standing.ratings - drop, standing.ratings)
        )
        after = np.where(rehabilitated[:, None], np.maximum(standing.ratings, AFTER_REHABILITATION), after)
        after = np.where(self.absent[alive], ABSENT, after)
        self.month[alive] += interval
        self.ratings[alive] = after
        changed = lowest(after) != standing.condition
        self.condition_since[alive] = np.where(changed, self.month[alive], self.condition_since[alive])
        self.reconstructed[alive] = np.where(rehabilitated, self.month[alive] // 12, self.reconstructed[alive])
