"""A table of bridge data is judged: what keeps it from being one, and what is odd about it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from support.nbi_files import write_nbi

from bridge_assets.data.ingest.pandas_api import load_bridge_data
from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
from bridge_assets.data.records.validation import validate_bridge_data, validation_problems, validation_report


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    rows = [{"STRUCTURE_NUMBER_008": str(number)} for number in range(1, 5)]
    return load_bridge_data(write_nbi(tmp_path, 2019, rows))


def test_a_clean_table_is_valid_and_nothing_is_said(table: pd.DataFrame) -> None:
    report = validation_report(table)
    assert report.valid
    assert validate_bridge_data(table)
    assert (report.records, report.survey_years, report.problems) == (4, {2019: 4}, ())
    assert str(report).splitlines()[0] == "This is bridge data: 4 records (2019: 4)"
    assert report.missing["ROUTE_NUMBER_005D"] == 1.0
    assert "DECK_COND_058" not in report.missing


def test_pandas_and_polars_tables_are_judged_alike(table: pd.DataFrame) -> None:
    table.loc[0, "OWNER_022"] = "99"
    from_pandas = validation_report(table)
    assert from_pandas == validation_report(pl.from_pandas(table))
    assert from_pandas.warnings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.drop(columns=["ADT_029", "condition"]), "2 columns are missing: ADT_029, condition"),
        (lambda table: table.iloc[:0], "there are no records"),
        (lambda table: table.assign(structure_key=[None, "01-2", "01-3", "01-4"]), "1 records have no structure key"),
        (lambda table: table.assign(survey_year=[2019, None, None, 2019]), "2 records have no survey year"),
        (
            lambda table: table.assign(DECK_COND_058=["6", "11", "x", None]),
            "item 58 holds 2 values that are no rating, such as '11'",
        ),
        (
            lambda table: table.assign(OWNER_022=[1, 2, 3, 4]),
            "OWNER_022 holds Int64, where text is expected; a code that stands as a number has lost its zeros",
        ),
        (lambda table: table.assign(ADT_029="many"), "the column ADT_029 holds String, where a number is expected"),
        (
            lambda table: table.assign(OWNER_022=[1, "02", 3.0, None]),
            "the column OWNER_022 holds values of several types",
        ),
        (lambda table: pd.concat([table, table[["ADT_029"]]], axis=1), "the column ADT_029 is there twice"),
        (
            lambda table: table.assign(on_structure="yes"),
            "the column on_structure holds String, where true or false is",
        ),
    ],
)
def test_what_keeps_a_table_from_being_bridge_data_is_said(table: pd.DataFrame, change, says: str) -> None:
    changed = change(table)
    assert not validate_bridge_data(changed)
    assert any(says in problem for problem in validation_problems(changed)), validation_problems(changed)


def test_what_is_odd_is_a_warning_and_counted(tmp_path: Path) -> None:
    rows = [
        {"OWNER_022": "99"},
        {"ADT_029": "x", "STRUCTURE_NUMBER_008": "0001234"},
        {"RECORD_TYPE_005A": "2"},
        {"STRUCTURE_NUMBER_008": "7"},
    ]
    report = validation_report(load_bridge_data(write_nbi(tmp_path, 2019, rows)))
    assert report.valid
    assert report.duplicates == 2
    said = "\n".join(report.warnings)
    assert "item 22 (OWNER_022) holds 1 values that are none of its codes: '99' (1)" in said
    assert "2 records on a structure share survey year and structure key" in said
    assert "1 records hold a number that was no number" in said
    assert "Warnings:" in str(report)


def test_the_page_shows_problems_warnings_and_gaps(table: pd.DataFrame) -> None:
    page = validation_report(table.assign(OWNER_022="99", DECK_COND_058="?")).to_markdown()
    assert page.startswith("**This is not bridge data: 4 records (2019: 4)**")
    for part in ("### Problems", "### Warnings", "### Without a value", "| ROUTE_NUMBER_005D | 5D | 100.00% |"):
        assert part in page


def test_anything_at_all_gets_an_answer() -> None:
    for odd in (pd.DataFrame(), pd.DataFrame({"a": [1]}), pd.DataFrame({"structure_key": [1.5]}), pl.DataFrame()):
        assert not validate_bridge_data(odd)


def test_real_files_are_bridge_data(real_data: Path) -> None:
    for name in ("AK19.txt", "layouts/nbi_1992.txt", "layouts/nbi_2016.txt"):
        table = load_bridge_data(real_data / "nbi" / name)
        assert list(table.columns) == list(BRIDGE_SCHEMA)
        assert validation_report(table).valid
