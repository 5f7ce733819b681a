"""Cells that pandas, R or a database changed are read as they were before, and the run says so."""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl
import pytest

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.reading.formats import read_survey_file

#: Columns: every kind of item, one of them a code with any text (013A), one of them a text.
HEADER = (
    "STATE_CODE_001,STRUCTURE_NUMBER_008,RECORD_TYPE_005A,FACILITY_CARRIED_007,LRS_INV_ROUTE_013A,DESIGN_LOAD_031,"
    "DECK_COND_058,SUPERSTRUCTURE_COND_059,DATE_OF_INSPECT_090,ADT_029"
)


def read(path: Path, *rows: str) -> tuple[pl.DataFrame, list[str]]:
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return read_file(path)


def read_file(path: Path) -> tuple[pl.DataFrame, list[str]]:
    batches = [year.batch for year in read_survey_file(path, 2019)]
    records = pl.concat(batch.records for batch in batches).select(HEADER.split(","))
    return records, list(batches[-1].warnings)


@pytest.mark.parametrize("mark", ["NA", "<NA>", "nan", "NaN", "NULL", "null", r"\N", "#N/A", "None"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_word_for_a_missing_value_is_an_empty_cell(
    tmp_path: Path, mark: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"04,S{row},1,{mark},{mark},{mark},7,{mark},1118,{mark}" for row in range(3)]
    records, warnings = read(tmp_path / "NBI_2019.csv", *rows, "04,S9,1,I 10,0000000010,A,N,6,1118,50")
    if kind == "parquet":
        text = pl.read_csv(tmp_path / "NBI_2019.csv", infer_schema=False)
        text.write_parquet(tmp_path / "NBI_2019.parquet")
        records, warnings = read_file(tmp_path / "NBI_2019.parquet")
    empty = {"FACILITY_CARRIED_007", "LRS_INV_ROUTE_013A", "DESIGN_LOAD_031", "SUPERSTRUCTURE_COND_059", "ADT_029"}
    assert {name for name in records.columns if records[name].null_count()} == empty
    assert records.row(3) == ("04", "S9", "1", "I 10", "0000000010", "A", "N", "6", "1118", 50)
    assert any(
        f"15 cells say {mark!r}, as programs write a missing value, and are read as empty" in each for each in warnings
    )
    assert "are read as empty" in caplog.text


def test_such_a_word_may_be_a_text_and_part_of_the_key(tmp_path: Path) -> None:
    """A road may be called `None`, and a column that has empty cells has no need of a word for them."""
    rows = ["04,NA,1,None,,A,7,7,1118,5", "04,S2,1,NA,NA,A,7,7,1118,5", "04,S3,1,,X,NA,7,7,1118,5"]
    records, warnings = read(tmp_path / "NBI_2019.csv", *rows)
    assert records["STRUCTURE_NUMBER_008"].to_list() == ["NA", "S2", "S3"]
    assert records["FACILITY_CARRIED_007"].to_list() == ["None", "NA", None]
    assert records["LRS_INV_ROUTE_013A"].to_list() == [None, "NA", "X"]
    assert records["DESIGN_LOAD_031"].to_list() == ["A", "A", None]
    assert len(warnings) == 1


def test_codes_written_as_decimals_keep_their_condition(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """pandas writes a column of ratings with an empty cell as `7.0`: no rating was left, without a word."""
    rows = [f"04,S{row},1.0,I 10,12.0,{'5.0' if row else 'A'},7.0,,1118.0,50.0" for row in range(4)]
    path = tmp_path / "NBI_2019.csv"
    records, warnings = read(path, *rows)
    assert records["DECK_COND_058"].to_list() == ["7"] * 4
    assert records["DESIGN_LOAD_031"].to_list() == ["A", "5", "5", "5"]
    assert records.row(3) == ("04", "S3", "1", "I 10", "12", "5", "7", None, "1118", 50)
    assert warnings == [
        "19 codes are written as decimals, such as '1.0' in RECORD_TYPE_005A, and are read as whole numbers: 4 of "
        "RECORD_TYPE_005A, 4 of LRS_INV_ROUTE_013A, 4 of DECK_COND_058, 4 of DATE_OF_INSPECT_090, 3 of DESIGN_LOAD_031"
    ]
    with caplog.at_level(logging.WARNING):
        report = ingest([path], 2019, tmp_path / "records.parquet", tmp_path / "rejected.parquet")
    assert any("codes are written as decimals" in warning for warning in report.warnings)


def test_a_code_that_may_have_a_point_keeps_it(tmp_path: Path) -> None:
    records, warnings = read(tmp_path / "NBI_2019.csv", "04,1.0,1,,12.0,A,7,7,1118,5", "04,2.0,1,,X1.0,A,7,7,1118,5")
    assert records["LRS_INV_ROUTE_013A"].to_list() == ["12.0", "X1.0"]
    assert records["STRUCTURE_NUMBER_008"].to_list() == ["1.0", "2.0"]
    assert warnings == []


def test_a_table_written_from_records_is_not_restored_again(tmp_path: Path) -> None:
    path = tmp_path / "NBI_2019.csv"
    path.write_text("STATE_CODE_001,STRUCTURE_NUMBER_008,RECORD_TYPE_005A,DECK_COND_058,unparsed\n04,S1,1,NA,\n")
    [year] = read_survey_file(path, 2019)
    assert year.batch.records["DECK_COND_058"].to_list() == ["NA"]
    assert year.batch.warnings == ()


@pytest.mark.parametrize("kind", ["csv", "parquet", "export"])
def test_a_table_without_any_condition_rating_is_not_read_without_a_word(tmp_path: Path, kind: str) -> None:
    text = "STATE_CODE_001,STRUCTURE_NUMBER_008,RECORD_TYPE_005A,ADT_029\n04,S1,1,50\n"
    if kind == "export":
        text = "1 - State Code,8 - Structure Number,29 - Average Daily Traffic\n04,S1,50\n"
    path = tmp_path / "NBI_2019.csv"
    path.write_text(text)
    if kind == "parquet":
        path = tmp_path / "NBI_2019.parquet"
        pl.read_csv(tmp_path / "NBI_2019.csv", infer_schema=False).write_parquet(path)
    [year] = read_survey_file(path, 2019)
    assert any(warning.startswith("the table has no condition ratings") for warning in year.batch.warnings)


def test_a_state_that_is_not_a_code_is_named(tmp_path: Path) -> None:
    """`AZ` made another bridge of each, so that no year was matched with another."""
    path = tmp_path / "NBI_2019.csv"
    states = ["AZ", "Arizona", "04", "049", "4", "AZ"]
    path.write_text("\n".join([HEADER, *(f"{state},S{state},1,A,1,A,7,7,1118,5" for state in states)]))
    report = ingest([path], 2019, tmp_path / "records.parquet", tmp_path / "rejected.parquet")
    [warning] = [each for each in report.warnings if "state codes" in each]
    assert warning.startswith(
        "NBI_2019.csv: 3 records have state codes that are not in the Coding Guide ('AZ', 'Arizona')"
    )
