"""An InfoBridge export becomes records: items by number, SI units, codes instead of names."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest

from bridge_assets.errors import LayoutError
from bridge_assets.nbi.coding_guide.codes import codes_of
from bridge_assets.nbi.derived import derived_columns
from bridge_assets.nbi.tables.by_year import SurveyYearSplitter
from bridge_assets.nbi.tables.infobridge import is_infobridge, read_infobridge, resolve_columns


def records(rows: list[dict[str, str]], year: int | None = 2024) -> pl.DataFrame:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    file = io.BytesIO(b"\xef\xbb\xbf" + text.getvalue().encode())
    batches = list(
        read_infobridge(file, "export.csv", SurveyYearSplitter("export.csv", "export.csv", "InfoBridge", None, year))
    )
    assert all(batch.batch.rejected.is_empty() for batch in batches)
    return pl.concat(batch.batch.records for batch in batches)


def one(**cells: str) -> dict[str, object]:
    row = {"1 - State Name": "Alaska", "8 - Structure Number": "7", **cells}
    return records([row]).row(0, named=True)


@pytest.fixture(scope="module")
def real(real_data: Path) -> Path:
    return real_data / "infobridge_44bridges_2000_2024.csv"


def test_real_classes_agree_with_the_export_and_no_name_is_unknown(real: Path) -> None:
    with real.open("rb") as file:
        batches = list(
            read_infobridge(file, real.name, SurveyYearSplitter(real.name, real.name, "InfoBridge", None, None))
        )
    table = pl.concat(
        each.batch.records.with_columns(*derived_columns(each.survey_year), row=each.row_positions) for each in batches
    ).sort("row")
    assert table.height == 917
    assert {each.survey_year for each in batches} == set(range(2000, 2025))
    assert table["unparsed"].null_count() == table.height
    classed = table.filter(pl.col("BRIDGE_CONDITION").is_not_null())
    assert classed.height == 916
    assert (classed["condition_class"].str.slice(0, 1) == classed["BRIDGE_CONDITION"]).all()
    assert table["on_structure"].all()

    with real.open(encoding="utf-8-sig", newline="") as file:
        published = list(csv.DictReader(file))
    assert table["STRUCTURE_LEN_MT_049"].to_list() == pytest.approx(
        [float(row["49 - Structure Length (ft.)"]) * 0.3048 for row in published]
    )
    assert table["OPERATING_RATING_064"].to_list() == pytest.approx(
        [float(row["64 - Operating Rating (US tons)"]) * 0.90718474 for row in published], abs=1e-6
    )
    names = codes_of("STATE_CODE_001")
    assert [names[code] for code in table["STATE_CODE_001"]] == [row["1 - State Name"] for row in published]
    assert table["survey_year"].to_list() == [int(row["Year"]) for row in published]
    assert set(table["SCOUR_CRITICAL_113"]) == {"4", "5", "6", "7", "8", "N", "T"}
    assert set(table["STRUCTURE_KIND_043A"]) == {"3", "4", "5", "6"}


def test_real_columns_that_are_not_items_are_listed(real: Path) -> None:
    headings = real.read_text(encoding="utf-8-sig").split("\n", 1)[0].split(",")
    columns, ignored = resolve_columns(headings, "export.csv")
    assert len(columns) == 17
    assert ignored[:4] == [
        "2024 NBI Structure Number",
        "3 - County Name",
        "City - InfoBridge Place Code",
        "Bridge Age (yr)",
    ]
    assert "Time of Wetness" in ignored
    assert len(columns) + len(ignored) + 1 == len(headings)


@pytest.mark.parametrize(
    ("heading", "text", "item", "value"),
    [
        ("49 - Structure Length (ft.)", "100", "STRUCTURE_LEN_MT_049", 30.48),
        ("49 - Structure Length (m)", "100", "STRUCTURE_LEN_MT_049", 100.0),
        ("64 - Operating Rating (US tons)", "10", "OPERATING_RATING_064", 9.071847),
        ("66 - Inventory Rating (metric tons)", "10", "INVENTORY_RATING_066", 10.0),
        ("CAT29 - Deck Area (sq. ft.)", "1000", "DECK_AREA", 92.90304),
        ("19 - Bypass Detour Length (mi)", "12.4", "DETOUR_KILOS_019", 20),
        ("11 - Mile Point (miles)", "2", "KILOPOINT_011", 3.218688),
        ("34 - Skew Angle (degrees)", "30", "DEGREES_SKEW_034", 30),
        ("109 - Average Daily Truck Traffic (Percent ADT)", "8", "PERCENT_ADT_TRUCK_109", 8),
        ("16 - Latitude (decimal)", "61.2189", "LAT_016", "61130804"),
        ("17 - Longitude (decimal)", "-87.6916667", "LONG_017", "087413000"),
        ("22 - Owner Agency", "State Highway Agency", "OWNER_022", "01"),
        ("22 - Owner Agency", "'State Highway Agency'", "OWNER_022", "01"),
        ("22 - Owner Code", "1", "OWNER_022", "01"),
        ("43B - Main Span Design", "Culvert (includes frame culverts)", "STRUCTURE_TYPE_043B", "19"),
        ("44A - Approach Span Material", "Other", "APPR_KIND_044A", "0"),
        ("62 - Culverts Condition Rating", "N", "CULVERT_COND_062", "N"),
        ("CAT10 - Bridge Condition", "Poor", "BRIDGE_CONDITION", "P"),
        ("90 - Inspection Date", "3/2021", "DATE_OF_INSPECT_090", "321"),
        ("90 - Inspection Date", "12/31/1999", "DATE_OF_INSPECT_090", "1299"),
        ("90 - Inspection Date", "2021-03-01", "DATE_OF_INSPECT_090", "321"),
        ("90 - Inspection Date", "0321", "DATE_OF_INSPECT_090", "0321"),
        ("3 - County Code", "020", "COUNTY_CODE_003", "020"),
        ("7 - Facility Carried By Structure", " I 10, O'NEAL   ", "FACILITY_CARRIED_007", "I 10, O'NEAL"),
    ],
)
def test_a_cell_is_read_by_its_heading(heading: str, text: str, item: str, value: object) -> None:
    record = one(**{heading: text})
    assert record[item] == (pytest.approx(value) if isinstance(value, float) else value)
    assert record["unparsed"] is None


@pytest.mark.parametrize(
    "heading", ["49 - Structure Length", "49 - Structure Length (cubits)", "49 - Length (US tons)"]
)
def test_a_length_in_an_unknown_unit_is_ignored(heading: str) -> None:
    assert resolve_columns(["1 - State Code", "8 - Structure Number", heading], "export.csv")[1] == [heading]


def test_unknown_names_and_unparseable_numbers_keep_their_text() -> None:
    record = one(**{"22 - Owner Agency": "A club", "49 - Structure Length (ft.)": "long", "27 - Year Built": "1974?"})
    assert (record["OWNER_022"], record["STRUCTURE_LEN_MT_049"], record["YEAR_BUILT_027"]) == (None, None, None)
    assert set(str(record["unparsed"]).split("; ")) == {
        "OWNER_022='A club'",
        "STRUCTURE_LEN_MT_049='long'",
        "YEAR_BUILT_027='1974?'",
    }


def test_codes_without_zeros_and_with_decimals_are_those_of_the_coding_guide() -> None:
    """InfoBridge writes county 055 as 55, and pandas the rating 7 as 7.0."""
    record = one(**{"3 - County Code": "55", "58 - Deck Condition Rating": "7.0", "59 - Superstructure": "6"})
    assert (record["COUNTY_CODE_003"], record["DECK_COND_058"]) == ("055", "7")
    assert one(**{"3 - County Code": "1.0"})["COUNTY_CODE_003"] == "001"
    assert record["unparsed"] is None


def test_the_code_column_is_preferred_to_the_name_column() -> None:
    columns, ignored = resolve_columns(["1 - State Name", "1 - State Code", "8 - Structure Number"], "export.csv")
    assert [column.position for column in columns] == [1, 2]
    assert ignored == ["1 - State Name"]


def test_other_tables_are_not_exports_and_an_export_needs_a_key() -> None:
    assert not is_infobridge(["STATE_CODE_001", "STRUCTURE_NUMBER_008"])
    with pytest.raises(LayoutError, match="no column for item 8"):
        resolve_columns(["1 - State Code"], "export.csv")
