"""Ingests 1, 2, 4 and 8 national survey years in one run of the job `inventory`: is time linear, is memory flat?

One process per size, each with its own home: files, records, rejected records, their checks, data quality, the
warehouse.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from pathlib import Path

from benchmarks.interleaved import Measured, measure, working_folder
from benchmarks.national import write_national_years

SIZES = (1, 2, 4, 8)
LAST_YEAR = 2025


def main(sizes: tuple[int, ...] = SIZES, rounds: int = 1) -> None:
    folder = working_folder()
    years = {size: range(LAST_YEAR - size + 1, LAST_YEAR + 1) for size in sizes}
    write_national_years(folder, years[max(sizes)])
    commands = {f"{size}": [sys.executable, "-m", "benchmarks.growth", str(folder), str(size)] for size in sizes}
    measured = {int(name): figure for name, figure in measure(commands, rounds).items()}
    show_growth(measured)


def show_growth(measured: dict[int, Measured]) -> None:
    """The figures of each size, and how far its time is from a straight line fitted to all of them."""
    line = statistics.linear_regression(list(measured), [figure.seconds for figure in measured.values()])
    print("| survey years | s | s on the line | off the line | peak MB |\n|---:|---:|---:|---:|---:|")
    for size, figure in measured.items():
        expected = line.intercept + line.slope * size
        off = figure.seconds / expected - 1
        print(f"| {size} | {figure.seconds:.1f} | {expected:.1f} | {off:+.0%} | {figure.megabytes:.0f} |")
    print(f"\n{line.slope:.1f} s per survey year, plus {line.intercept:.1f} s")


def take_in(folder: Path, size: int) -> None:
    """Run the job over the last `size` years of the folder, in a new home."""
    source, home = folder / f"source_{size}", folder / f"home_{size}"
    for old in (source, home):
        shutil.rmtree(old, ignore_errors=True)
    source.mkdir()
    for year in range(LAST_YEAR - size + 1, LAST_YEAR + 1):
        (source / f"NBI_{year}.txt").hardlink_to(folder / f"NBI_{year}.txt")
    os.environ |= {"BRIDGE_ASSETS_DATA__SOURCE": str(source), "BRIDGE_ASSETS_DATA__HOME": str(home)}
    os.execv(str(Path(sys.executable).parent / "bridge-assets"), ["bridge-assets", "run", "--job", "inventory"])


if __name__ == "__main__":
    take_in(Path(sys.argv[1]), int(sys.argv[2]))
