"""Validation of tables of bridge data: problems that make a table unusable, and warnings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from support.nbi_files import write_nbi

from bridge_assets.data.ingest.pandas_api import load_bridge_data
from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
from bridge_assets.data.records.validation import (
    ValidationReport,
    record_problems,
    validate_bridge_data,
    validation_problems,
    validation_report,
)


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    rows = [{"STRUCTURE_NUMBER_008": str(number)} for number in range(1, 5)]
    return load_bridge_data(write_nbi(tmp_path, 2019, rows))


def test_a_clean_table_is_valid_without_warnings(table: pd.DataFrame) -> None:
    report = validation_report(table)
    assert report.valid
    assert validate_bridge_data(table)
    assert (report.records, report.survey_years, report.problems) == (4, {2019: 4}, ())
    assert str(report).splitlines()[0] == "This is bridge data: 4 records (2019: 4)"
    assert report.missing["ROUTE_NUMBER_005D"] == 1.0
    assert "DECK_COND_058" not in report.missing


def test_pandas_and_polars_tables_give_the_same_report(table: pd.DataFrame) -> None:
    table.loc[0, "OWNER_022"] = "99"
    from_pandas = validation_report(table)
    assert from_pandas == validation_report(pl.from_pandas(table))
    assert from_pandas.warnings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns=["ADT_029", "condition"]), "2 columns are missing: ADT_029, condition"),
        (lambda table: table.iloc[:0], "the table has no records"),
        (lambda table: table.assign(structure_key=[None, "01-2", "01-3", "01-4"]), "1 records have no structure key"),
        (lambda table: table.assign(survey_year=[2019, None, None, 2019]), "2 records have no survey year"),
        (
            lambda table: table.assign(DECK_COND_058=["6", "11", "x", None]),
            "item 58 has 2 values that are not ratings, such as '11'",
        ),
        (
            lambda table: table.assign(OWNER_022=[1, 2, 3, 4]),
            "OWNER_022 has type Int64, but text is expected; a code stored as a number has lost its leading zeros",
        ),
        (lambda table: table.assign(ADT_029="many"), "the column ADT_029 has type String, but a number is expected"),
        (
            lambda table: table.assign(OWNER_022=[1, "02", 3.0, None]),
            "the column OWNER_022 contains values of several types",
        ),
        (lambda table: pd.concat([table, table[["ADT_029"]]], axis=1), "the column ADT_029 occurs twice"),
        (
            lambda table: table.assign(on_structure="yes"),
            "the column on_structure has type String, but true or false is",
        ),
    ],
)
def test_problems_make_a_table_invalid(table: pd.DataFrame, change, message: str) -> None:
    changed = change(table)
    assert not validate_bridge_data(changed)
    assert any(message in problem for problem in validation_problems(changed)), validation_problems(changed)


def test_unusual_values_are_counted_in_warnings(tmp_path: Path) -> None:
    rows = [
        {"OWNER_022": "99"},
        {"ADT_029": "x", "STRUCTURE_NUMBER_008": "0001234"},
        {"RECORD_TYPE_005A": "2"},
        {"STRUCTURE_NUMBER_008": "7"},
    ]
    report = validation_report(load_bridge_data(write_nbi(tmp_path, 2019, rows)))
    assert report.valid
    assert report.duplicates == 2
    warnings = "\n".join(report.warnings)
    assert "item 22 (OWNER_022) has 1 values outside its code list: '99' (1)" in warnings
    assert "2 records of type 1 share survey year and structure key" in warnings
    assert "1 records have a number that could not be parsed" in warnings
    assert "Warnings:" in str(report)


def test_the_page_shows_problems_warnings_and_gaps(table: pd.DataFrame) -> None:
    page = validation_report(table.assign(OWNER_022="99", DECK_COND_058="?")).to_markdown()
    assert page.startswith("**This is not bridge data: 4 records (2019: 4)**")
    for part in ("### Problems", "### Warnings", "### Without a value", "| ROUTE_NUMBER_005D | 5D | 100.00% |"):
        assert part in page


def test_any_table_can_be_validated() -> None:
    for other in (pd.DataFrame(), pd.DataFrame({"a": [1]}), pd.DataFrame({"structure_key": [1.5]}), pl.DataFrame()):
        assert not validate_bridge_data(other)


def test_real_files_are_bridge_data(real_data: Path) -> None:
    for name in ("AK19.txt", "layouts/nbi_1992.txt", "layouts/nbi_2016.txt"):
        table = load_bridge_data(real_data / "nbi" / name)
        assert list(table.columns) == list(BRIDGE_SCHEMA)
        assert validation_report(table).valid


def test_a_condition_item_must_be_a_rating_of_the_coding_guide_or_blank():
    ratings = [*"0123456789", "N", "n", None]
    assert record_problems(pl.DataFrame({"DECK_COND_058": ratings, "CULVERT_COND_062": ratings})) == []
    for wrong in ("10", "-1", "", "X", "NN", "06", " 6"):
        problems = record_problems(pl.DataFrame({"SUPERSTRUCTURE_COND_059": ["6", wrong, None, wrong]}))
        assert problems == [f"item 59 has 2 values that are not ratings, such as {wrong!r}"]
    both = pl.DataFrame({"DECK_COND_058": ["10"], "SUBSTRUCTURE_COND_060": ["11"], "CULVERT_COND_062": ["12"]})
    assert [problem[:7] for problem in record_problems(both)] == ["item 58", "item 60", "item 62"]
    assert record_problems(pl.DataFrame({"DECK_COND_058": [10]})) == [], "a number is another kind of problem"


def test_codes_may_come_as_categories_and_numbers_of_another_width(table: pd.DataFrame) -> None:
    whole = pl.from_pandas(table).with_columns(pl.col("inspection_date").cast(pl.Datetime))
    for text in (pl.Categorical(), pl.Enum(["02"])):
        assert validation_problems(whole.with_columns(pl.col("OWNER_022").cast(text))) == []
    assert validation_problems(whole.with_columns(pl.col("ADT_029").cast(pl.Float64))) == []
    assert validation_problems(whole.with_columns(OWNER_022=None, ADT_029=None, on_structure=None)) == []
    message = "the column {} has type {}, but {} is expected"
    for name, value, problem in (
        ("OWNER_022", True, message.format("OWNER_022", "Boolean", "text")),
        ("ADT_029", True, message.format("ADT_029", "Boolean", "a number")),
        ("inspection_date", "2019", message.format("inspection_date", "String", "a date")),
        ("on_structure", 1.5, message.format("on_structure", "Float64", "true or false")),
    ):
        assert validation_problems(whole.with_columns(pl.lit(value).alias(name))) == [problem]


def test_additional_columns_are_ignored(table: pd.DataFrame) -> None:
    own = table.assign(remark=pd.Series([1, "02", 3.0, None], dtype=object))
    assert validation_problems(own) == []
    assert "remark" not in validation_report(own).missing
    twice = pd.concat(
        [table.drop(columns=["ADT_029"]), table[["ADT_029", "ADT_029"]].assign(OWNER=[1, "a", 2, "b"])], axis=1
    )
    assert validation_problems(twice)[:1] == ["the column ADT_029 occurs twice"]


def test_up_to_eight_missing_columns_are_named(table: pd.DataFrame) -> None:
    names = list(table.columns)
    eight, nine = (validation_problems(table.drop(columns=names[-count:])) for count in (8, 9))
    assert eight == [f"8 columns are missing: {', '.join(names[-8:])}"]
    assert nine == [f"9 columns are missing: {', '.join(names[-9:-1])} and 1 more"]


def test_duplicates_are_counted_among_records_of_type_1(table: pd.DataFrame) -> None:
    years = [2019, 2019, 2018, 2018]
    twice = pl.from_pandas(table).with_columns(
        pl.Series("survey_year", years, dtype=pl.Int16), structure_key=pl.lit("01-1")
    )
    report = validation_report(twice)
    assert (report.duplicates, report.survey_years) == (4, {2018: 2, 2019: 2})
    assert list(report.survey_years) == [2018, 2019]
    under = twice.with_columns(pl.Series("on_structure", [True, True, True, False]))
    assert validation_report(under).duplicates == 2
    unknown = twice.with_columns(structure_key=pl.lit(None, dtype=pl.String))
    assert validation_report(unknown).duplicates == 0
    for other in (twice.drop("on_structure"), twice.with_columns(on_structure=pl.lit(1))):
        assert validation_report(other).duplicates == 0
    assert validation_report(twice.with_columns(survey_year=pl.lit("2019"))).survey_years == {}
    assert validation_report(twice.drop("survey_year")).survey_years == {}


def test_every_warning_has_its_count(table: pd.DataFrame) -> None:
    unusual = pl.from_pandas(table).with_columns(
        pl.Series("unparsed", ["ADT_029='x'", None, "ADT_029='y'", None]),
        pl.Series("flags", ["unknown_code:OWNER_022", None, "unknown_code:OWNER_022", None]),
        pl.Series("OWNER_022", ["99", "02", "99", "02"]),
    )
    report = validation_report(unusual)
    assert report.flags == {"unknown_code:OWNER_022": 2}
    assert report.missing["unparsed"] == report.missing["flags"] == 0.5
    assert list(report.warnings) == [
        "item 22 (OWNER_022) has 2 values outside its code list: '99' (2)",
        "2 records have a number that could not be parsed; its text is in `unparsed`",
        "2 flags: unknown_code:OWNER_022 2",
    ]
    assert validation_report(pl.from_pandas(table).with_columns(flags=None)).warnings == ()


def test_a_report_is_rendered_as_text_and_markdown():
    report = ValidationReport(
        records=4000,
        survey_years={2018: 1000, 2019: 3000},
        problems=("no key", "no year"),
        warnings=("odd",),
        flags={"future": 1000, "unknown_code:OWNER_022": 1},
        missing={"flags": 0.25, "ADT_029": 0.25, "DECK_COND_058": 0.5},
    )
    headline = "This is not bridge data: 4,000 records (2018: 1,000, 2019: 3,000)"
    assert str(report) == f"{headline}\nProblems:\n- no key\n- no year\nWarnings:\n- odd"
    assert report.to_markdown() == (
        f"**{headline}**\n\n### Problems\n\n- no key\n- no year\n\n### Warnings\n\n- odd\n"
        "\n### Flags\n\n| flag | records | share |\n|---|---:|---:|\n"
        "| future | 1,000 | 25.00% |\n| unknown_code:OWNER_022 | 1 | 0.03% |\n"
        "\n### Without a value\n\n| column | item | share |\n|---|---|---:|\n"
        "| DECK_COND_058 | 58 | 50.00% |\n| ADT_029 | 29 | 25.00% |\n| flags |  | 25.00% |\n"
    )
    fine = ValidationReport(records=0, warnings=("odd",))
    assert fine.valid
    assert str(fine) == "This is bridge data: 0 records\nWarnings:\n- odd"
    assert ValidationReport(records=0).to_markdown() == "**This is bridge data: 0 records**\n"
