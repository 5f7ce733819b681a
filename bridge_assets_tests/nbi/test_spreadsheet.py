"""Codes that Excel or pandas turned into numbers are seen, and merge no bridges."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nbi_files import BRIDGE_RECORD, write_nbi

from bridge_assets.data.ingest.ingest import IngestionReport, ingest
from bridge_assets.data.ingest.pandas_api import load_bridge_data, rejected_bridge_data
from bridge_assets.nbi.spreadsheet import CURE, PADDED_ITEMS


def ingested(path: Path) -> IngestionReport:
    return ingest([path], 2019, path.with_name("records.parquet"), path.with_name("rejected.parquet"))


def as_csv(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "NBI_2019.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*BRIDGE_RECORD])
        writer.writeheader()
        writer.writerows({**BRIDGE_RECORD, **row} for row in rows)
    return path


def as_published(folder: Path, rows: list[dict[str, str]]) -> Path:
    return write_nbi(folder, 2019, rows)


@pytest.mark.parametrize("write", [as_csv, as_published])
def test_rounded_structure_numbers_are_rejected_and_merge_no_bridges(
    tmp_path: Path, write: Callable[[Path, list[dict[str, str]]], Path], caplog: pytest.LogCaptureFixture
) -> None:
    numbers = ["1.00E+14"] * 300 + ["8.83039E+11", "1e+15", "12E+05", "12E05", "1E14", "1.5E-5", "000000000883039"]
    path = write(tmp_path, [{"STRUCTURE_NUMBER_008": number} for number in numbers])
    assert load_bridge_data(path)["STRUCTURE_NUMBER_008"].tolist() == numbers[302:]
    rejected = rejected_bridge_data(path)
    assert rejected["line_number"].tolist() == [*range(2, 304)]
    assert set(rejected["reason"]) == {"changed_key"}
    assert rejected["detail"][0] == (
        f"STRUCTURE_NUMBER_008 is the rounded number 1.00E+14: its other digits are lost; {CURE}"
    )
    report = ingested(path)
    assert (report.rows_read, report.loaded, report.rejected) == (307, 5, 302)
    assert report.warnings[0] == (
        f"{path.name}: 302 rows are rejected, because a spreadsheet made numbers of their state codes or structure "
        f"numbers (lines 2, 3, 4, 5, 6 and 297 more); {CURE}"
    )
    assert report.warnings[0] in caplog.text  # by load_bridge_data


@pytest.mark.parametrize("write", [as_csv, as_published])
def test_a_state_code_with_decimals_makes_no_key(
    tmp_path: Path, write: Callable[[Path, list[dict[str, str]]], Path]
) -> None:
    path = write(tmp_path, [{"STATE_CODE_001": "1.0"}, {"STATE_CODE_001": "1"}, {"STATE_CODE_001": "01"}])
    assert load_bridge_data(path)["structure_key"].tolist() == ["01-1234"] * 2
    assert rejected_bridge_data(path)["detail"].tolist() == [f"STATE_CODE_001 is the number 1.0, not a code; {CURE}"]


def test_a_real_file_that_lost_its_zeros_is_named_with_the_columns_and_the_cure(
    tmp_path: Path, real_data: Path
) -> None:
    lines = (real_data / "nbi" / "AK19.txt").read_bytes().decode("latin-1").splitlines()
    header, *rows = [[field.strip(" '") for field in line.split(",")] for line in lines]
    path = tmp_path / "NBI_2019.csv"
    with path.open("w", newline="") as file:
        as_excel = [[str(int(field)) if field.isdigit() else field for field in row] for row in rows]
        csv.writer(file).writerows([header, *as_excel])
    [warning] = ingested(path).warnings
    assert warning.startswith(
        "NBI_2019.csv: codes have lost the zeros at their start, as Excel takes them: none is left"
    )
    assert "STATE_CODE_001 in 1,595 (such as '2')" in warning
    assert "COUNTY_CODE_003 in 294 (such as '" in warning
    assert "LAT_016" not in warning and "PLACE_CODE_004" not in warning
    assert warning.endswith(CURE)


def test_no_real_file_is_said_to_have_lost_zeros(tmp_path: Path, real_data: Path) -> None:
    files = [real_data / "infobridge_44bridges_2000_2024.csv", *(real_data / "nbi").rglob("*.txt")]
    assert len(files) > 20
    for path in files:
        report = ingest([path], 2019, tmp_path / "records.parquet", tmp_path / "rejected.parquet")
        assert not [warning for warning in report.warnings if "zeros" in warning or "spreadsheet" in warning]
        assert "changed_key" not in report.rejected_by_reason


def test_zeros_are_lost_only_where_none_is_left(tmp_path: Path) -> None:
    short = {"OWNER_022": "2", "COUNTY_CODE_003": ""}
    path = write_nbi(tmp_path, 2019, [short, {}])
    assert ingested(path).warnings == ()
    path = write_nbi(tmp_path, 2019, [short, {"OWNER_022": "11"}])
    assert ingested(path).warnings == (
        "NBI_2019.txt: codes have lost the zeros at their start, as Excel takes them: none is left, and values are too "
        f"short in records of OWNER_022 in 1 (such as '2'); {CURE}",
    )
    assert set(PADDED_ITEMS) <= set(load_bridge_data(path).columns)
