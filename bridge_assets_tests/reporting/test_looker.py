"""The table for Looker: real files, and sheets as far as possible without gspread."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bridge_assets.errors import StorageError
from bridge_assets.extras import install_command
from bridge_assets.reporting.looker import export_to_looker, sheet_rows, write_tabs

FORMULA = '=HYPERLINK("http://example.com","click")'


@pytest.fixture
def outlook() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "structure_key": ["25-00123", "02-7", "72-9"],
            "facility_carried": [FORMULA, 'O\'NEAL ROAD, "OLD"', None],
            "location": ["+1 KM", "-2 KM", "CAÑÓN\nBLANCO"],
            "inspection_date": pd.Series(["2024-05-01", None, "2022-02-01"], dtype="datetime64[ns]").array,
            "scored_at": pd.Series(["2024-05-01T10:30", None, "2022-02-01T00:00"], dtype="datetime64[ns]").array,
            "built": [dt.date(1931, 1, 1), None, dt.date(1999, 12, 1)],
            "fall_probability": [0.1, np.nan, 1 / 3],
            "rank_in_state": pd.array([1, None, 3], dtype="Int64"),
            "culvert": [True, False, True],
        },
        index=[7, 7, 7],
    )


def test_csv_is_utf8_with_iso_dates_in_column_order(outlook: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "reports" / "outlook.csv"
    assert export_to_looker(outlook, path) == str(path)
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines[0] == ",".join(outlook.columns)
    assert lines[2] == '02-7,"O\'NEAL ROAD, ""OLD""",-2 KM,,,,,,False'
    assert ",2024-05-01,2024-05-01T10:30:00,1931-01-01,0.1,1,True" in lines[1]
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")


def test_csv_keeps_text_unchanged(outlook: pd.DataFrame, tmp_path: Path) -> None:
    back = pd.read_csv(export_to_looker(outlook, str(tmp_path / "x.CSV")), dtype=str, keep_default_na=False)
    assert back["facility_carried"].to_list() == [FORMULA, 'O\'NEAL ROAD, "OLD"', ""]
    assert back["location"].to_list() == outlook["location"].to_list()
    assert float(back["fall_probability"][2]) == 1 / 3


def test_lists_and_records_become_json_in_csv_and_are_unchanged_in_parquet(tmp_path: Path) -> None:
    entries = [{"feature": FORMULA, "value": np.float32(2), "since": dt.date(2024, 5, 1)}]
    nested = pd.DataFrame({"reasons": [np.array(entries, dtype=object), [], None], "one": [entries[0], (1, 2), np.nan]})
    cells = pd.read_csv(export_to_looker(nested, tmp_path / "x.csv"), dtype=str, keep_default_na=False)
    plain = {"feature": FORMULA, "value": 2.0, "since": "2024-05-01"}
    assert [json.loads(cells[name][0]) for name in cells] == [[plain], plain]
    assert cells.iloc[1:].to_numpy().tolist() == [["[]", "[1, 2]"], ["", ""]]
    header, *rows = sheet_rows(nested)
    assert header == ["reasons", "one"] and [json.loads(cell) for cell in rows[0]] == [[plain], plain]
    assert rows[1:] == [["[]", "[1, 2]"], ["", ""]]
    back = pd.read_parquet(export_to_looker(nested[["reasons"]], tmp_path / "x.parquet"))
    assert back["reasons"][0][0]["feature"] == FORMULA


def test_parquet_keeps_values_and_types(outlook: pd.DataFrame, tmp_path: Path) -> None:
    back = pd.read_parquet(export_to_looker(outlook, tmp_path / "outlook.parquet"))
    pd.testing.assert_frame_equal(back, outlook.reset_index(drop=True))


def test_writing_twice_gives_the_same_bytes_and_leaves_no_other_file(outlook: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "outlook.csv"
    export_to_looker(outlook, path)
    first = path.read_bytes()
    export_to_looker(outlook, path)
    assert path.read_bytes() == first
    assert [found.name for found in tmp_path.iterdir()] == ["outlook.csv"]


def test_a_table_without_rows_is_a_header(outlook: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "outlook.csv"
    export_to_looker(outlook.iloc[:0], path)
    assert path.read_text(encoding="utf-8") == ",".join(outlook.columns) + "\n"


def test_a_failed_write_is_an_error_and_changes_nothing(outlook: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "outlook.csv"
    folder.mkdir()  # occupies the path of the file
    with pytest.raises(StorageError, match="was not written"):
        export_to_looker(outlook, folder)
    assert folder.is_dir() and list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "out_path",
    [
        "outlook.xlsx",
        "outlook",
        "s3://bucket/outlook.csv",
        "gsheet://key",
        "gsheet:///tab",
        "https://docs.google.com/document/d/key",
        "https://example.com/spreadsheets/d/key",
    ],
)
def test_other_targets_are_refused_with_the_supported_ones(outlook: pd.DataFrame, out_path: str) -> None:
    with pytest.raises(ValueError, match=r"Supported: a file ending in \.csv or \.parquet, .*spreadsheets.*gsheet://"):
        export_to_looker(outlook, out_path)


def test_duplicated_and_missing_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="duplicated columns: a"):
        export_to_looker(pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), tmp_path / "x.csv")
    with pytest.raises(ValueError, match="no columns"):
        export_to_looker(pd.DataFrame(), tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("gspread") is not None, reason="the extra [sheets] is installed")
@pytest.mark.parametrize(
    "out_path",
    ["gsheet://1AbC_-d/Bridge%20outlook", "https://docs.google.com/spreadsheets/d/1AbC_-d/edit?gid=12#gid=12"],
)
def test_a_sheet_without_the_extra_names_the_extra(outlook: pd.DataFrame, out_path: str) -> None:
    with pytest.raises(ImportError, match=re.escape(install_command("sheets"))):
        export_to_looker(outlook, out_path)


def test_a_table_too_large_for_a_sheet_is_refused_before_opening_the_sheet() -> None:
    wide = pd.DataFrame(np.zeros((100, 100_001), dtype=np.int8))
    with pytest.raises(ValueError, match="cells do not fit into a Google Sheet"):
        export_to_looker(wide, "gsheet://key/tab")


def test_sheet_rows_are_json_with_every_cell_filled_and_text_unchanged(outlook: pd.DataFrame) -> None:
    header, first, second, third = json.loads(json.dumps(sheet_rows(outlook), allow_nan=False))
    assert header == list(outlook.columns)
    assert first[1:4] == [FORMULA, "+1 KM", "2024-05-01"]
    assert second[3:8] == ["", "", "", "", ""]
    assert third[4:] == ["2022-02-01T00:00:00", "1999-12-01", 1 / 3, 3, True]
    assert sheet_rows(pd.DataFrame({"x": [np.inf]})) == [["x"], ["inf"]]


class MemorySheet:
    """Stands for gspread's Spreadsheet: its tabs, in memory."""

    def __init__(self) -> None:
        self.tabs: list[MemoryTab] = []

    def worksheets(self) -> list[MemoryTab]:
        return self.tabs

    def add_worksheet(self, title: str, rows: int, cols: int) -> MemoryTab:
        self.tabs.append(MemoryTab(self, title))
        return self.tabs[-1]


class MemoryTab:
    """Stands for gspread's Worksheet. With another input option than RAW, Google Sheets makes `017` a 17."""

    def __init__(self, spreadsheet: MemorySheet, title: str) -> None:
        self.spreadsheet, self.title = spreadsheet, title
        self.cells: list[list[object]] = []

    def resize(self, rows: int, cols: int) -> None:
        self.cells = [[""] * cols for _ in range(rows)]

    def update(self, values: list[list[object]], range_name: str, *, value_input_option: str) -> None:
        assert value_input_option == "RAW"
        start = int(range_name.removeprefix("A")) - 1
        self.cells[start : start + len(values)] = values


def test_a_google_sheet_has_its_dictionary_in_a_second_worksheet() -> None:
    sheet = MemorySheet()
    bridges = sheet.add_worksheet("Bridges", rows=1, cols=1)
    columns = pd.DataFrame({"column": ["county_code"], "meaning": ["County."]})
    for codes in (["017", "001"], ["017"]):
        write_tabs(bridges, pd.DataFrame({"county_code": codes}), columns)
    assert [tab.title for tab in sheet.tabs] == ["Bridges", "Bridges columns"], "not one more each time"
    assert bridges.cells == [["county_code"], ["017"]]
    assert sheet.tabs[1].cells == [["column", "meaning"], ["county_code", "County."]]
    write_tabs(bridges, pd.DataFrame({"a": [1]}), None)
    assert sheet.tabs[1].cells[1] == ["county_code", "County."]


def test_writing_a_file_needs_no_credentials(outlook: pd.DataFrame, tmp_path: Path) -> None:
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ
    assert Path(export_to_looker(outlook, tmp_path / "x.csv")).is_file()
