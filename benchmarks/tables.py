"""Peak memory and time of `load_bridge_data` on one national survey year, against `pandas.read_csv`.

The file: 620,000 generated rows in the 2019 layout, with the errors of real files (`benchmarks.national`).

- pandas.read_csv, defaults (the baseline): as in `benchmarks.ingestion`.
- load_bridge_data: every column, typed, with the derived columns and flags.
- load_bridge_data, eight columns: what a count of bridges by condition and traffic needs.
- ingest: the platform's own way, to Parquet.
"""

from __future__ import annotations

import os
import sys

from benchmarks.drift import processor_name
from benchmarks.ingestion import DEFAULTS, OURS
from benchmarks.interleaved import measure, show, working_folder
from benchmarks.national import ROWS, write_national_years

ALL_COLUMNS = """
import sys
from bridge_assets.data.ingestion import load_bridge_data
load_bridge_data(sys.argv[1])
"""

EIGHT_COLUMNS = """
import sys
from bridge_assets.data.ingestion import load_bridge_data
load_bridge_data(sys.argv[1], columns=["structure_key", "STATE_CODE_001", "YEAR_BUILT_027", "ADT_029",
                                       "STRUCTURE_LEN_MT_049", "condition", "condition_class", "inspection_date"])
"""

BASELINE = "pandas.read_csv, defaults"


def main() -> None:
    folder = working_folder()
    path = write_national_years(folder, [2019])[0]
    print(f"{ROWS:,} rows, {path.stat().st_size / 1e6:.0f} MB; {processor_name()}, {os.cpu_count()} cores\n")
    contenders = {
        BASELINE: DEFAULTS,
        "load_bridge_data": ALL_COLUMNS,
        "load_bridge_data, eight columns": EIGHT_COLUMNS,
        "ingest": OURS,
    }
    measured = measure(
        {name: [sys.executable, "-c", code, str(path), str(folder)] for name, code in contenders.items()}, rounds=3
    )
    show(measured, BASELINE)
    print()
    for name, figure in measured.items():
        print(f"{name}: {figure.megabytes / measured[BASELINE].megabytes:.2f} times the peak memory of {BASELINE}")
