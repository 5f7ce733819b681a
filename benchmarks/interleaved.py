"""Times several commands alternately, round after round, so that changes in the machine's load affect all of them."""

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
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
sys.exit(code)
"""


@dataclass(frozen=True)
class Measured:
    """One command: median wall time and median CPU time in seconds, largest peak memory in MB. On a machine that others
    use too, the CPU time is more reliable.
    """

    seconds: float
    megabytes: float
    processor_seconds: float


def measure(commands: Mapping[str, Sequence[str]], rounds: int = 5) -> dict[str, Measured]:
    """Run every command once per round, one after the other, each in its own process.

    Raises
    ------
    RuntimeError
        If a command fails: the time of a failed command is not a measurement.
    """
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    peaks: dict[str, list[float]] = {name: [] for name in commands}
    processors: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            started = time.perf_counter()
            ran = subprocess.run([sys.executable, "-c", _PEAK, *command], capture_output=True, text=True, check=False)
            seconds[name].append(time.perf_counter() - started)
            if ran.returncode:
                raise RuntimeError(f"{name} failed: {' '.join(command)}")
            kilobytes, used = map(float, ran.stdout.split())
            peaks[name].append(kilobytes / 1024)
            processors[name].append(used)
    return {
        name: Measured(statistics.median(seconds[name]), max(peaks[name]), statistics.median(processors[name]))
        for name in commands
    }


def working_folder() -> Path:
    """The folder in which national files are kept between benchmarks: `BRIDGE_ASSETS_BENCHMARKS`, or a new folder."""
    folder = Path(os.environ.get("BRIDGE_ASSETS_BENCHMARKS") or tempfile.mkdtemp(prefix="bridge_assets_benchmarks_"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def show(measured: Mapping[str, Measured], baseline: str) -> None:
    """Print a Markdown table of the figures, with their ratios to the baseline."""
    base = measured[baseline]
    print("| command | median s | times the baseline | CPU s | times the baseline | peak MB |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, figure in measured.items():
        on_processors = figure.processor_seconds
        print(
            f"| {name} | {figure.seconds:.2f} | {figure.seconds / base.seconds:.2f} | {on_processors:.2f} | "
            f"{on_processors / base.processor_seconds:.2f} | {figure.megabytes:.0f} |"
        )
