"""Ingestion writes two tables, completely or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from support.nbi_files import write_nbi

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.ingest.pandas_api import load_bridge_data, rejected_bridge_data, save_processed_data
from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
from bridge_assets.data.records.structures import one_record_per_structure
from bridge_assets.data.records.validation import validate_bridge_data, validation_problems
from bridge_assets.errors import SourceError
from bridge_assets.nbi.delimited.records import REJECTED_SCHEMA
from bridge_assets.storage import digest


@pytest.fixture
def dirty(tmp_path: Path) -> Path:
    """Three records and two rejected records of 2019."""
    rows = [
        {},
        {"OTHR_STATE_STRUC_NO_099": "1, 2"},
        {"STRUCTURE_NUMBER_008": "77"},
        {"STRUCTURE_NUMBER_008": ""},
        {"ADT_029": "x"},
    ]
    return write_nbi(tmp_path / "source", 2019, rows)


def test_a_file_becomes_records_and_rejected_records(dirty: Path, tmp_path: Path) -> None:
    report = ingest([dirty], 2019, tmp_path / "records.parquet", tmp_path / "rejected.parquet")
    assert (report.rows_read, report.loaded, report.rejected, report.unparsed) == (5, 3, 2, 1)
    assert report.rejected_by_reason == {"field_count": 1, "no_key": 1}
    assert pl.read_parquet_schema(tmp_path / "records.parquet") == BRIDGE_SCHEMA
    assert pl.read_parquet_schema(tmp_path / "rejected.parquet") == pl.Schema(
        {**REJECTED_SCHEMA, "survey_year": pl.Int16()}
    )


def test_ingesting_again_gives_the_same_bytes_and_leaves_the_source(dirty: Path, tmp_path: Path) -> None:
    before, digests = digest(dirty), set()
    for _ in range(2):
        ingest([dirty], 2019, tmp_path / "records.parquet", tmp_path / "rejected.parquet")
        digests.add((digest(tmp_path / "records.parquet"), digest(tmp_path / "rejected.parquet")))
    assert len(digests) == 1
    assert digest(dirty) == before


def test_an_unreadable_file_leaves_the_previous_outputs(dirty: Path, tmp_path: Path) -> None:
    records, rejected = tmp_path / "records.parquet", tmp_path / "rejected.parquet"
    ingest([dirty], 2019, records, rejected)
    before = digest(records), digest(rejected)
    dirty.write_text("<html>moved</html>")
    with pytest.raises(SourceError, match="web page"):
        ingest([dirty], 2019, records, rejected)
    assert (digest(records), digest(rejected)) == before


_INGEST = """
import resource, signal, sys
from pathlib import Path
from bridge_assets.data.ingestion import ingest
limit = int(sys.argv[4])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
ingest([Path(sys.argv[1])], 2019, Path(sys.argv[2]), Path(sys.argv[3]))
"""


def _command(source: Path, folder: Path, limit: int = 0) -> list[str]:
    return [
        sys.executable,
        "-c",
        _INGEST,
        str(source),
        str(folder / "records.parquet"),
        str(folder / "rejected.parquet"),
        str(limit),
    ]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    rows = [{"STRUCTURE_NUMBER_008": str(number)} for number in range(20_000)]
    return write_nbi(tmp_path / "large", 2019, rows)


def test_a_full_disk_leaves_the_previous_outputs(dirty: Path, large: Path, tmp_path: Path) -> None:
    records = tmp_path / "records.parquet"
    ingest([dirty], 2019, records, tmp_path / "rejected.parquet")
    before = digest(records)
    full = subprocess.run(_command(large, tmp_path, limit=30_000), capture_output=True, text=True, check=False)
    assert full.returncode != 0
    assert "StorageError" in full.stderr
    assert f"{records} was not written" in full.stderr
    assert "untouched" in full.stderr
    assert digest(records) == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_killed_run_leaves_the_previous_outputs(dirty: Path, large: Path, tmp_path: Path) -> None:
    records = tmp_path / "records.parquet"
    ingest([dirty], 2019, records, tmp_path / "rejected.parquet")
    before = digest(records)
    process = subprocess.Popen(_command(large, tmp_path))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".records.parquet.*.tmp")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert digest(records) == before
    assert pl.read_parquet(records).height == 3
    ingest([large], 2019, records, tmp_path / "rejected.parquet")
    assert pl.read_parquet(records).height == 20_000


def test_load_bridge_data_returns_the_loaded_records(dirty: Path) -> None:
    table = load_bridge_data(str(dirty))
    assert list(table.columns) == list(BRIDGE_SCHEMA)
    assert table["structure_key"].tolist() == ["01-1234", "01-77", "01-1234"]
    assert table["condition_class"].tolist() == ["Fair"] * 3
    assert rejected_bridge_data(str(dirty))["reason"].tolist() == ["field_count", "no_key"]


def test_a_survey_year_that_is_not_in_the_name_must_be_given(dirty: Path) -> None:
    path = dirty.rename(dirty.with_name("bridges.txt"))
    with pytest.raises(SourceError, match="pass survey_year"):
        load_bridge_data(str(path))
    assert set(load_bridge_data(str(path), survey_year=2019)["survey_year"]) == {2019}


def test_validation_gives_the_reasons(dirty: Path) -> None:
    table = load_bridge_data(str(dirty))
    assert validate_bridge_data(table)
    table.loc[1, "DECK_COND_058"] = "11"
    assert not validate_bridge_data(table)
    assert validation_problems(table) == ["item 58 has 1 values that are not ratings, such as '11'"]
    assert "1 columns are missing: ADT_029" in validation_problems(table.drop(columns="ADT_029"))
    assert "the table has no records" in validation_problems(table.iloc[:0])


def test_real_files_are_bridge_data(real_data: Path) -> None:
    assert validate_bridge_data(load_bridge_data(str(real_data / "nbi" / "AK19.txt")))


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_processed_data_is_saved(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({"structure_key": ["01-1"], "condition": [5]})
    save_processed_data(table, tmp_path / name)
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    pd.testing.assert_frame_equal(read(tmp_path / name), table)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.parquet or \.csv"):
        save_processed_data(pd.DataFrame(), tmp_path / "table.xlsx")


def test_one_record_per_structure_is_kept(tmp_path: Path) -> None:
    rows = [
        {"DATE_OF_INSPECT_090": "410"},
        {"DATE_OF_INSPECT_090": "411", "STRUCTURE_NUMBER_008": "0001234", "ADT_029": "7"},
        {"DATE_OF_INSPECT_090": "411", "ADT_029": "8"},
        {"RECORD_TYPE_005A": "2", "DATE_OF_INSPECT_090": "412"},
        {"STRUCTURE_NUMBER_008": "9", "DATE_OF_INSPECT_090": ""},
    ]
    table = pl.from_pandas(load_bridge_data(str(write_nbi(tmp_path, 2011, rows))))
    kept = one_record_per_structure(table.lazy()).sort("structure_key").collect()
    assert kept.select("structure_key", "ADT_029").rows() == [("01-1234", 7), ("01-9", 1200)]
