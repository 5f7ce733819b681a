"""Kolmogorov-Smirnov over the features of a national survey year, against a loop over `scipy.stats.ks_2samp`.

Both get the same arrays, in one process, round after round. The statistics are compared before the figures are printed.
The p-values are not compared here: ours are those of Kolmogorov's limit (`limiting_p_value`), and nothing is decided by
them.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import ks_2samp

from benchmarks.features import features_of_national_year
from benchmarks.interleaved import working_folder
from bridge_assets.drift.distances import ks_statistic, limiting_p_value, sorted_sample

YEARS = (2018, 2019)

ROUNDS = 5


def main() -> None:
    columns = _columns(working_folder())
    one, other = columns[0]
    ks_statistic(sorted_sample(one), sorted_sample(other))  # compiled before anything is timed
    ways = {"scipy.stats.ks_2samp": _by_scipy, "drift.distances": _by_ours}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            found[name] = way(columns)
            seconds[name].append(time.perf_counter() - started)
    largest = max(abs(a - b) for a, b in zip(*found.values(), strict=True))
    assert largest < 1e-12, f"the statistics differ by {largest}"
    rows = f"{columns[0][0].size:,} against {columns[0][1].size:,} rows"
    print(f"{len(columns)} features, {rows}; statistics equal to {largest:.0e}")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}\n")
    base = statistics.median(seconds["scipy.stats.ks_2samp"])
    print("| way | median s | times faster |\n|---|---:|---:|")
    for name, times in seconds.items():
        print(f"| {name} | {statistics.median(times):.2f} | {base / statistics.median(times):.1f} |")


def _by_scipy(columns: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    found: list[Any] = [ks_2samp(one, other) for one, other in columns]  # untyped in scipy
    return [float(each.statistic) for each in found]


def _by_ours(columns: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    found = []
    for one, other in columns:
        first, second = sorted_sample(one), sorted_sample(other)
        found.append(ks_statistic(first, second))
        limiting_p_value(found[-1], first.size, second.size)
    return found


def _columns(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The features of two national years that have values in both, as float64 without missing values."""
    from bridge_assets.data.features.definitions import FEATURE_NAMES

    tables = [pl.read_parquet(features_of_national_year(folder, year)) for year in YEARS]
    columns = []
    for name in FEATURE_NAMES:
        one, other = (table[name].cast(pl.Float64).drop_nulls().drop_nans().to_numpy() for table in tables)
        if one.size and other.size:
            columns.append((one, other))
    return columns
