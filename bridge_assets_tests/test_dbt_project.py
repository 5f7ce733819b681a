"""The dbt project, run by dbt itself on Parquet files as the Python assets write them.

dbt's own unit tests cover inspections and transitions case by case and run here as well. What a record means and what
the reports say is tested here: dbt cannot stand in for a table that lies in files.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import polars as pl
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.records.structures import one_record_per_structure
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA, REJECTED_SCHEMA
from bridge_assets.nbi.derived import derived_columns
from bridge_assets.orchestration.metadata.dbt_tests import explained_result
from bridge_assets.scoring.batch import list_of
from bridge_assets.scoring.shap_values import reasons_dtype
from bridge_assets.storage import write_parquet

PROJECT = Path(__file__).parent.parent / "dbt_project"
INVENTORY = {
    "duplicate_records",
    "rejects",
    "stg_bridges",
    "int_inspections",
    "int_key_breaks",
    "fct_component_rises",
    "fct_condition_transitions",
    "dim_structures",
    "fct_condition_by_year",
    "structure_number_variants",
    "renumbered_structures",
    "renumbering_breaks",
}
REPORTING = {"mart_condition_by_year", "mart_bridge_outlook"}
WITHOUT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")


@dataclass(frozen=True)
class Warehouse:
    """A lake, a warehouse and dbt between them, all in one folder."""

    folder: Path

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    @property
    def file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def dbt(self, command: str, *arguments: str) -> dict[str, str]:
        """Run dbt in this process, where it is imported once; returns node name -> status."""
        paths = [f"--project-dir={PROJECT}", f"--profiles-dir={PROJECT}"]
        paths += [f"--target-path={self.folder / 'target'}", f"--log-path={self.folder / 'logs'}"]
        variables = {"lake": str(self.lake), "warehouse": str(self.file)}
        finished = dbtRunner().invoke([command, *arguments, "--quiet", *paths, "--vars", json.dumps(variables)])
        DuckDBConnectionManager.close_all_connections()  # or the file stays open for writing
        assert finished.exception is None, finished.exception
        if command == "parse":
            return {}
        assert isinstance(finished.result, RunExecutionResult)
        return {each.node.name: str(each.status) for each in finished.result.results}

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "target" / "manifest.json").read_text())

    def table(self, query: str) -> pl.DataFrame:
        with duckdb.connect(str(self.file), read_only=True) as connection:
            return connection.sql(query).pl()

    def rows(self, query: str) -> list[tuple]:
        return self.table(query).rows()


def record(number: str, year: int, inspected: str | None, ratings: str, line: int, **items: Any) -> dict[str, Any]:
    """A record of type 1 of Alaska; `ratings` are the codes of items 58, 59, 60 and 62."""
    deck, superstructure, substructure, culvert = ratings
    return {
        "year": year,
        "line_number": line,
        "STATE_CODE_001": "02",
        "STRUCTURE_NUMBER_008": number,
        "RECORD_TYPE_005A": "1",
        "DATE_OF_INSPECT_090": inspected,
        "DECK_COND_058": deck,
        "SUPERSTRUCTURE_COND_059": superstructure,
        "SUBSTRUCTURE_COND_060": substructure,
        "CULVERT_COND_062": culvert,
        "STRUCTURE_LEN_MT_049": 20.0,
        "DECK_WIDTH_MT_052": 10.0,
    } | items


RECORDS = [
    # Inspected in 2016 and 2018; the file of 2017 carries the first one forward.
    record("A", 2016, "616", "777N", 2, FACILITY_CARRIED_007="O'NEAL ROAD"),
    record("A", 2017, "616", "777N", 2),
    record("A", 2018, "618", "776N", 2, FACILITY_CARRIED_007="O'NEAL ROAD"),
    # The same number in another state is another bridge.
    record("A", 2016, "616", "444N", 3, STATE_CODE_001="01"),
    # Published in 2016 with the date of an inspection in 2017.
    record("FUTURE", 2016, "517", "666N", 4),
    record("FUTURE", 2017, "517", "666N", 4),
    # The route under it would win by its date, and the later line by its place.
    record("TWICE", 2016, "1216", "NNNN", 5, RECORD_TYPE_005A="2"),
    record("TWICE", 2016, "415", "888N", 6),
    record("TWICE", 2016, "416", "555N", 8),
    record("TWICE", 2016, "416", "333N", 9),
    # Under fill: the deck width is 0, and the road above is 7.5 m wide.
    # Closed to all traffic.
    record(
        "CULVERT",
        2016,
        "616",
        "NNn5",
        10,
        STRUCTURE_TYPE_043B="19",
        DECK_WIDTH_MT_052=0.0,
        APPR_WIDTH_MT_032=7.5,
        OPEN_CLOSED_POSTED_041="K",
    ),
    record("AREA", 2018, "618", "444N", 11, DECK_AREA=181.5, YEAR_RECONSTRUCTED_106=0),
    record("UNDATED", 2018, None, "555N", 12),
    record("UNRATED", 2018, "618", "NNNN", 13),
]


def write_records(records: list[dict[str, Any]], lake: Path) -> None:
    for year in sorted({each["year"] for each in records}):
        rows = [{**dict.fromkeys(RECORD_SCHEMA), **each} for each in records if each["year"] == year]
        table = pl.DataFrame(rows, schema=RECORD_SCHEMA, orient="row").with_columns(derived_columns(year))
        write_parquet(
            table.select(pl.lit(f"NBI_{year}.txt").alias("file"), pl.all()), lake / "raw_bridges" / f"{year}.parquet"
        )
        rejected = pl.DataFrame([(f"NBI_{year}.txt", 99, "no_key", "", ",'O'NEAL',")], REJECTED_SCHEMA, orient="row")
        rejected = rejected.with_columns(pl.lit(year, dtype=pl.Int16).alias("survey_year"))
        write_parquet(rejected, lake / "rejected_records" / f"{year}.parquet")


def write_file(path: Path, year: int, lake: Path) -> None:
    name = f"{path.stem}.parquet"
    ingest([path], year, lake / "raw_bridges" / name, lake / "rejected_records" / name)


def write_scores(year: int, lake: Path) -> None:
    """Predictions for every rated bridge of a survey year, the lower its condition the higher; and a drift report."""
    records = one_record_per_structure(pl.scan_parquet(lake / "raw_bridges" / "*.parquet"))
    scores = (
        records.filter(pl.col("survey_year") == year, pl.col("condition").is_not_null())
        .select("structure_key", "survey_year", "inspection_date", "condition", "STATE_CODE_001")
        .with_columns(fall_probability=(0.5 - pl.col("condition") / 20).cast(pl.Float32))
        .with_columns(
            pl.lit([{"feature": "age", "value": 61.0, "contribution": 0.041}], dtype=reasons_dtype()).alias("reasons"),
            pl.lit(12.5, dtype=pl.Float32).alias("years_until_poor"),
            pl.lit(3.0, dtype=pl.Float32).alias("years_until_poor_low"),
            pl.lit(None, dtype=pl.Float32).alias("years_until_poor_high"),
            pl.lit(60, dtype=pl.Int16).alias("years_until_poor_horizon"),
        )
        .sort("STATE_CODE_001", -pl.col("fall_probability"), "structure_key")
        .with_columns(
            pl.int_range(1, pl.len() + 1).over("STATE_CODE_001").cast(pl.Int32).alias("rank_in_state"),
            pl.int_range(pl.len(), 0, -1).over("STATE_CODE_001").cast(pl.Int32).alias("look_first_rank"),
            list_of().alias("listed_as"),
            pl.int_range(1, pl.len() + 1).over("STATE_CODE_001", list_of()).cast(pl.Int32).alias("rank_in_list"),
            pl.lit("fall").alias("target"),
            pl.lit("3").alias("model_version"),
            pl.lit("0123456789ab").alias("features_digest"),
        )
        .drop("STATE_CODE_001")
    )
    write_parquet(scores.collect(), lake / "bridge_predictions" / f"{year}.parquet")
    drift = pl.DataFrame(
        {
            "survey_year": [year] * 5,
            "kind": ["feature", "feature", "feature", "feature", "code"],
            "feature": ["age", "log_adt", "log_adt", "skew", "OWNER_022"],
            "state": ["all", "all", "all", "25", "all"],
            "drifted": [False, True, True, True, True],
        },
        schema_overrides={"survey_year": pl.Int16},
    )
    write_parquet(drift, lake / "drift_report" / f"{year}.parquet")


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, dict[str, str]]:
    """The inventory models, built while nothing has been scored yet; and the status of each node."""
    warehouse = Warehouse(tmp_path_factory.mktemp("o'neal"))
    warehouse.dbt("parse")  # there is nothing yet, and parsing may not need it
    write_records(RECORDS, warehouse.lake)
    return warehouse, warehouse.dbt("build", "--select", "tag:inventory")


@pytest.fixture(scope="module")
def everything(inventory: tuple[Warehouse, dict[str, str]]) -> tuple[Warehouse, dict[str, pl.DataFrame]]:
    """All models, built after one survey year was scored; and the inventory tables as they were before."""
    warehouse, _ = inventory
    before = {name: warehouse.table(f"from {name} order by all") for name in INVENTORY}
    write_scores(2016, warehouse.lake)
    warehouse.dbt("build", *WITHOUT_UNIT_TESTS)
    return warehouse, before


def test_the_manifest_says_what_dagster_asks_of_it(inventory):
    warehouse, _ = inventory
    manifest = warehouse.manifest()
    tags = {node["name"]: node["tags"] for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    assert tags == {name: ["inventory"] for name in INVENTORY} | {name: ["reporting"] for name in REPORTING}
    for source in manifest["sources"].values():
        assert source["meta"]["dagster"]["asset_key"] == [source["name"]]
    checks = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    assert [node["name"] for node in checks if not node["meta"].get("description")] == []


def test_the_inventory_is_built_before_anything_is_scored(inventory):
    warehouse, statuses = inventory
    assert {name for name, status in statuses.items() if status == "success"} == INVENTORY
    # Two of fourteen records lack a usable date, and a structure has three that disagree: no reason to stop.
    assert {name for name, status in statuses.items() if status == "warn"} == {
        "missing_inspection_dates_are_rare",
        "duplicates_agree_on_the_condition",
    }
    assert set(statuses.values()) == {"success", "pass", "warn"}
    unit_tests = {node["name"] for node in warehouse.manifest()["unit_tests"].values()}
    assert len(unit_tests) == 11
    assert unit_tests <= statuses.keys()


def test_every_column_is_described_and_every_description_has_a_column(everything):
    warehouse, _ = everything
    for node in warehouse.manifest()["nodes"].values():
        if node["resource_type"] == "model":
            described = [name for name, column in node["columns"].items() if column["description"]]
            assert described == warehouse.table(f"from {node['name']} limit 0").columns, node["name"]
            assert node["description"].startswith("One ")


def test_condition_belongs_to_record_type_1_and_the_latest_inspection_then_the_earlier_line_stand_for_it(inventory):
    warehouse, _ = inventory
    assert warehouse.rows("select condition, line_number from stg_bridges where structure_key = '02-TWICE'") == [(5, 8)]


def test_duplicates_are_reported_with_the_rule_that_chose_between_them(inventory):
    warehouse, _ = inventory
    assert warehouse.rows(
        "select line_number, records, kept, decided_by, agrees from duplicate_records"
        " where structure_key = '02-TWICE' order by line_number"
    ) == [
        (6, 3, False, "later_inspection", False),
        (8, 3, True, "earlier_line", True),
        (9, 3, False, "earlier_line", False),
    ]


def test_the_rejects_of_all_years_are_one_table(inventory):
    warehouse, _ = inventory
    assert warehouse.rows("from rejects") == [
        (year, f"NBI_{year}.txt", 99, "no_key", "", ",'O'NEAL',") for year in (2016, 2017, 2018)
    ]


def test_an_inspection_in_the_future_is_evidence_only_once_it_has_happened(inventory):
    warehouse, _ = inventory
    assert warehouse.rows(
        "select survey_year, condition, inspection_date from stg_bridges where structure_key = '02-FUTURE' order by all"
    ) == [(2016, 6, None), (2017, 6, dt.date(2017, 5, 1))]
    assert warehouse.rows(
        "select survey_year, inspection_date from int_inspections where structure_key = '02-FUTURE'"
    ) == [(2017, dt.date(2017, 5, 1))]


def test_records_without_a_date_or_a_rating_are_bridges_but_no_inspections(inventory):
    warehouse, _ = inventory
    assert warehouse.rows(
        "select structure_key, last_condition, last_inspection_date, inspections from dim_structures"
        " where structure_key in ('02-UNDATED', '02-UNRATED')"
    ) == [("02-UNDATED", 5, None, 0), ("02-UNRATED", None, None, 0)]


def test_deck_area_is_published_or_length_times_width_or_for_a_culvert_under_fill_times_the_road(inventory):
    warehouse, _ = inventory
    areas = dict(warehouse.rows("select structure_key, deck_area_m2 from dim_structures"))
    assert (areas["02-AREA"], areas["02-UNDATED"], areas["02-CULVERT"]) == (181.5, 200.0, 150.0)


def test_a_carried_forward_record_is_no_inspection_and_the_next_one_is_a_fall(inventory):
    warehouse, _ = inventory
    assert warehouse.rows(
        "select survey_year, next_survey_year, condition, next_condition, months_to_next, outcome, fall"
        " from fct_condition_transitions where structure_key = '02-A' order by survey_year"
    ) == [(2016, 2018, 7, 6, 24, "fall", True), (2018, None, 6, None, None, "censored", None)]


def test_a_structure_is_shown_as_last_seen(inventory):
    warehouse, _ = inventory
    assert warehouse.rows(
        "select facility_carried_007, first_survey_year, last_survey_year, survey_years, inspections, last_condition"
        " from dim_structures where structure_key = '02-A'"
    ) == [("O'NEAL ROAD", 2016, 2018, 3, 2, 6)]


def test_building_again_gives_the_same_tables(everything):
    warehouse, before = everything
    for name, table in before.items():
        assert warehouse.table(f"from {name} order by all").equals(table), name


def test_condition_by_year_counts_structures_falls_and_scores(everything):
    warehouse, _ = everything
    columns = "structures, good, fair, poor, inspections, inspections_compared, falls, scored, drifted_features"
    assert warehouse.rows(
        f"select survey_year, {columns} from mart_condition_by_year where state_code = 'all' order by survey_year"
    ) == [
        (2016, 5, 1, 3, 1, 4, 0, 0, 5, 1),
        (2017, 2, 1, 1, 0, 1, 0, 0, 0, None),
        (2018, 4, 0, 2, 1, 2, 1, 1, 0, None),
    ]
    assert warehouse.rows(
        "select survey_year, fall_rate, mean_fall_probability, poor_area_share from mart_condition_by_year"
        " where state_code = '01' or state_code = 'all' and survey_year = 2018 order by survey_year"
    ) == [(2016, None, pytest.approx(0.3), 1.0), (2018, 1.0, None, pytest.approx(181.5 / 781.5))]


def test_the_outlook_is_the_latest_scored_year_the_one_to_look_at_first_first(everything):
    warehouse, _ = everything
    outlook = warehouse.table("from mart_bridge_outlook")
    assert outlook.select(
        "structure_key", "survey_year", "look_first_rank", "rank_in_state", "condition_class"
    ).rows() == [
        ("01-A", 2016, 1, 1, "Poor"),
        ("02-A", 2016, 1, 4, "Good"),
        ("02-FUTURE", 2016, 2, 3, "Fair"),
        ("02-TWICE", 2016, 3, 2, "Fair"),
        ("02-CULVERT", 2016, 4, 1, "Fair"),
    ]
    assert outlook.schema["fall_probability"] == pl.Float32
    assert outlook["facility_carried"][1] == "O'NEAL ROAD"


def test_the_lists_of_the_outlook_hold_open_bridges_numbered_from_1(everything):
    """The closed culvert is rated 5 and before the other 5 in the scores."""
    warehouse, _ = everything
    listed = "select structure_key, listed_as, rank_in_list from mart_bridge_outlook order by structure_key"
    assert warehouse.rows(listed) == [
        ("01-A", "Poor now", 1),
        ("02-A", "Good, losing a point", 1),
        ("02-CULVERT", None, None),
        ("02-FUTURE", None, None),
        ("02-TWICE", "Likely to become Poor", 1),
    ]


def test_the_outlook_carries_why_years_until_poor_and_the_mean_of_the_state(everything):
    warehouse, _ = everything
    outlook = warehouse.table("from mart_bridge_outlook where state_code = '02'")
    assert (
        outlook["reasons"].to_list() == [[{"feature": "age", "value": 61.0, "contribution": pytest.approx(0.041)}]] * 4
    )
    assert outlook.select("years_until_poor", "years_until_poor_low", "years_until_poor_high").row(0) == (12.5, 3, None)
    assert set(outlook["target"]) == {"fall"} and set(outlook["years_until_poor_horizon"]) == {60}
    assert outlook["state_fall_probability"].to_list() == [pytest.approx(outlook["fall_probability"].mean())] * 4


#: The same bridges, a state's whole inventory, before and after it gave them other numbers.
BRIDGES = [
    {"COUNTY_CODE_003": f"{9 + index % 5:03}", "YEAR_BUILT_027": 1930 + index, "STRUCTURE_LEN_MT_049": 10.0 + index}
    | {"FACILITY_CARRIED_007": f"COUNTY ROAD {index}", "FEATURES_DESC_006A": f"BRANCH NO. {index % 7}"}
    for index in range(60)
]


def renumbered_state() -> list[dict[str, Any]]:
    """60 bridges of Alaska: 1999 and 2000 under numbers padded in two ways, from 2001 on under other numbers."""
    number_of = {1999: lambda index: f"{index + 1:06}", 2000: lambda index: f"{index + 1}"}
    return [
        record(number_of.get(year, lambda index: f"Z{7919 * index:06}")(index), year, date, "777N", index + 2, **items)
        for year, date in ((1999, "1298"), (2000, "1299"), (2001, "101"))
        for index, items in enumerate(BRIDGES)
    ]


@pytest.fixture(scope="module")
def renumbered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, dict[str, str]]:
    """A state that pads its numbers otherwise in 2000, twice one of them, and renumbers in 2001."""
    warehouse = Warehouse(tmp_path_factory.mktemp("renumbered"))
    # Number 1 is there in both spellings; the later line has the later inspection.
    twice = [record("000001", 2000, "100", "666N", 62, **BRIDGES[0])]
    write_records(renumbered_state() + twice, warehouse.lake)
    return warehouse, warehouse.dbt("build", "--select", "tag:inventory", *WITHOUT_UNIT_TESTS)


def test_other_padding_is_no_break_and_other_numbers_are_reported_as_one(renumbered):
    warehouse, statuses = renumbered
    assert warehouse.rows("select state_code, survey_year, vanished, appeared, matched from renumbering_breaks") == [
        ("02", 2001, 60, 60, 60)
    ]
    # Year built, length, facility and features agree; places and locations are not known.
    pairs = warehouse.rows("select old_structure_key, new_structure_key, evidence from renumbered_structures")
    assert set(pairs) == {(f"02-{index + 1}", f"02-Z{7919 * index:06}", 4) for index in range(len(BRIDGES))}
    assert statuses["no_state_changes_its_keys"] == "warn"
    assert warehouse.rows(
        "select next_survey_year is null, survey_year, censoring, count(*) from fct_condition_transitions"
        " where outcome = 'censored' group by all order by all"
    ) == [(True, 2000, "left_inventory", 60), (True, 2001, "no_next_inspection", 60)]


def test_spellings_of_a_number_are_one_structure_and_reported(renumbered):
    warehouse, statuses = renumbered
    assert warehouse.rows(
        "select structure_number_008, first_survey_year, last_survey_year, survey_years, spellings, within_a_year"
        " from structure_number_variants where structure_key = '02-1' order by structure_number_008"
    ) == [("000001", 1999, 2000, 2, 2, True), ("1", 2000, 2000, 1, 2, True)]
    assert warehouse.rows("select count(*), count(*) filter (where within_a_year) from structure_number_variants") == [
        (120, 2)
    ]
    assert statuses["a_survey_year_spells_a_number_one_way"] == "warn"
    assert warehouse.rows(
        "select structure_number_008, kept, decided_by, condition from duplicate_records order by line_number"
    ) == [("1", False, "later_inspection", 7), ("000001", True, "later_inspection", 6)]


def test_dates_of_the_old_century_and_the_new_are_in_order(renumbered):
    warehouse, _ = renumbered
    assert warehouse.rows(
        "select survey_year, inspection_date, outcome, months_to_next from fct_condition_transitions"
        " where structure_key = '02-1' order by inspection_date"
    ) == [
        (1999, dt.date(1998, 12, 1), "fall", 13),
        (2000, dt.date(2000, 1, 1), "censored", None),
    ]


def test_alabama_renumbered_after_1992(real_data: Path, tmp_path: Path):
    """300 real records before and 300 after: bridges that are in both are found by names, measures and place."""
    warehouse = Warehouse(tmp_path)
    for year in (1992, 2010):
        write_file(real_data / "nbi" / "layouts" / f"nbi_{year}.txt", year, warehouse.lake)

    warehouse.dbt("build", "--select", "+renumbering_breaks", *WITHOUT_UNIT_TESTS)

    assert warehouse.rows("select state_code, survey_year, vanished, appeared, matched from renumbering_breaks") == [
        ("01", 2010, 300, 300, 2)
    ]
    assert warehouse.rows("select old_structure_key, new_structure_key from renumbered_structures order by all") == [
        ("01-11104Z0", "01-253"),
        ("01-30703090", "01-3398"),
    ]


def test_real_files_pass_every_check_and_agree_with_the_python_rule(real_data: Path, tmp_path: Path):
    nbi = real_data / "nbi"
    files = [(2019, nbi / "AK19.txt")]
    files += [(int(path.stem[-4:]), path) for folder in ("panel", "layouts") for path in (nbi / folder).glob("*.txt")]
    warehouse = Warehouse(tmp_path)
    for year, path in files:
        write_file(path, year, warehouse.lake)
    write_scores(2022, warehouse.lake)

    statuses = warehouse.dbt("build", *WITHOUT_UNIT_TESTS)

    assert set(statuses.values()) == {"success", "pass", "warn"}
    # 6 of 300 records of Alabama 1992 or 2010 are dated after their own year.
    assert {name for name, status in statuses.items() if status == "warn"} == {"missing_inspection_dates_are_rare"}
    chosen = one_record_per_structure(pl.scan_parquet(warehouse.lake / "raw_bridges" / "*.parquet"))
    key = ["survey_year", "structure_key", "file", "line_number"]
    assert warehouse.table("from stg_bridges").select(key).sort(key).equals(chosen.select(key).sort(key).collect())


def test_a_warning_says_what_was_expected_how_many_rows_differ_and_which(renumbered):
    warehouse, _ = renumbered
    manifest, target = warehouse.manifest(), warehouse.folder / "target"
    results = json.loads((target / "run_results.json").read_text())["results"]
    described, passed = {}, 0
    for each in results:
        if not each["unique_id"].startswith("test."):
            continue
        metadata = {"unique_id": each["unique_id"], "dagster_dbt/failed_row_count": each["failures"]}
        reported = dg.AssetCheckResult(passed=each["status"] == "pass", check_name="any", metadata=metadata)
        result = explained_result(reported, manifest, target, warehouse.file)
        if result.passed:
            passed += result is reported
        else:
            described[manifest["nodes"][each["unique_id"]]["name"]] = result
    assert passed > 10
    assert {name: result.description for name, result in described.items()} == {
        "duplicates_agree_on_the_condition": (
            "1 row not as expected (Records of one structure in one survey year have the same condition): "
            "structure_key 02-1, survey_year 2000, state_code 02, file NBI_2000.txt, line_number 2, agrees False. "
            "If they do not, the rule (later inspection, then earlier line) decides which one is used, and a person "
            "should look at them."
        ),
        "no_state_changes_its_keys": (
            "1 row not as expected (No state changes many of its structure keys at once): survey_year 2001, "
            "state_code 02, previous_survey_year 2000, previous_structures 60, structures 60, vanished 60, "
            "appeared 60, share_vanished 1. If one does, histories end: look at share_matched, and leave out the "
            "survey years before the break or join them by renumbered_structures."
        ),
        "a_survey_year_spells_a_number_one_way": (
            "2 rows not as expected (No survey year contains a structure key in two spellings): structure_key 02-1, "
            "state_code 02, within_a_year True; structure_key 02-1, state_code 02, within_a_year True. If one does, "
            "they may be two bridges whose numbers differ only in their padding: a person should look at them."
        ),
    }
    assert "| 02-1 |" in described["duplicates_agree_on_the_condition"].metadata["failing_rows"].value


def test_a_warning_whose_rows_cannot_be_read_still_says_what_was_expected(renumbered, tmp_path: Path):
    manifest = renumbered[0].manifest()
    unique_id = next(name for name in manifest["nodes"] if "no_state_changes_its_keys" in name)
    reported = dg.AssetCheckResult(passed=False, check_name="any", metadata={"unique_id": unique_id})
    description = explained_result(reported, manifest, tmp_path, tmp_path / "none").description
    assert description is not None
    assert description.startswith("not as expected (No state changes many of its structure keys at once). If")
