"""Record types: a table without item 5A, `1.0` as pandas writes it, and years in which no record is of a structure."""

from __future__ import annotations

import logging
from pathlib import Path

import dagster as dg
import pandas as pd
import polars as pl
import pytest
from support.nbi_files import BRIDGE_RECORD, write_nbi

from bridge_assets.data.ingest.ingest import IngestionReport, ingest
from bridge_assets.data.ingest.pandas_api import load_bridge_data
from bridge_assets.data.lake import Lake
from bridge_assets.data.records.on_structure import RecordTypes, structure_problems
from bridge_assets.orchestration.checks.inventory import read_without_assumptions, structures_present
from bridge_assets.orchestration.resources import Platform

RECORD_TYPE = "RECORD_TYPE_005A"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    return Platform().lake


def table(path: Path, types: list | None) -> Path:
    """A CSV file as pandas writes it: a row for each record type, ten without the column."""
    rows = pd.DataFrame(
        [{**BRIDGE_RECORD, "STRUCTURE_NUMBER_008": f"B{row}"} for row in range(len(types or range(10)))]
    )
    rows = rows.drop(columns=RECORD_TYPE) if types is None else rows.assign(**{RECORD_TYPE: pd.Series(types)})
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False)
    return path


def load(lake: Lake, source: Path, survey_year: int) -> IngestionReport:
    """Load a file as the asset raw_bridges does."""
    paths = [lake.year_path(name, survey_year) for name in ("raw_bridges", "rejected_records")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    report = ingest([source], survey_year, *paths)
    lake.write_provenance("raw_bridges", survey_year, {"warnings": report.warnings, "rejected": report.rejected})
    return report


def evaluate(check: dg.AssetChecksDefinition) -> dg.AssetCheckEvaluation:
    """A check of all survey years in the lake, run in a job."""
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(asset_checks=[check], jobs=[job], resources={"platform": Platform()})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("checks").execute_in_process(instance=instance, raise_on_error=False)
    [evaluation] = result.get_asset_check_evaluations()
    return evaluation


def structures(lake: Lake, survey_year: int) -> int:
    return int(lake.read_year("raw_bridges", survey_year)["on_structure"].sum())


@pytest.mark.parametrize(
    ("types", "found"),
    [
        (["1.0", "1.0", "2.0", "1.00"], ["1", "1", "2", "1"]),
        ([1.0, None, 1.0, 2.0], ["1", None, "1", "2"]),  # pandas: a blank turns the whole column into decimals
        ([" 1 ", "1", "\t1", "A"], ["1", "1", "1", "A"]),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_one_is_one_however_it_is_written(tmp_path: Path, kind: str, types: list, found: list) -> None:
    path = table(tmp_path / "NBI_2019.csv", types)
    if kind == "parquet":
        pd.read_csv(path, dtype={name: str for name in BRIDGE_RECORD if name != RECORD_TYPE}).assign(
            **{RECORD_TYPE: types}
        ).to_parquet(tmp_path / "NBI_2019.parquet")
        path = tmp_path / "NBI_2019.parquet"
    loaded = load_bridge_data(path)
    assert [None if pd.isna(value) else value for value in loaded[RECORD_TYPE]] == found
    assert loaded["on_structure"].tolist() == [value == "1" for value in found]
    assert not [flags for flags in loaded["flags"] if not pd.isna(flags) and RECORD_TYPE in flags]


def test_one_is_one_in_a_published_layout_that_pandas_wrote_again(tmp_path: Path) -> None:
    path = write_nbi(tmp_path, 2019, [{RECORD_TYPE: "1.0"}, {RECORD_TYPE: "2.0"}, {RECORD_TYPE: ""}])
    assert load_bridge_data(path)["on_structure"].tolist() == [True, False, False]


def test_a_table_without_item_5a_is_loaded_as_structures_with_a_loud_warning(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        report = load(lake, table(tmp_path / "NBI_2019.csv", None), 2019)
    assert structures(lake, 2019) == report.loaded == 10
    assert len(report.warnings) == 1
    assert report.warnings[0].startswith("NBI_2019.csv: the table has no item 5A (RECORD_TYPE_005A): every record is")
    assert "has no item 5A" in caplog.text
    assert evaluate(structures_present).passed
    warned = evaluate(read_without_assumptions)
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (warned.description or "").startswith("2019: NBI_2019.csv: the table has no item 5A")


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ([None] * 10, "2019: none of the 10 records stands for a structure: item 5A is blank in 10, never 1"),
        (
            ["2", "A", "Z", "2"],
            "none of the 4 records stands for a structure: item 5A is 2 in 2, A in 1, Z in 1, never 1",
        ),
    ],
)
def test_a_year_without_a_structure_is_stopped(lake: Lake, tmp_path: Path, types: list, says: str) -> None:
    assert load(lake, table(tmp_path / "NBI_2019.csv", types), 2019).warnings == ()
    stopped = evaluate(structures_present)
    assert (stopped.passed, stopped.severity, stopped.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert says in (stopped.description or "")
    assert "What to do" in (stopped.description or "")
    assert evaluate(read_without_assumptions).passed


def test_a_year_with_far_fewer_structures_is_stopped_unless_the_setting_allows_it(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(lake, table(tmp_path / "NBI_2018.csv", ["1"] * 10 + ["2"] * 5), 2018)
    load(lake, table(tmp_path / "NBI_2019.csv", ["1"] * 7 + ["2"] * 8), 2019)
    stopped = evaluate(structures_present)
    assert not stopped.passed
    assert "2019: in the states of both years 7 records stand for a structure, 10 did in the year before: 70%" in (
        stopped.description or ""
    )
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__STRUCTURES_MIN_SHARE", "0.7")
    assert evaluate(structures_present).passed


def year(**structures_of_state: tuple[int, int]) -> RecordTypes:
    """State -> records and, of these, structures."""
    records = {state: counts[0] for state, counts in structures_of_state.items()}
    return RecordTypes(records, {state: counts[1] for state, counts in structures_of_state.items()}, {"1": 1})


@pytest.mark.parametrize(
    ("now", "before", "problems"),
    [
        (year(AL=(80, 80)), year(AL=(100, 100)), 0),
        (year(AL=(79, 79)), year(AL=(100, 100)), 2),  # all states, and a state large enough
        (year(AL=(79, 79)), year(AL=(99, 99)), 1),
        (year(AL=(99, 99)), year(AL=(99, 99), AK=(500, 500)), 0),  # a state that is not in the source is no loss
        (year(AL=(9000, 9000), AK=(150, 0)), year(AL=(9000, 9000), AK=(150, 150)), 1),
        (year(AL=(9000, 9000), AK=(9, 0)), year(AL=(9000, 9000), AK=(9, 9)), 0),
        (year(AL=(100, 100)), year(AL=(120, 100)), 0),  # 2010: the routes under bridges are no longer published
        (year(AL=(100, 100)), None, 0),
        (year(AL=(100, 100)), year(AK=(100, 100)), 0),
        (year(), year(AL=(100, 100)), 0),  # no row at all: rows_reconcile says so
    ],
)
def test_states_of_both_years_are_compared(now: RecordTypes, before: RecordTypes | None, problems: int) -> None:
    assert len(structure_problems(now, before, 0.8)) == problems
    assert not structure_problems(now, before, 0.0)


def test_records_of_an_earlier_version_have_no_assumptions(lake: Lake, tmp_path: Path) -> None:
    load(lake, table(tmp_path / "NBI_2019.csv", ["1"]), 2019)
    lake.write_provenance("raw_bridges", 2019, {"rejected": 0})
    assert evaluate(read_without_assumptions).passed
    assert pl.read_parquet(lake.year_path("raw_bridges", 2019)).height == 1
