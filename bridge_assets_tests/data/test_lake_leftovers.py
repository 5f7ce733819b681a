"""What a killed writer leaves in the lake is removed, and nothing of a living one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from bridge_assets.data.lake import Lake
from bridge_assets.data.warehouse_export import export_tables

#: A table that takes seconds to write.
_ROWS = 20_000_000

_WRITE = f"""
import sys
from pathlib import Path
import polars as pl
from bridge_assets.data.lake import Lake
lake = Lake(Path(sys.argv[1]))
table = pl.select(value=pl.int_range({_ROWS}).shuffle(1).cast(pl.String))
print("ready", flush=True)
"""

_WRITERS = {
    "one year of a table": _WRITE + "lake.write_year(table, 'raw_bridges', 2018, {})",
    "a table": _WRITE + "lake.write(table, 'dim_structures')",
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a program with the lake's folder as its argument, and waits until it has written something."""
    running: list[subprocess.Popen[str]] = []

    def begin(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 30
        while not unfinished(tmp_path):
            assert time.monotonic() < deadline
            assert process.poll() is None, "the table was written before it could be seen: write a larger one"
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()


def unfinished(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*.tmp"))


@pytest.mark.parametrize("writer", _WRITERS.values(), ids=_WRITERS)
def test_a_killed_writer_leaves_nothing_for_long_and_a_living_one_is_not_disturbed(
    start: Callable[[str], subprocess.Popen[str]], writer: str, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    lake.write_year(pl.DataFrame({"value": ["kept"]}), "raw_bridges", 2017, {})
    process = start(writer)
    left = unfinished(tmp_path)
    assert len(left) == 1
    assert lake.remove_leftovers() == []
    assert unfinished(tmp_path) == left

    process.kill()
    process.wait()
    assert unfinished(tmp_path) == left
    assert lake.remove_leftovers() == left
    assert unfinished(tmp_path) == lake.remove_leftovers() == []
    assert lake.read_year("raw_bridges", 2017)["value"].to_list() == ["kept"]
    lake.write(pl.DataFrame({"value": [1]}), "dim_structures")


def test_every_writer_of_the_lake_is_seen(tmp_path: Path) -> None:
    """From a block that writes, nothing looks like a leftover."""
    lake = Lake(tmp_path / "lake")
    with lake.writing():
        other = lake.table_path("of_this_block").with_name(".of_this_block.parquet.1234abcd.tmp")
        other.write_text("half")
        assert lake.remove_leftovers() == []
        with lake.writing():
            lake.write(pl.DataFrame({"value": [1]}), "nested")
        assert lake.remove_leftovers() == []
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("create table marts as select 1 as value")
    export_tables(tmp_path / "warehouse.duckdb", ["marts"], lake)
    assert lake.remove_leftovers() == [other.name]
    assert Lake(tmp_path / "none").remove_leftovers() == []
