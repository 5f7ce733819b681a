"""Kolmogorov-Smirnov over the features of a national survey year, against a loop over `scipy.stats.ks_2samp`; and all
measures of these features, against evidently.

All get the same arrays, in one process, round after round. The statistics are compared before the figures are printed.
`ks_of_columns` computes no p-values: nothing is decided by them.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from scipy.stats import ks_2samp

from benchmarks.features import features_of_national_year
from benchmarks.interleaved import working_folder
from bridge_assets.drift.detection import compute_ks_drift
from bridge_assets.drift.kolmogorov_smirnov import ks_of_columns, ks_of_values
from bridge_assets.drift.numbers import FEATURE, NumberColumn, compare_column, count_by_state
from bridge_assets.drift.periods import Periods
from bridge_assets.settings import DriftSettings

YEARS = (2018, 2019)

ROUNDS = 5

#: The same for a whole year with evidently, which takes minutes.
REPORT_ROUNDS = 3


def main() -> None:
    folder = working_folder()
    compare_ks(_columns(folder))
    compare_reports(folder)


def compare_reports(folder: Path) -> None:
    """Print how long the features of a national year take with all measures: ours, in all states and in each, and
    evidently's in all states. `BRIDGE_ASSETS_EVIDENTLY` names the Python of an environment that has evidently.
    """
    paths = [features_of_national_year(folder, year) for year in YEARS]
    theirs = os.environ.get("BRIDGE_ASSETS_EVIDENTLY")
    rows = _report(paths)  # compiled before anything is timed
    ours, others, found = [], [], [""] * 4
    for _ in range(REPORT_ROUNDS):
        started, on_processor = time.perf_counter(), time.process_time()
        rows = _report(paths)
        ours.append((time.perf_counter() - started, time.process_time() - on_processor))
        if theirs:
            command = [theirs, str(Path(__file__).with_name("drift_evidently.py")), *map(str, paths)]
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
            found = ran.stdout.splitlines()[0].split()
            others.append((float(found[0]), float(found[1])))
    print(f"\nfeatures of {YEARS[1]} against {YEARS[0]}, from Parquet; drift_report: {len(rows):,} rows\n")
    print("| way | median s | median CPU s |\n|---|---:|---:|")
    seconds, on_processor = (statistics.median(column) for column in zip(*ours, strict=True))
    print(f"| drift_report: four measures, all states together and each | {seconds:.2f} | {on_processor:.2f} |")
    if theirs:
        their_seconds, theirs_on_processor = (statistics.median(column) for column in zip(*others, strict=True))
        what = f"evidently {found[3]}: three measures of {found[2]} features, all states together"
        print(f"| {what} | {their_seconds:.2f} | {theirs_on_processor:.2f} |\n")
        less = theirs_on_processor / on_processor
        print(f"{their_seconds / seconds:.1f} times faster, on {less:.1f} times less CPU time")
    else:
        print("\nevidently: not measured. What to do: python -m venv NEW; NEW/bin/pip install evidently pyarrow")
        print("'pandas<3'; set BRIDGE_ASSETS_EVIDENTLY=NEW/bin/python")


def _report(paths: list[Path]) -> list[dict[str, Any]]:
    from bridge_assets.data.features.definitions import FEATURE_NAMES

    state = pl.col("STATE_CODE_001").str.zfill(2).str.slice(0, 2).alias("state")
    tables = {year: pl.scan_parquet(path).with_columns(state) for year, path in zip(YEARS, paths, strict=True)}
    periods = Periods((YEARS[0],), DriftSettings())
    columns = (NumberColumn(name, FEATURE, count_by_state(tables, name)) for name in FEATURE_NAMES)
    return [row for column in columns for row in compare_column(column, [YEARS[1]], periods)]


def compare_ks(columns: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Print how long each way takes for all columns, and that they agree."""
    ks_of_values(*columns[0])  # compiled before anything is timed
    ways = {
        "scipy.stats.ks_2samp": _by_scipy,
        "compute_ks_drift, with p-values": _by_compute_ks_drift,
        "ks_of_columns": ks_of_columns,
        "ks_of_columns, two threads": lambda pairs: ks_of_columns(pairs, threads=2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            found[name] = way(columns)
            seconds[name].append(time.perf_counter() - started)
    expected, *others = found.values()
    largest = max(abs(a - b) for other in others for a, b in zip(expected, other, strict=True))
    assert largest < 1e-12, f"the statistics differ by {largest}"
    rows = f"{columns[0][0].size:,} against {columns[0][1].size:,} rows"
    print(f"{len(columns)} features, {rows}; statistics equal to {largest:.0e}")
    print(f"{processor_name()}, {os.cpu_count()} cores, numpy {np.__version__}\n")
    base = statistics.median(seconds["scipy.stats.ks_2samp"])
    print("| way | median s | fastest s | times faster (median) |\n|---|---:|---:|---:|")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"| {name} | {median:.2f} | {min(times):.2f} | {base / median:.1f} |")


def processor_name() -> str:
    """The processor as the kernel names it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _by_scipy(columns: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    found: list[Any] = [ks_2samp(one, other) for one, other in columns]  # untyped in scipy
    return [float(each.statistic) for each in found]


def _by_compute_ks_drift(columns: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    return [compute_ks_drift(pd.Series(one), pd.Series(other))[0] for one, other in columns]


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
