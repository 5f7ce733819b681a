"""Each flag is raised for the records it describes, and a sound record has no flags."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from bridge_assets.data.ingest.pandas_api import load_bridge_data
from bridge_assets.nbi.coding_guide.codes import STATE_NAMES
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME
from bridge_assets.nbi.coding_guide.state_extents import STATE_BOUNDS
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA
from bridge_assets.nbi.derived import derived_columns
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.nbi.flags import REQUIRED_COLUMNS, flag_counts, flag_records, unchecked_flags

#: A bridge in Alaska in the file of 2019, with no contradictions.
SOUND = {
    "STATE_CODE_001": "02",
    "STRUCTURE_NUMBER_008": "1234",
    "RECORD_TYPE_005A": "1",
    "LAT_016": "61083100",
    "LONG_017": "149525900",
    "OWNER_022": "01",
    "YEAR_BUILT_027": 1974,
    "YEAR_RECONSTRUCTED_106": 0,
    "TRAFFIC_LANES_ON_028A": 2,
    "ADT_029": 1200,
    "PERCENT_ADT_TRUCK_109": 8,
    "OPEN_CLOSED_POSTED_041": "A",
    "SERVICE_UND_042B": "5",
    "STRUCTURE_TYPE_043B": "02",
    "MAX_SPAN_LEN_MT_048": 20.0,
    "STRUCTURE_LEN_MT_049": 32.9,
    "ROADWAY_WIDTH_MT_051": 7.3,
    "DECK_WIDTH_MT_052": 7.9,
    "DECK_COND_058": "6",
    "SUPERSTRUCTURE_COND_059": "7",
    "SUBSTRUCTURE_COND_060": "6",
    "CULVERT_COND_062": "N",
    "OPR_RATING_METH_063": "1",
    "OPERATING_RATING_064": 60.0,
    "INV_RATING_METH_065": "1",
    "INVENTORY_RATING_066": 36.0,
    "POSTING_EVAL_070": "5",
    "DATE_OF_INSPECT_090": "818",
    "BRIDGE_LEN_IND_112": "Y",
    "SCOUR_CRITICAL_113": "8",
    "BRIDGE_CONDITION": "F",
    "LOWEST_RATING": "6",
}
CULVERT = {
    "STRUCTURE_TYPE_043B": "19",
    "DECK_COND_058": "N",
    "SUPERSTRUCTURE_COND_059": "N",
    "SUBSTRUCTURE_COND_060": "N",
    "CULVERT_COND_062": "6",
    "DECK_WIDTH_MT_052": 0.0,
}
CLOSED = {"SUBSTRUCTURE_COND_060": "1", "BRIDGE_CONDITION": "P", "LOWEST_RATING": "1"}


def table(*changes: dict[str, Any]) -> pl.DataFrame:
    rows = [{**dict.fromkeys(RECORD_SCHEMA), **SOUND, **change} for change in changes]
    return pl.DataFrame(rows, schema=RECORD_SCHEMA, orient="row").with_columns(derived_columns(2019))


SOUND_CHANGES = {
    "a sound bridge": {},
    "a culvert under fill": CULVERT,
    "a closed bridge": {**CLOSED, "OPEN_CLOSED_POSTED_041": "K", "DATE_OF_INSPECT_090": "805"},
    "a route under a bridge": {"RECORD_TYPE_005A": "2", "STRUCTURE_LEN_MT_049": None, "TRAFFIC_LANES_ON_028A": 0},
    "position unknown": {"LAT_016": "00000000", "LONG_017": "999999999"},
    "no position": {"LAT_016": None, "LONG_017": None},
    "a position just over the border": {"LONG_017": "129550000"},
    "lengths that differ by rounding": {"MAX_SPAN_LEN_MT_048": 33.0, "ROADWAY_WIDTH_MT_051": 8.0},
    "posted and open": {"POSTING_EVAL_070": "2", "OPEN_CLOSED_POSTED_041": "P"},
    "ratings by different methods": {"OPERATING_RATING_064": 1.2, "OPR_RATING_METH_063": "8"},
    "codes without their zeros": {"OWNER_022": "1", "STRUCTURE_TYPE_043B": "2"},
    "built in the survey year": {"YEAR_BUILT_027": 2018, "YEAR_RECONSTRUCTED_106": 2018},
}

FLAGGED = {
    "coordinate_impossible": [{"LAT_016": "61086000"}, {"LONG_017": "-1575323."}],
    "coordinate_out_of_state": [{"LAT_016": "31555400"}, {"LONG_017": "120000000"}, {"STATE_CODE_001": "01"}],
    "inspection_date_impossible": [{"DATE_OF_INSPECT_090": "1318"}, {"DATE_OF_INSPECT_090": "XX18"}],
    "no_inspection_date": [{"DATE_OF_INSPECT_090": None}, {"DATE_OF_INSPECT_090": "0000"}],
    "inspection_in_future": [{"DATE_OF_INSPECT_090": "120"}],
    "inspection_stale": [{"DATE_OF_INSPECT_090": "1212"}],
    "year_built_impossible": [{"YEAR_BUILT_027": 0}, {"YEAR_BUILT_027": 197}],
    "built_after_inspection": [{"YEAR_BUILT_027": 2019}],
    "reconstructed_before_built": [{"YEAR_RECONSTRUCTED_106": 1950}],
    "reconstructed_after_survey": [{"YEAR_RECONSTRUCTED_106": 2090}],
    "adt_impossible": [{"ADT_029": -1}, {"ADT_029": 500_001, "TRAFFIC_LANES_ON_028A": 12}, {"ADT_029": 115_201}],
    "traffic_without_lanes": [{"TRAFFIC_LANES_ON_028A": 0}],
    "truck_share_impossible": [{"PERCENT_ADT_TRUCK_109": 101}, {"PERCENT_ADT_TRUCK_109": -1}],
    "length_missing": [{"STRUCTURE_LEN_MT_049": None}, {"STRUCTURE_LEN_MT_049": 0.0, "MAX_SPAN_LEN_MT_048": 0.0}],
    "shorter_than_a_bridge": [{"STRUCTURE_LEN_MT_049": 6.0, "MAX_SPAN_LEN_MT_048": 5.0}],
    "span_longer_than_structure": [{"MAX_SPAN_LEN_MT_048": 33.1}],
    "deck_width_zero": [{"DECK_WIDTH_MT_052": 0.0}, {"DECK_WIDTH_MT_052": None}],
    "roadway_wider_than_deck": [{"ROADWAY_WIDTH_MT_051": 8.1}],
    "open_though_rated_closed": [CLOSED, {**CLOSED, "OPEN_CLOSED_POSTED_041": "P"}],
    "open_though_posting_required": [{"POSTING_EVAL_070": "3"}],
    "operating_below_inventory": [{"OPERATING_RATING_064": 35.0}],
    "scour_not_applicable_over_water": [{"SCOUR_CRITICAL_113": "N"}],
    "class_disagrees": [{"BRIDGE_CONDITION": "G"}, {"BRIDGE_CONDITION": "P"}],
    "lowest_disagrees": [{"LOWEST_RATING": "7"}],
    "lowercase_code": [{"CULVERT_COND_062": "n"}],
    "unknown_code:OWNER_022": [{"OWNER_022": "99"}],
    "built_after_survey; built_after_inspection": [{"YEAR_BUILT_027": 2020}],
    "culvert_and_deck_rated; culvert_type_disagrees": [{"CULVERT_COND_062": "6"}],
    "culvert_type_disagrees": [{"STRUCTURE_TYPE_043B": "19"}],
    "no_condition": [{**CULVERT, "CULVERT_COND_062": "N", "BRIDGE_CONDITION": None, "LOWEST_RATING": None}],
    "inspection_in_future; lowercase_code; unknown_code:OWNER_022; unknown_code:DESIGN_LOAD_031": [
        {"DATE_OF_INSPECT_090": "120", "CULVERT_COND_062": "n", "OWNER_022": "98", "DESIGN_LOAD_031": "X"}
    ],
}


@pytest.mark.parametrize("case", SOUND_CHANGES)
def test_a_sound_record_has_no_flag(case: str) -> None:
    assert flag_records(table(SOUND_CHANGES[case]), 2019).to_list() == [None]


@pytest.mark.parametrize("expected", FLAGGED)
def test_a_flag_is_raised_by_the_records_it_describes(expected: str) -> None:
    records = table({}, *FLAGGED[expected], {})
    assert flag_records(records, 2019).to_list() == [None, *[expected] * len(FLAGGED[expected]), None]


def test_every_flag_is_tested_here() -> None:
    tested = {name.partition(":")[0] for names in FLAGGED for name in names.split("; ")}
    assert tested == set(FLAGS)


def test_flags_are_the_same_for_every_type_of_coded_items() -> None:
    records = table(*(change for changes in FLAGGED.values() for change in changes))
    texts = flag_records(records, 2019)
    assert texts.name == "flags" and texts.dtype == pl.String
    coded = [name for name in records.columns if records.schema[name] == pl.String and name in RECORD_SCHEMA]
    assert flag_records(records.with_columns(pl.col(coded).cast(pl.Categorical)), 2019).equals(texts)
    arrow = records.select(coded).to_arrow(compat_level=pl.CompatLevel.oldest())
    assert flag_records(records.select(REQUIRED_COLUMNS), 2019, arrow).equals(texts)


def test_a_table_without_rows_has_no_flags() -> None:
    nothing = flag_records(table().clear(), 2019)
    assert nothing.len() == 0 and nothing.dtype == pl.String


def test_counts_are_by_flag_and_item_in_the_order_of_the_flags() -> None:
    column = pl.Series(["adt_impossible; unknown_code:TOLL_020", None, "coordinate_impossible; adt_impossible"])
    assert list(flag_counts(column).items()) == [
        ("coordinate_impossible", 1),
        ("adt_impossible", 2),
        ("unknown_code:TOLL_020", 1),
    ]


def test_every_flag_names_known_items_and_a_reason() -> None:
    for flag in FLAGS.values():
        assert set(flag.items) <= set(ITEMS_BY_NAME)
        assert flag.meaning and flag.rationale and not flag.meaning.endswith(".")


def test_every_state_has_an_extent() -> None:
    assert set(STATE_BOUNDS) == set(STATE_NAMES)
    assert all(box.south < box.north and box.west < box.east for box in STATE_BOUNDS.values())


def test_flags_are_rare_in_a_real_state_and_its_published_class_agrees(real_data) -> None:
    path = real_data / "nbi" / "AK19.txt"
    records = pl.from_pandas(load_bridge_data(str(path)))
    counts = flag_counts(flag_records(records, 2019))
    # Seconds of 60, and 13 open bridges last inspected before 2013; no class disagrees.
    assert counts == {"coordinate_impossible": 10, "inspection_stale": 13, "open_though_posting_required": 2}


def test_flags_find_the_errors_in_real_files_of_many_years(real_data) -> None:
    counts: dict[str, int] = {}
    for path in sorted((real_data / "nbi" / "panel").glob("*.txt")):
        records = pl.from_pandas(load_bridge_data(str(path)))
        for name, count in flag_counts(flag_records(records, int(path.stem[-4:]))).items():
            counts[name] = counts.get(name, 0) + count
    assert counts == {
        "coordinate_impossible": 3,
        "coordinate_out_of_state": 2,
        "reconstructed_after_survey": 12,
        "deck_width_zero": 1,
        "open_though_posting_required": 7,
    }


ONE_FLAG = {name: changes[0] for name, changes in FLAGGED.items() if name in FLAGS and FLAGS[name].expression}


@pytest.mark.parametrize("flag", ONE_FLAG)
def test_no_flag_accuses_a_column_that_the_file_does_not_have(flag: str) -> None:
    for item in FLAGS[flag].needs:
        records = table(ONE_FLAG[flag], {**ONE_FLAG[flag], item: None})
        found = flag_records(records, 2019, absent_items={item}).to_list()
        assert not [flags for flags in found if flag in (flags or "").split("; ")]
        assert flag in unchecked_flags({item})
    assert flag not in unchecked_flags(())


def test_a_limit_that_needs_no_other_item_is_checked_without_it() -> None:
    records = table({"ADT_029": 500_001, "TRAFFIC_LANES_ON_028A": None})
    assert flag_records(records, 2019, absent_items={"TRAFFIC_LANES_ON_028A"}).to_list() == ["adt_impossible"]


def test_a_real_file_without_a_column_has_no_flag_about_it(real_data, tmp_path) -> None:
    lines = (real_data / "nbi" / "AK19.txt").read_bytes().decode("latin-1").splitlines()
    rows = [[field.strip(" '") for field in line.split(",")] for line in lines]
    for item in ("DATE_OF_INSPECT_090", "STRUCTURE_LEN_MT_049", "DECK_WIDTH_MT_052", "STRUCTURE_TYPE_043B"):
        place = rows[0].index(item)
        path = tmp_path / "AK_2019.csv"
        path.write_text("\n".join("\t".join(row[:place] + row[place + 1 :]) for row in rows))
        counts = flag_counts(pl.Series(load_bridge_data(str(path))["flags"], dtype=pl.String))
        assert not [flag for flag in counts if item in FLAGS[flag].items]
