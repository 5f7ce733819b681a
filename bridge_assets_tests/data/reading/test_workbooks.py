"""Excel workbooks: the cells are those of the published file, or what Excel made of them is said."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.ingest.pandas_api import load_bridge_data, rejected_bridge_data
from bridge_assets.data.reading import file_names
from bridge_assets.data.reading.formats import Format, count_rows, detect_format
from bridge_assets.data.sources.survey_files import left_alone, survey_files
from bridge_assets.errors import SourceError
from bridge_assets.nbi.spreadsheet import CURE

HEADER = ["STATE_CODE_001", "STRUCTURE_NUMBER_008", "RECORD_TYPE_005A", "COUNTY_CODE_003", "STRUCTURE_LEN_MT_049"]


#: A cell of which Excel made a date.
DATE = (dt.datetime(2019, 2, 1), "d-mmm-yy")


@pytest.fixture
def openpyxl() -> Any:
    return pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")


def workbook(path: Path, *sheets: Sequence[Sequence[Any]]) -> Path:
    """A workbook with these worksheets. A pair of a value and a number format is a formatted cell."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for rows in sheets:
        sheet = book.create_sheet()
        for row, values in enumerate(rows, start=1):
            for column, value in enumerate(values, start=1):
                content, number_format = value if isinstance(value, tuple) else (value, "General")
                cell = sheet.cell(row, column, content)
                cell.number_format = number_format
    book.save(path)
    return path


def published_rows(path: Path) -> list[list[str]]:
    lines = path.read_bytes().decode("latin-1").splitlines()
    return [[field.strip().removeprefix("'").removesuffix("'").strip() for field in line.split(",")] for line in lines]


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def test_a_real_state_as_text_has_the_same_cells(tmp_path: Path, real_data: Path, openpyxl: Any) -> None:
    rows = published_rows(real_data / "nbi" / "AK19.txt")[:121]
    path = workbook(tmp_path / "AK19.xlsx", [["Notes"], ["none"]], rows)
    assert detect_format(path) is Format.EXCEL
    expected = load_bridge_data(real_data / "nbi" / "AK19.txt").drop(columns="file")[:120]
    found = load_bridge_data(path)
    assert set(found["file"]) == {"AK19.xlsx"}
    assert pl.from_pandas(found.drop(columns="file")).equals(pl.from_pandas(expected))
    assert count_rows(path, 2019) == 120
    assert survey_files(tmp_path) == {2019: [path]}
    report = ingest([path], 2019, tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert (report.warnings, report.layouts) == ((), ("Excel workbook",))


def test_a_real_state_as_numbers_keeps_its_bridges_and_says_what_was_lost(
    tmp_path: Path, real_data: Path, openpyxl: Any
) -> None:
    header, *rows = published_rows(real_data / "nbi" / "AK19.txt")[:121]
    as_numbers = [[float(field) if is_number(field) else field for field in row] for row in rows]
    path = workbook(tmp_path / "AK19.xlsx", [header, *as_numbers])
    expected = load_bridge_data(real_data / "nbi" / "AK19.txt")[:120]
    found = load_bridge_data(path)
    for name in ("structure_key", "latitude", "longitude", "condition", "inspection_date", "ADT_029", "DECK_AREA"):
        assert found[name].equals(expected[name]), name
    report = ingest([path], 2019, tmp_path / "a.parquet", tmp_path / "b.parquet")
    numbers, zeros = report.warnings
    assert numbers.startswith(
        "AK19.xlsx: Excel holds numbers where the items are text, so that zeros at their start are"
    )
    assert f"STRUCTURE_NUMBER_008 ({sum(is_number(row[1]) for row in rows)})" in numbers
    assert "STATE_CODE_001 (120)" in numbers and numbers.endswith(CURE)
    assert "codes have lost the zeros at their start" in zeros


def test_cells_are_what_excel_shows_or_their_row_is_rejected(tmp_path: Path, openpyxl: Any) -> None:
    path = workbook(
        tmp_path / "NBI_2019.xlsx",
        [
            HEADER,
            [("02", "@"), "000000000000123", "1", (7, "000"), 12.300000000000001],
            [2, 883039, 1, 7, 12],
            ["02", 123456789012345678, "1", "007", 1],
            ["02", 1.5, "1", "007", 1],
            ["02", DATE, "1", "007", 1],
            ["02", "#N/A", "1", "007", 1],
            [],
            ["02", "9", "1", DATE, None, "beyond"],
            ["02", "9", "1", DATE, "about 12"],
            [None, "10", "1", "007", 1],
        ],
    )
    table = load_bridge_data(path)
    columns = ["line_number", *HEADER]
    assert table[columns].to_numpy().tolist()[:2] == [
        [2, "02", "000000000000123", "1", "007", 12.3],
        [3, "2", "883039", "1", "7", 12.0],
    ]
    assert table["unparsed"].tolist()[2] == "STRUCTURE_LEN_MT_049='about 12'"
    rejected = rejected_bridge_data(path)
    assert rejected[["line_number", "reason"]].to_numpy().tolist() == [
        [4, "changed_key"],
        [5, "changed_key"],
        [6, "changed_key"],
        [7, "changed_key"],
        [9, "field_count"],
        [11, "no_key"],
    ]
    assert rejected["detail"][0].startswith("STRUCTURE_NUMBER_008 is the number 1.23456789012346e+17 in Excel, which")
    assert len(table) + len(rejected) == count_rows(path, 2019) == 9
    [warning] = [
        each
        for each in ingest([path], 2019, tmp_path / "a.parquet", tmp_path / "b.parquet").warnings
        if "dates" in each
    ]
    assert warning.startswith("NBI_2019.xlsx: Excel holds dates where the items are text or numbers: cells of COUNTY_C")


def test_the_survey_years_in_a_workbook_are_found(tmp_path: Path, openpyxl: Any) -> None:
    rows = [["02", "1", year] for year in (2018, "2019", 2018.0)]
    path = workbook(tmp_path / "bridges.xlsx", [[*HEADER[:2], "survey_year"], *rows])
    assert survey_files(tmp_path) == {2018: [path], 2019: [path]}
    assert len(load_bridge_data(path, 2018)) == count_rows(path, 2018) == 2
    with pytest.raises(SourceError, match="no records of survey year 2001"):
        load_bridge_data(path, 2001)


def test_an_infobridge_export_may_be_a_workbook(tmp_path: Path, openpyxl: Any) -> None:
    headings = ["Year", "1 - State Name", "8 - Structure Number", "49 - Structure Length (ft.)"]
    path = workbook(tmp_path / "export.xlsx", [headings, [2000, "Alaska", "  12", 90.9]])
    assert load_bridge_data(path)[["structure_key", "survey_year"]].to_numpy().tolist() == [["02-12", 2000]]


def test_rows_beyond_the_declared_range_are_read(tmp_path: Path, openpyxl: Any) -> None:
    path = workbook(tmp_path / "right.xlsx", [HEADER, *(["02", str(number), "1"] for number in range(9))])
    with zipfile.ZipFile(path) as right, zipfile.ZipFile(tmp_path / "NBI_2019.xlsx", "w") as wrong:
        for name in right.namelist():
            content = right.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert b'<dimension ref="A1:E10"' in content
                content = content.replace(b'<dimension ref="A1:E10"', b'<dimension ref="A1:A1"')
            wrong.writestr(name, content)
    assert len(load_bridge_data(tmp_path / "NBI_2019.xlsx")) == count_rows(tmp_path / "NBI_2019.xlsx", 2019) == 9


@pytest.mark.parametrize("sheets", [0, 2])
def test_no_or_two_worksheets_of_bridges_are_refused(tmp_path: Path, openpyxl: Any, sheets: int) -> None:
    path = workbook(tmp_path / "NBI_2019.xlsx", [["Notes"]], *[[HEADER]] * sheets)
    with pytest.raises(SourceError, match=f"{sheets or 'no'} worksheets of bridges; exactly one.*'Sheet"):
        load_bridge_data(path)


def test_a_damaged_workbook_is_refused(tmp_path: Path, openpyxl: Any) -> None:
    path = tmp_path / "NBI_2019.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook")
    with pytest.raises(SourceError, match="the Excel workbook cannot be read"):
        load_bridge_data(path)


def empty_workbook(path: Path, member: str = "xl/workbook.xml") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "")
    return path


def test_without_the_extra_a_workbook_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_names, "excel_is_readable", lambda: False)
    path = empty_workbook(tmp_path / "NBI_2024.xlsx")
    with pytest.raises(SourceError, match=r"this is an Excel workbook.*save it as CSV UTF-8.*install .*\[excel\]"):
        load_bridge_data(path)
    assert survey_files(tmp_path) == {}
    assert left_alone(tmp_path, {}) == {"NBI_2024.xlsx": "Excel: save as CSV UTF-8, or install the extra excel"}


def test_with_the_extra_a_workbook_without_a_year_is_a_table_without_one(tmp_path: Path, openpyxl: Any) -> None:
    workbook(tmp_path / "bridges.xlsx", [HEADER])
    [reason] = left_alone(tmp_path, survey_files(tmp_path)).values()
    assert reason == "no survey year, or more than one, in its name, and none in its rows"


@pytest.mark.parametrize("form", [".xls", ".xlsb"])
def test_other_forms_of_excel_are_named(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"NBI_2019{form}"
    if form == ".xls":
        path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600)
    else:
        empty_workbook(path, "xl/workbook.bin")
    with pytest.raises(SourceError, match=rf"in the form \{form}\..*save it as CSV UTF-8"):
        load_bridge_data(path)
    assert left_alone(tmp_path, {}) == {path.name: "Excel: save as CSV UTF-8 or as .xlsx"}
