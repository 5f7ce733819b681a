"""Reading the lake: read-only, beside a writer, and with clear words where a table is missing or damaged."""

from __future__ import annotations

import threading
from pathlib import Path

import polars as pl
import pytest

from bridge_assets.dashboard.queries.tables import MissingTableError, Tables
from bridge_assets.data.lake import Lake
from bridge_assets.storage import write_parquet


def test_a_missing_table_names_the_asset_and_the_file(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError) as error:
        Tables(tmp_path).rows("select * from {mart_bridge_outlook}")
    assert error.value.stage == "mart_bridge_outlook"
    assert "mart_bridge_outlook has not been built yet" in str(error.value)
    assert str(tmp_path / "mart_bridge_outlook.parquet") in str(error.value)
    assert "materialise mart_bridge_outlook" in str(error.value)


def test_a_missing_year_is_named(tables: Tables) -> None:
    with pytest.raises(MissingTableError, match=r"raw_bridges\[1999\] has not been built yet"):
        tables.rows("select * from {raw_bridges:1999}")


@pytest.mark.parametrize("keep", [0, 3, 2000])
def test_a_half_written_table_is_named(own_home: Path, keep: int) -> None:
    path = own_home / "lake" / "bridge_predictions" / "2023.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MissingTableError) as error:
        Tables(own_home / "lake").rows("select count(*) from {bridge_predictions} where fall_probability > 0")
    assert error.value.stage == "bridge_predictions"
    assert "bridge_predictions cannot be read" in str(error.value) and "A file is not whole" in str(error.value)


def test_a_table_of_another_version_is_named(own_home: Path) -> None:
    pl.DataFrame({"structure_key": ["25-B001"]}).write_parquet(own_home / "lake" / "mart_bridge_outlook.parquet")
    with pytest.raises(MissingTableError, match="lacks a column"):
        Tables(own_home / "lake").rows("select adt from {mart_bridge_outlook}")


def test_years_with_different_columns_are_read_by_name(own_home: Path) -> None:
    path = own_home / "lake" / "bridge_predictions" / "2021.parquet"
    table = pl.read_parquet(path)
    table.select(reversed(table.columns)).drop("years_until_poor").write_parquet(path)
    rows = Tables(own_home / "lake").rows(
        "select survey_year, years_until_poor from {bridge_predictions} where structure_key = '48-B002' order by 1"
    )
    assert [row["survey_year"] for row in rows] == [2021, 2022, 2023, 2024]
    assert rows[0]["years_until_poor"] is None and rows[1]["years_until_poor"] is not None


def test_a_table_that_is_replaced_while_it_is_read_is_read_whole(own_home: Path) -> None:
    lake, tables = Lake(own_home / "lake"), Tables(own_home / "lake")
    small, large = (pl.DataFrame({"number": pl.repeat(n, n, eager=True)}) for n in (10, 200_000))
    lake.write(small, "training_set")
    stop, problems = threading.Event(), []

    def replace() -> None:
        while not stop.is_set():
            for table in (small, large):
                lake.write(table, "training_set")

    def read() -> None:
        for _ in range(150):
            sql = "select count(*) as rows, min(number) as low, max(number) as high from {training_set}"
            (found,) = tables.rows(sql)
            if not found["rows"] == found["low"] == found["high"]:
                problems.append(found)

    writer = threading.Thread(target=replace)
    readers = [threading.Thread(target=read) for _ in range(2)]
    writer.start()
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    stop.set()
    writer.join()
    assert problems == []


def test_a_reader_takes_no_lock_and_writes_nothing(own_home: Path) -> None:
    lake = own_home / "lake"
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*")}
    lake.chmod(0o555)
    try:
        assert Tables(lake).rows("select count(*) as n from {mart_bridge_outlook}")[0]["n"] == 80
    finally:
        lake.chmod(0o755)
    assert {path: path.stat().st_mtime_ns for path in lake.rglob("*")} == before
    assert Lake(lake).remove_leftovers() == []


def test_the_stamp_changes_with_a_file(own_home: Path) -> None:
    tables = Tables(own_home / "lake")
    before = tables.stamp("bridge_predictions")
    assert len(before) == 4 and tables.stamp("bridge_predictions") == before
    write_parquet(pl.DataFrame({"a": [1]}), own_home / "lake" / "bridge_predictions" / "2022.parquet")
    assert tables.stamp("bridge_predictions") != before


def test_a_value_of_a_reader_is_never_sql(tables: Tables) -> None:
    hostile = "'; drop table x; select '{raw_bridges}"
    sql = "select count(*) as n from {mart_bridge_outlook} where facility_carried = ?"
    assert tables.rows(sql, [hostile]) == [{"n": 0}]
