"""Simulated bridges with known rates of falling, inspected at uneven intervals and censored at random."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.nbi.derived import DAYS_PER_YEAR

#: Yearly rate at which a condition of 5, 6, 7, 8, 9 falls by one point, before the factor of the structure.
TRUE_RATES = np.array([0.05, 0.07, 0.08, 0.15, 0.3])

#: The factor of a structure is exp(TRUE_EFFECT * log_trucks), with log_trucks standard normal.
TRUE_EFFECT = 0.6

FIRST_YEAR = 2000


def condition_end_times(rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Times, shape (n, 5), at which conditions 9 to 5 end in a life that begins with 9 at time 0."""
    return np.cumsum(random.exponential(1 / rates[:, ::-1]), axis=1)


def simulate_intervals(
    structures: int,
    years: int = 20,
    censoring_rate: float = 0.03,
    seed: int = 0,
    months_between: tuple[int, ...] = (12, 24, 24, 24, 48),
) -> pl.DataFrame:
    """Intervals between inspections as `intervals_at_risk` returns them, with features in natural units.

    Every life begins long before the first inspection, so that the time in the first condition is only partly known.
    `censoring_rate` is the yearly rate at which a structure is lost to follow-up.
    """
    random = np.random.default_rng(seed)
    factor = random.normal(size=structures)
    rates = TRUE_RATES * np.exp(TRUE_EFFECT * factor)[:, None]
    ends = condition_end_times(rates, random)
    observation_starts = random.uniform(5, 25, structures)
    ages = random.uniform(5, 70, structures)
    rows = []
    for index in range(structures):
        lost = random.exponential(1 / censoring_rate) if censoring_rate else np.inf
        months = np.cumsum(random.choice(months_between, size=years))
        times = np.concatenate([[0], months / 12])
        times = times[times <= min(years, lost)]
        condition = 9 - (ends[index] <= (observation_starts[index] + times)[:, None]).sum(axis=1)
        since, falls_so_far = 0.0, 0
        for position in range(len(times) - 1):
            if position and condition[position] != condition[position - 1]:
                since, falls_so_far = times[position], falls_so_far + 1
            if condition[position] <= 4:
                break
            rows.append(
                (
                    f"01-{index:06d}",
                    times[position],
                    times[position + 1],
                    int(condition[position]),
                    int(condition[position + 1]),
                    times[position] - since,
                    falls_so_far,
                    factor[index],
                    ages[index] + times[position],
                )
            )
    names = ("structure_key", "at", "next_at", "condition", "next_condition", "years_in_condition", "falls_so_far")
    table = pl.DataFrame(rows, schema=[*names, "log_trucks", "age_since_work"], orient="row")
    start = date(FIRST_YEAR, 1, 1)

    def day(name: str) -> pl.Series:
        return pl.Series([start + timedelta(days=round(each * DAYS_PER_YEAR)) for each in table[name]])

    constant = [pl.lit(0.0).alias(name) for name in FEATURE_NAMES if name not in table.columns]
    return (
        table.with_columns(
            survey_year=(pl.col("at").floor().cast(pl.Int16) + FIRST_YEAR),
            next_survey_year=(pl.col("next_at").floor().cast(pl.Int16) + FIRST_YEAR),
            inspection_date=day("at"),
            next_inspection_date=day("next_at"),
            work_found=pl.lit(None, dtype=pl.String),
            years=pl.col("next_at") - pl.col("at"),
            next_condition=pl.col("next_condition").cast(pl.Int8),
        )
        .with_columns(constant)
        .with_columns(pl.col(*FEATURE_NAMES).cast(pl.Float32))
        .drop("at", "next_at")
    )
