"""The power of the drift alarm on the generated sample: what it finds, how soon, and how often it is wrong.

For each seed half of the sample's structures are drawn, and one shift is put into one feature (or the predictions) from
one analysis year on, in all states or in one; and in one state one item is recoded in one year. Everything is then
compared as in drift_report, with the settings of the repository. Years before the shift are quiet: an alarm there is
false, and so is one for any other feature later.

    alarm       a feature or the predictions drifted in all states together, or in one
    size        of the shift, in standard deviations; for 0/1 features the share of the bridges, times five,
                that get the rarer value
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.drift import processor_name
from benchmarks.interleaved import working_folder
from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.data.lake import Lake
from bridge_assets.drift.codes import coded_records, compared_items
from bridge_assets.drift.counts import ValueCounts
from bridge_assets.drift.numbers import ALL_STATES, FEATURE, PREDICTION, NumberColumn, compare_column, count_by_state
from bridge_assets.drift.periods import Periods
from bridge_assets.drift.recoding import recoded_items, recoding_rows
from bridge_assets.drift.report import ServedPredictions, features_by_state, predictions_by_state
from bridge_assets.settings import DriftSettings

SEEDS = int(os.environ.get("BRIDGE_ASSETS_POWER_SEEDS", "200"))

#: Sizes of shifts in standard deviations.
SIZES = (0.25, 0.5, 1.0)

#: Shares of a state's bridges whose code is changed.
RECODED_SHARES = (0.15, 0.3, 0.6)

PREDICTION_COLUMN = "fall_probability"


@dataclass(frozen=True)
class Sample:
    """Features, predictions and codes of every survey year, and the reference years of the served model."""

    tables: dict[int, pl.DataFrame]
    codes: dict[int, pl.DataFrame]
    periods: Periods
    columns: dict[str, SortedColumn]


@dataclass(frozen=True)
class SortedColumn:
    """A column of all years, sorted once, so that any part of the structures is counted without sorting again.

    Attributes
    ----------
    values, keys : ndarray, shape (n,)
        In the order of year, state and value, NaN last; keys are hashes of the structure keys.
    starts : ndarray, shape (groups + 1,)
        Where each year and state begins.
    groups : list of (int, str)
        Year and state.
    """

    values: np.ndarray
    keys: np.ndarray
    starts: np.ndarray
    groups: list[tuple[int, str]]

    @classmethod
    def of(cls, tables: dict[int, pl.DataFrame], name: str) -> SortedColumn:
        parts = [
            table.select(
                pl.lit(year).alias("year"), "state", pl.col(name).cast(pl.Float64).fill_null(np.nan), "structure_key"
            )
            for year, table in tables.items()
        ]
        table = pl.concat(parts).sort("year", "state", name)
        groups = table.group_by("year", "state", maintain_order=True).agg(pl.len())
        starts = np.concatenate([[0], groups["len"].cum_sum().to_numpy()])
        keys = table["structure_key"].hash(0).to_numpy()
        return cls(table[name].to_numpy(), keys, starts, groups.select("year", "state").rows())

    def count(self, drawn: np.ndarray) -> dict[int, dict[str, ValueCounts]]:
        """Year -> state -> counts, as `count_by_state`, of the rows of the drawn structures."""
        found: dict[int, dict[str, ValueCounts]] = {}
        for (year, state), start, end in zip(self.groups, self.starts[:-1], self.starts[1:], strict=True):
            values = self.values[start:end][drawn[start:end]]
            present = values[: np.searchsorted(values, np.inf, side="right")]  # NaN is last
            firsts = np.flatnonzero(np.diff(present, prepend=np.nan) != 0)
            counts = np.diff(firsts, append=present.size).astype(np.int64)
            found.setdefault(year, {})[state] = ValueCounts(present[firsts], counts, values.size - present.size)
        return found


@dataclass(frozen=True)
class Shift:
    """What is put in: where, from when on, and how large."""

    column: str
    state: str
    year: int
    size: float


def main() -> None:
    sample = _sample(working_folder())
    analysis = [year for year in sample.tables if year > sample.periods.reference[-1]]
    alarms, recodings, started, bridges = Alarms(), Recodings(), time.perf_counter(), 0
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        multiplier = np.uint64(int(random.integers(2**63)) * 2 + 1)
        tables, codes = _draw(sample.tables, multiplier), _draw(sample.codes, multiplier)
        bridges = sum(table.height for table in tables.values()) // len(tables)
        shift = _shift(random, analysis, tables[analysis[0]])
        counts = {name: column.count(_is_drawn(column.keys, multiplier)) for name, column in sample.columns.items()}
        counts[shift.column] = count_by_state(_with_shift(tables, shift, random), shift.column)
        alarms.count(shift, _alarms(counts, analysis, sample.periods), analysis)
        recodings.count(random, codes, analysis, sample.periods.settings)
    minutes = (time.perf_counter() - started) / 60
    print(f"{SEEDS} seeds, {bridges:,} bridges a year, reference {sample.periods.text}, analysis from {analysis[0]}")
    print(f"{processor_name()}, {minutes:.1f} minutes\n")
    alarms.show()
    recodings.show()


class Alarms:
    """Counts of alarms over the seeds."""

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()
        self.delays: list[int] = []

    def count(self, shift: Shift, alarms: set[tuple[int, str]], analysis: list[int]) -> None:
        """Add a seed: `alarms` are (survey year, column)."""
        true = {(year, column) for year, column in alarms if column == shift.column and year >= shift.year}
        self.counts["true"] += len(true)
        self.counts["all"] += len(alarms)
        place = "all states" if shift.state == ALL_STATES else "one state"
        self.counts["put in", place, shift.size] += 1
        self.counts["found", place, shift.size] += bool(true)
        if true:
            self.delays.append(min(year for year, _ in true) - shift.year)
        for year in analysis:
            if year < shift.year:
                self.counts["quiet years"] += 1
                self.counts["false alarm"] += any(when == year for when, _ in alarms)

    def show(self) -> None:
        """Print the figures."""
        quiet, wrong = self.counts["quiet years"], self.counts["false alarm"]
        print(f"precision of alarms: {self.counts['true'] / max(self.counts['all'], 1):.3f} of {self.counts['all']}")
        print(f"quiet years with a false alarm: {wrong} of {quiet}, {wrong / max(quiet, 1):.3f} (limit 0.05)")
        delays = Counter(self.delays)
        print("alarm in the year of the shift, one year later, ...: " + ", ".join(str(delays[n]) for n in range(6)))
        print("\n| shift (standard deviations) | " + " | ".join(map(str, SIZES)) + " |\n|---|" + "---:|" * len(SIZES))
        for place in ("all states", "one state"):
            cells = [f"{self.counts['found', place, size]} of {self.counts['put in', place, size]}" for size in SIZES]
            print(f"| found, {place} | " + " | ".join(cells) + " |")


class Recodings:
    """Counts of recoded items over the seeds."""

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()

    def count(
        self, random: np.random.Generator, codes: dict[int, pl.DataFrame], analysis: list[int], settings: DriftSettings
    ) -> None:
        """Add a seed: one item of one state is recoded in one year, and stays so."""
        items = [item for item in compared_items() if codes[analysis[0]][item].n_unique() > 1]
        item, share = str(random.choice(items)), float(random.choice(RECODED_SHARES))
        year, state = int(random.choice(analysis)), str(random.choice(codes[analysis[0]]["state"].unique().sort()))
        chosen = pl.col("state") == state
        picked = pl.col("structure_key").hash(int(random.integers(2**32))) % 1000 < int(share * 1000)
        changed = {
            each: table.with_columns(
                pl.when(chosen & picked).then(pl.lit("Z9")).otherwise(pl.col(item).cast(pl.String)).alias(item)
            )
            if each >= year
            else table.with_columns(pl.col(item).cast(pl.String))
            for each, table in codes.items()
        }
        self.counts["put in", share] += 1
        for each in analysis:
            found = recoded_items(recoding_rows(changed[each - 1], changed[each], each, compared_items(), settings))
            named = {(name, where) for name, states in found.items() for where in states}
            self.counts["state years"] += codes[each]["state"].n_unique()
            self.counts["false"] += len(named - ({(item, state)} if each == year else set()))
            self.counts["found", share] += each == year and (item, state) in named

    def show(self) -> None:
        """Print the figures."""
        shares = RECODED_SHARES
        print("\n| share of a state's bridges recoded | " + " | ".join(map(str, shares)) + " |")
        print("|---|" + "---:|" * len(shares))
        cells = [f"{self.counts['found', share]} of {self.counts['put in', share]}" for share in shares]
        print("| state and item named | " + " | ".join(cells) + " |")
        wrong, years = self.counts["false"], self.counts["state years"]
        print(f"\nnamed though nothing was recoded: {wrong} in {years:,} years of a state")


def _sample(folder: Path) -> Sample:
    """The sample after a run of the platform in the folder, which is kept for the next call."""
    home = folder / "drift_power_home"
    if not (home / "lake" / "bridge_predictions").is_dir():
        environment = {**os.environ, "BRIDGE_ASSETS_DATA__HOME": str(home), "BRIDGE_ASSETS_DATA__SOURCE": "sample"}
        code = "from bridge_assets.cli import main; main(['run'])"
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.DEVNULL)
    lake = Lake(home / "lake")
    years = lake.available_years("bridge_features")
    scores = lake.read_year("bridge_predictions", years[-1])
    version = str(scores["model_version"][0])
    trained = lake.read("training_set").filter(pl.col("split") == "train")["survey_year"]
    first, last = int(trained.min()), int(trained.max())  # pyright: ignore[reportArgumentType]: integers
    tables = {}
    for year in years:
        predictions = predictions_by_state(lake, year, ServedPredictions(version, PREDICTION_COLUMN))
        assert predictions is not None
        features = features_by_state(lake, year).select("structure_key", "state", *FEATURE_NAMES).collect()
        tables[year] = features.hstack([predictions.collect()[PREDICTION_COLUMN]])
    codes = {year: coded_records(lake.scan_year("raw_bridges", year)) for year in years}
    columns = {name: SortedColumn.of(tables, name) for name in (*FEATURE_NAMES, PREDICTION_COLUMN)}
    return Sample(tables, codes, Periods.choose(DriftSettings(), (first, last), years), columns)


def _draw(tables: dict[int, pl.DataFrame], multiplier: np.uint64) -> dict[int, pl.DataFrame]:
    """Half of the structures, the same in every year."""
    return {
        year: table.filter(pl.Series(_is_drawn(table["structure_key"].hash(0).to_numpy(), multiplier)))
        for year, table in tables.items()
    }


def _is_drawn(keys: np.ndarray, multiplier: np.uint64) -> np.ndarray:
    """Half of the hashes: another half for each odd multiplier."""
    return (keys * multiplier) >> np.uint64(63) == 1


def _shift(random: np.random.Generator, analysis: list[int], table: pl.DataFrame) -> Shift:
    columns = [
        name
        for name in (*FEATURE_NAMES, PREDICTION_COLUMN)
        if table[name].n_unique() > 1 and table[name].null_count() < table.height / 2
    ]
    states = table["state"].value_counts().filter(pl.col("count") >= 200)["state"].sort().to_list()
    state = ALL_STATES if random.random() < 0.5 else str(random.choice(states))
    return Shift(str(random.choice(columns)), state, int(random.choice(analysis)), float(random.choice(SIZES)))


def _with_shift(tables: dict[int, pl.DataFrame], shift: Shift, random: np.random.Generator) -> dict[int, pl.LazyFrame]:
    here = pl.lit(True) if shift.state == ALL_STATES else pl.col("state") == shift.state
    column, values = pl.col(shift.column), pl.concat(tables.values())[shift.column].drop_nulls()
    if values.n_unique() == 2:
        rarer = 1.0 if values.to_numpy().mean() < 0.5 else 0.0
        picked = pl.col("structure_key").hash(int(random.integers(2**32))) % 1000 < int(shift.size * 200)
        moved = pl.when(here & picked & column.is_not_null()).then(rarer).otherwise(column)
    else:
        moved = pl.when(here).then(column + shift.size * float(values.to_numpy().std())).otherwise(column)
    moved = moved.cast(pl.Float32).alias(shift.column)
    return {year: (table.with_columns(moved) if year >= shift.year else table).lazy() for year, table in tables.items()}


def _alarms(
    counts: dict[str, dict[int, dict[str, ValueCounts]]], analysis: list[int], periods: Periods
) -> set[tuple[int, str]]:
    """(survey year, column) of everything that drifted."""
    found = set()
    for name, by_year in counts.items():
        kind = PREDICTION if name == PREDICTION_COLUMN else FEATURE
        rows = compare_column(NumberColumn(name, kind, by_year), analysis, periods)
        found |= {(row["survey_year"], name) for row in rows if row["drifted"]}
    return found
