"""Timing several things in turn, round after round, so that they share the machine's moods."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Measured:
    """Median wall time in seconds and largest peak memory in MB of one command."""

    seconds: float
    megabytes: float


def measure(commands: Mapping[str, Sequence[str]], rounds: int = 5) -> dict[str, Measured]:
    """Run every command once a round, in turn, each in a process of its own.

    Raises
    ------
    RuntimeError
        If a command fails: a time without a result is no measurement.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            started = time.perf_counter()
            ran = subprocess.run([sys.executable, "-c", _PEAK, *command], capture_output=True, text=True, check=False)
            seconds[name].append(time.perf_counter() - started)
            if ran.returncode:
                raise RuntimeError(f"{name} failed: {' '.join(command)}")
            peaks[name].append(int(ran.stdout) / 1024)
    return {name: Measured(statistics.median(seconds[name]), max(peaks[name])) for name in commands}


def working_folder() -> Path:
    """Where national files are kept from one benchmark to the next: `BRIDGE_ASSETS_BENCHMARKS`, or a new folder."""
    folder = Path(os.environ.get("BRIDGE_ASSETS_BENCHMARKS") or tempfile.mkdtemp(prefix="bridge_assets_benchmarks_"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def show(measured: Mapping[str, Measured], baseline: str) -> None:
    """Print a Markdown table of the figures, each as a ratio to the baseline too."""
    base = measured[baseline]
    print("| what | median s | times the baseline | peak MB |\n|---|---:|---:|---:|")
    for name, figure in measured.items():
        print(f"| {name} | {figure.seconds:.2f} | {figure.seconds / base.seconds:.2f} | {figure.megabytes:.0f} |")
