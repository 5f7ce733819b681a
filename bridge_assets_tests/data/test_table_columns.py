"""Every Parquet file says what its rows and columns are, with units; every reader still reads it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from support.nbi_files import write_nbi

from bridge_assets.data import table_columns
from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.lake import Lake
from bridge_assets.data.table_columns import ROWS, columns_of_tables, described, notes_of_table
from bridge_assets.data.warehouse_export import export_tables
from bridge_assets.models.tasks.names import PREDICTION_COLUMNS
from bridge_assets.storage import TableNotes, write_parquet


def notes_in(path: Path) -> dict[str, tuple[str, str]]:
    """Column -> description and unit, as pyarrow finds them in the file."""
    return {
        field.name: tuple((field.metadata or {}).get(key, b"").decode() for key in (b"description", b"unit"))  # type: ignore[misc]
        for field in pq.read_schema(path)
    }


def row_in(path: Path) -> str:
    return pq.read_metadata(path).metadata[b"description"].decode()


def assert_readable(path: Path, expected: pl.DataFrame) -> None:
    assert pl.read_parquet(path).equals(expected)
    assert duckdb.connect().execute(f"select count(*) from '{path}'").fetchall() == [(expected.height,)]
    assert list(pd.read_parquet(path).columns) == expected.columns


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_column_of_a_table_is_described(name: str) -> None:
    notes = notes_of_table(name)
    assert notes is not None and notes.row.startswith("One row for each ")
    for task in ("classification", "regression"):
        columns = columns_of_tables(task).get(name, table_columns.PUBLISHED_SCORES)
        assert {column.name for column in columns} <= notes.columns.keys()
        assert all(column.meaning for column in columns)


def test_a_table_that_python_writes_says_what_it_holds(tmp_path: Path) -> None:
    table = pl.DataFrame({"structure_key": ["25-1", "25-2"], "fall_probability": [0.1, None], "reasons": [None, []]})
    lake = Lake(tmp_path)
    lake.write(table, "bridge_predictions", 2024)
    path = lake.year_path("bridge_predictions", 2024)
    assert notes_in(path) == {
        "structure_key": ("State code and structure number without padding: one bridge.", ""),
        "fall_probability": ("Probability of the target at the next inspection.", "0 to 1"),
        "reasons": (notes_of_table("bridge_predictions").columns["reasons"][0], ""),  # type: ignore[union-attr]
    }
    assert row_in(path) == ROWS["bridge_predictions"]
    assert_readable(path, table)


def test_a_table_that_nobody_described_is_written_as_it_is(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write(pl.DataFrame({"a": [1]}), "of_a_user")
    assert notes_in(lake.table_path("of_a_user")) == {"a": ("", "")}


def test_records_are_described_with_their_items_and_units(tmp_path: Path) -> None:
    file = write_nbi(tmp_path, 2018, [{"STATE_CODE_001": "25", "STRUCTURE_NUMBER_008": "1", "ADT_029": "12"}], "a.txt")
    records, rejected = tmp_path / "records.parquet", tmp_path / "rejected.parquet"
    ingest([file], 2018, records, rejected)
    found = notes_in(records)
    assert found["ADT_029"][1] == notes_of_table("raw_bridges").columns["ADT_029"][1] != ""  # type: ignore[union-attr]
    assert "Item 29" in found["ADT_029"][0] or "29" in found["ADT_029"][0]
    assert all(meaning for meaning, _ in found.values())
    assert row_in(records) == ROWS["raw_bridges"] and row_in(rejected) == ROWS["rejected_records"]
    table = pl.read_parquet(records)
    assert table.schema["OWNER_022"] == pl.String, "codes are text, although they were written as dictionaries"
    assert_readable(records, table)
    assert pd.read_parquet(records)["STRUCTURE_NUMBER_008"].to_list() == ["1"]


def test_a_table_of_the_warehouse_is_described_as_its_model_declares_it(tmp_path: Path) -> None:
    warehouse, lake = tmp_path / "warehouse.duckdb", Lake(tmp_path / "lake")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            "create table t as select * from (values"
            " ('b', 2.5::double, date '2024-01-01', [{'f': 'x', 'v': 1.5::float}]),"
            " ('a', null, null, null)) as v(structure_key, share_poor, day, reasons)"
        )
    said = {
        "structure_key": "The owner's bridge; it's \"one\".",
        "share_poor": "Share of Poor.",
        "absent": "Not there.",
    }
    export_tables(warehouse, ["t"], lake, {"t": described(said, "One row for each bridge's year.")})
    path = lake.table_path("t")
    assert notes_in(path) == {
        "structure_key": ("The owner's bridge; it's \"one\".", ""),
        "share_poor": ("Share of Poor.", table_columns.SHARE),
        "day": ("", ""),
        "reasons": ("", ""),
    }
    assert row_in(path) == "One row for each bridge's year."
    assert pl.read_parquet(path)["structure_key"].to_list() == ["a", "b"], "sorted"
    assert_readable(path, pl.read_parquet(path))
    first = path.read_bytes()
    export_tables(warehouse, ["t"], lake, {"t": described(said, "One row for each bridge's year.")})
    assert path.read_bytes() == first
    export_tables(warehouse, ["t"], lake)
    assert notes_in(path)["structure_key"] == ("", "")


def test_the_same_table_with_the_same_notes_gives_the_same_bytes(tmp_path: Path) -> None:
    table, notes = pl.DataFrame({"a": [1.5]}), TableNotes("One row.", {"a": ("Length.", "m")})
    one, other = (write_parquet(table, tmp_path / f"{name}.parquet", notes).read_bytes() for name in "ab")
    assert one == other


def test_the_predictions_have_the_names_of_their_tasks() -> None:
    for task, name in PREDICTION_COLUMNS.items():
        assert name in {column.name for column in columns_of_tables(task)["bridge_predictions"]}
