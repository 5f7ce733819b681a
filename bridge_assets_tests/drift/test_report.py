"""drift_report of a lake: real records of Alaska as three survey years, their features, and scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.lake import Lake
from bridge_assets.drift import limits
from bridge_assets.drift.periods import Periods
from bridge_assets.drift.report import (
    ServedPredictions,
    build_drift_reports,
    items_of_feature,
    report_schema,
    states_that_recoded,
)
from bridge_assets.drift.summary import DriftSummary, readable_years
from bridge_assets.errors import SourceError
from bridge_assets.settings import DriftSettings

VERSION, COLUMN = "3fa9c1d20b7e", "fall_probability"
PREDICTIONS = ServedPredictions(VERSION, COLUMN)
YEARS = (2017, 2018, 2019)
PERIODS = Periods((2017, 2018), DriftSettings())


def write_scores(lake: Lake, year: int, shift: float = 0.0, version: str = VERSION) -> None:
    keys = lake.read_year("bridge_features", year)["structure_key"]
    values = np.random.default_rng(year).beta(2, 10, len(keys)) + shift
    scores = pl.DataFrame({"structure_key": keys, COLUMN: pl.Series(values, dtype=pl.Float32)})
    lake.write(scores.with_columns(pl.lit(version).alias("model_version")), "bridge_predictions", year)


@pytest.fixture(scope="module")
def built(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """In 2019 all scour codes 8 became U, and with it the feature; nothing else changed but by chance."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    for year in YEARS:
        path = lake.year_path("raw_bridges", year)
        path.parent.mkdir(exist_ok=True)
        ingest([real_data / "nbi" / "AK19.txt"], year, path, lake.folder / "rejected.parquet")
        records = pl.read_parquet(path)
        if year == 2019:
            records = records.with_columns(pl.col("SCOUR_CRITICAL_113").replace("8", "U"))
            lake.write(records, "raw_bridges", year)
        keys = records.filter("on_structure").select("structure_key", "STATE_CODE_001").unique("structure_key")
        drawn = np.random.default_rng(year).normal(size=(keys.height, len(FEATURE_NAMES)))
        features = keys.hstack(pl.DataFrame(drawn.astype(np.float32), schema=list(FEATURE_NAMES)))
        if year == 2019:
            features = features.with_columns(pl.lit(None, pl.Float32).alias("scour"))
        lake.write(features, "bridge_features", year)
        write_scores(lake, year)
    return lake


@pytest.fixture(scope="module")
def report(built: Lake) -> pl.DataFrame:
    return build_drift_reports(built, YEARS, PERIODS, PREDICTIONS)[2019]


def test_has_a_row_for_each_feature_state_and_measure(report: pl.DataFrame) -> None:
    assert report.schema == report_schema()
    key = ["survey_year", "kind", "feature", "state", "measure"]
    assert report.select(key).is_unique().all()
    features = report.filter(pl.col("kind") == "feature")
    assert set(features["feature"]) == set(FEATURE_NAMES)
    assert set(features["state"]) == {"all", "02"} and set(features["measure"]) == set(limits.NUMBER_MEASURES)
    assert features.height == len(FEATURE_NAMES) * 2 * 4
    assert set(report["kind"]) == {"feature", "prediction", "code", "schema"}
    assert set(report["model_version"]) == {VERSION} and set(report["period"]) == {"analysis"}


def test_the_state_that_recoded_is_the_cause_of_what_drifted(report: pl.DataFrame) -> None:
    summary = DriftSummary(report)
    assert [row["feature"] for row in summary.drifted_features] == ["scour"]
    assert summary.drifted_features[0]["cause"] == "recoded: 02"
    assert (
        list(summary.recoded) == ["SCOUR_CRITICAL_113"]
        and "8 to U" in summary.recoded["SCOUR_CRITICAL_113"][0]["cause"]
    )
    assert [(row["feature"], row["cause"]) for row in summary.drifted_codes] == [("SCOUR_CRITICAL_113", "recoded: 02")]
    assert not summary.predictions_skipped and not any(row["drifted"] for row in summary.predictions.values())
    figures = summary.figures()
    assert (figures["drifted"], figures["states_that_recoded"], figures["items_recoded"]) == (1, 1, 1)
    assert 0 < figures["largest_distance"] < 0.1 and 0 < figures["prediction_distance"] < 0.1


def test_a_reference_year_is_compared_with_the_others(built: Lake) -> None:
    found = build_drift_reports(built, [2017], PERIODS, PREDICTIONS)[2017]
    summary = DriftSummary(found)
    assert (summary.period, summary.survey_year, summary.model_version) == ("reference", 2017, VERSION)
    assert not found["drifted"].any()
    assert found.filter(pl.col("kind") == "prediction")["reference_rows"].unique().to_list() == [
        built.read_year("bridge_features", 2018).height
    ]


def test_predictions_that_moved_drift(built: Lake) -> None:
    write_scores(built, 2019, shift=0.3)
    try:
        summary = DriftSummary(build_drift_reports(built, [2019], PERIODS, PREDICTIONS)[2019])
    finally:
        write_scores(built, 2019)
    distance = summary.predictions[limits.KS]
    assert distance["drifted"] and distance["value"] > distance["error_threshold"] > distance["threshold"]


@pytest.mark.parametrize("scored_by", ["", "another"])
def test_a_year_without_scores_of_the_served_model_is_defined_and_says_so(built: Lake, scored_by: str) -> None:
    path = built.year_path("bridge_predictions", 2019)
    path.unlink()
    if scored_by:
        write_scores(built, 2019, version=scored_by)
    try:
        summary = DriftSummary(build_drift_reports(built, [2019], PERIODS, PREDICTIONS)[2019])
    finally:
        write_scores(built, 2019)
    assert summary.predictions_skipped == f"not scored by model version {VERSION}"
    assert summary.predictions == {} and "prediction_distance" not in summary.figures()
    assert [row["feature"] for row in summary.drifted_features] == ["scour"]  # everything else is compared


def test_a_reference_without_scores_is_said_too(built: Lake) -> None:
    other = ServedPredictions("new", COLUMN)
    write_scores(built, 2019, version="new")
    try:
        summary = DriftSummary(build_drift_reports(built, [2019], PERIODS, other)[2019])
    finally:
        write_scores(built, 2019)
    assert summary.predictions_skipped == "no reference year was scored by model version new"


def test_scores_of_another_task_are_not_compared(built: Lake) -> None:
    other = ServedPredictions(VERSION, "expected_change")
    summary = DriftSummary(build_drift_reports(built, [2019], PERIODS, other)[2019])
    assert summary.predictions_skipped == f"not scored by model version {VERSION}"


def test_the_same_lake_gives_the_same_table(built: Lake, report: pl.DataFrame) -> None:
    again = build_drift_reports(built, [2019], PERIODS, PREDICTIONS)[2019]
    assert again.equals(report)


def test_a_column_that_is_gone_is_named(built: Lake) -> None:
    records = built.read_year("raw_bridges", 2019)
    built.write(records.drop("OWNER_022"), "raw_bridges", 2019)
    try:
        summary = DriftSummary(build_drift_reports(built, [2019], PERIODS, PREDICTIONS)[2019])
    finally:
        built.write(records, "raw_bridges", 2019)
    assert ("column_gone", "OWNER_022") in [(row["measure"], row["feature"]) for row in summary.schema_changes]
    assert "OWNER_022" not in summary.recoded


def test_a_year_without_features_is_an_error(built: Lake) -> None:
    with pytest.raises(SourceError, match=r"bridge_features\[2020\] has not been built yet"):
        build_drift_reports(built, [2020], PERIODS, PREDICTIONS)


def test_reports_in_an_earlier_form_are_left_out(tmp_path: Path, report: pl.DataFrame) -> None:
    lake = Lake(tmp_path)
    lake.write(pl.DataFrame({"survey_year": [2018], "statistic": [0.1]}), "drift_report", 2018)
    lake.write(report, "drift_report", 2019)
    assert readable_years(lake) == [2019]


def test_features_know_the_items_that_they_come_from() -> None:
    assert items_of_feature("scour") == {"SCOUR_CRITICAL_113"}
    assert items_of_feature("slab") == items_of_feature("culvert") == {"STRUCTURE_TYPE_043B"}
    assert items_of_feature("age_since_work") == {"YEAR_BUILT_027", "YEAR_RECONSTRUCTED_106"}
    ratings = {"DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060", "CULVERT_COND_062"}
    assert ratings <= items_of_feature("falls_so_far") and ratings <= items_of_feature("condition")
    recoded = {2019: {"SCOUR_CRITICAL_113": ["02"], "OWNER_022": ["25"], "NATIONAL_NETWORK_110": ["36"]}}
    assert states_that_recoded(recoded, items_of_feature("scour")) == {2019: ["02"]}
    assert states_that_recoded(recoded, None) == {2019: ["02", "25"]}  # no feature uses item 110
