"""The sheet of bridges: sorted as an engineer works, codes with their names, numbers that can be read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from support.pages.outlook import BRIDGE, outlook

from bridge_assets.data.table_columns import Column
from bridge_assets.reporting.looker import export_to_looker, sheet_rows
from bridge_assets.reporting.outlook.columns import ADDED, TITLES, dictionary_rows, sheet_columns
from bridge_assets.reporting.outlook.sheet import bridge_sheet
from bridge_assets.settings.dashboard import DashboardSettings


def sheet(*changes: dict[str, Any], **options: Any) -> pl.DataFrame:
    return bridge_sheet(outlook(*changes), {2024: "MA24.txt"}, **options)


def test_it_is_sorted_by_state_and_look_first_rank() -> None:
    made = sheet(
        {"state_code": "36", "look_first_rank": 1},
        {"look_first_rank": 2},
        {"look_first_rank": 1},
        {"look_first_rank": None, "structure_key": "25-9"},
    )
    assert made.select("state", "look_first_rank").rows() == [
        ("Massachusetts", 1),
        ("Massachusetts", 2),
        ("Massachusetts", None),
        ("New York", 1),
    ]


def test_codes_keep_their_zeros_and_have_their_names_beside_them() -> None:
    [row] = sheet({}).to_dicts()
    names = ("state", "county", "owner_name", "material_name", "design_name", "posting_name")
    assert [row[name] for name in names] == [
        "Massachusetts",
        "Middlesex",
        "State highway agency",
        "Steel",
        "Stringer, multi-beam or girder",
        "Posted for load",
    ]
    assert (row["county_code"], row["owner"], row["design"], row["structure_key"]) == ("017", "01", "02", "25-00120")


def test_a_code_that_is_not_in_the_guide_has_no_name_and_stays() -> None:
    [row] = sheet({"county_code": "999", "owner": "1", "material": "X", "design": None}).to_dicts()
    assert (row["county"], row["county_code"]) == (None, "999")
    assert row["owner_name"] == "State highway agency", "written without its zero, as spreadsheets do"
    assert (row["material_name"], row["design_name"]) == (None, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "12.3"),
        ({"years_until_poor": None, "years_until_poor_high": None}, "> 60"),
        ({"years_until_poor_high": None}, ">= 12.3"),
        ({"condition": 4, "years_until_poor": 0.0}, "Poor now"),
        ({"years_until_poor_horizon": None, "years_until_poor": None}, None),
    ],
)
def test_years_until_poor_are_said_beyond_the_horizon_too(change: dict[str, Any], words: str | None) -> None:
    assert sheet(change)["years_until_poor_in_words"].to_list() == [words]


def test_numbers_are_rounded_without_the_digits_of_a_float32(tmp_path: Path) -> None:
    path = export_to_looker(sheet({}).to_pandas().convert_dtypes(), tmp_path / "sheet.csv")
    with Path(path).open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["fall_probability"], row["state_fall_probability"], row["years_until_poor"]) == (
        "0.1235",
        "0.0988",
        "12.3",
    )
    assert (row["latitude"], row["longitude"]) == ("42.123457", "-71.5")


def test_why_is_what_raises_the_risk() -> None:
    reasons = [
        {"feature": "peers_fall_rate", "value": 0.241, "contribution": 0.041},
        {"feature": "over_water", "value": 1.0, "contribution": -0.02},
    ]
    [row] = sheet({"reasons": reasons}).to_dicts()
    assert row["why"] == "24 % of similar bridges deteriorated (+4.1 points)"
    assert row["lowered_by"] == "over water (-2.0 points)"


def test_it_links_to_the_page_of_a_bridge_where_a_dashboard_is_configured() -> None:
    assert sheet({})["page"].to_list() == [None]
    settings = DashboardSettings(address="https://bridges.example.org/")
    made = sheet({"structure_key": "25-A/1 &2"}, address=settings.bridge_address)
    assert made["page"].to_list() == ["https://bridges.example.org/bridge?state=25&structure=A%2F1+%262"]


def test_leading_zeros_are_text_in_a_google_sheet() -> None:
    header, row = sheet_rows(sheet({}).to_pandas().convert_dtypes())
    cells = dict(zip(header, row, strict=True))
    assert (cells["county_code"], cells["owner"], cells["state_code"]) == ("017", "01", "25")
    assert cells["condition"] == 5 and isinstance(cells["fall_probability"], float)


def test_the_dictionary_describes_every_column(tmp_path: Path) -> None:
    declared = [Column(name, "varchar", f"What {name} is.") for name in BRIDGE]
    rows = dictionary_rows(sheet_columns(declared))
    assert [row["column"] for row in rows] == sheet({}).columns == list(TITLES)
    assert all(row["name"] and row["meaning"] for row in rows)
    assert not {"reasons"} & {row["column"] for row in rows} and set(ADDED) <= set(TITLES)
    export_to_looker(pd.DataFrame({"state": ["x"]}), tmp_path / "sheet.csv", pd.DataFrame(rows))
    with (tmp_path / "sheet_columns.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == rows
