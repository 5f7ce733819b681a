"""`load_bridge_data` returns the columns that are asked for, and takes no more memory than `pandas.read_csv`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from support.nbi_files import write_nbi

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.ingestion import BRIDGE_SCHEMA, load_bridge_data

#: Rows of the smaller file; the other one has twice as many, so that what a process needs anyway does not count.
ROWS = 200_000

_PEAK = """
import resource, subprocess, sys
assert subprocess.run(sys.argv[1:]).returncode == 0
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""

_PANDAS = "import sys, pandas; pandas.read_csv(sys.argv[1], quotechar=\"'\", low_memory=False, encoding='latin-1')"

_OURS = """
import sys
from bridge_assets.data.ingestion import load_bridge_data
assert len(load_bridge_data(sys.argv[1], columns={columns})) > 0
"""


def test_columns_are_those_asked_for_in_that_order(real_data: Path) -> None:
    path = real_data / "nbi" / "AK19.txt"
    names = ["condition", "structure_key", "ADT_029", "inspection_date", "flags", "file"]
    pd.testing.assert_frame_equal(load_bridge_data(path, columns=names), load_bridge_data(path)[names])
    assert list(load_bridge_data(path)) == list(BRIDGE_SCHEMA)


def test_a_table_of_several_years_keeps_its_order(real_data: Path) -> None:
    path = real_data / "infobridge_44bridges_2000_2024.csv"
    pd.testing.assert_frame_equal(
        load_bridge_data(path, columns=["line_number"]), load_bridge_data(path)[["line_number"]]
    )
    assert load_bridge_data(path)["line_number"].is_monotonic_increasing


def test_it_holds_what_the_lake_holds(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "nbi" / "AK19.txt"
    ingest([path], 2019, tmp_path / "records.parquet", tmp_path / "rejected.parquet")
    names = ["structure_key", "DECK_COND_058", "LAT_016", "condition_class"]
    lake = pl.read_parquet(tmp_path / "records.parquet", columns=names).cast(pl.String)
    assert pl.from_pandas(load_bridge_data(path, columns=names)).equals(lake)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["ADT_28"], r"columns names 'ADT_28', which is no column of bridge data\. Similar ones: ADT_029"),
        (["condition", "condition"], "columns names condition twice"),
        ([], "columns names no column"),
        ("condition", r"must be a list of names, such as \['condition'\]"),
    ],
)
def test_columns_that_cannot_be_returned_are_named(tmp_path: Path, columns, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_bridge_data(write_nbi(tmp_path, 2019, [{}]), columns=columns)


@pytest.mark.skipif(not os.environ.get("BRIDGE_ASSETS_DRILLS"), reason="a drill: BRIDGE_ASSETS_DRILLS=1; 2 minutes")
def test_memory_grows_no_faster_than_that_of_pandas(real_data: Path, tmp_path: Path) -> None:
    header, *lines = (real_data / "nbi" / "AK19.txt").read_bytes().splitlines(keepends=True)
    paths = [tmp_path / "NBI_2018.txt", tmp_path / "NBI_2019.txt"]
    for path, rows in zip(paths, (ROWS, 2 * ROWS), strict=True):
        with path.open("wb") as file:
            file.write(header)
            for start in range(0, rows, len(lines)):
                file.writelines(_renumbered(line, start) for line in lines)

    def growth(code: str) -> float:
        small, large = (
            float(
                subprocess.run(
                    [sys.executable, "-c", _PEAK, sys.executable, "-c", code, str(path)],
                    capture_output=True, check=True, text=True,
                ).stdout
            )
            for path in paths
        )  # fmt: skip
        return large - small

    pandas = growth(_PANDAS)
    assert growth(_OURS.format(columns=None)) < pandas
    assert growth(_OURS.format(columns=["structure_key", "condition", "ADT_029"])) < pandas / 3


def _renumbered(line: bytes, copy: int) -> bytes:
    state, number, rest = line.split(b",", 2)
    return b",".join((state, (number.strip() + b"%d" % copy).rjust(len(number)), rest))
