"""Overview, model, drift, pipeline, endpoints and data quality: figures from the small home."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.dashboard.home import RUN, YEARS

from bridge_assets.dashboard.queries import drift, endpoints, model, overview, pipeline, quality
from bridge_assets.dashboard.queries.tables import MissingTableError, Tables
from bridge_assets.metrics.pipeline_metrics import METRICS_FILE


def test_the_overview_counts_and_weighs(tables: Tables) -> None:
    rows = overview.condition_by_year(tables)
    figures = overview.figures(rows, "all", by_area=False)
    assert overview.states_of(rows) == ["25", "48"]
    assert figures["latest"]["survey_year"] == YEARS[-1] and figures["previous_year"] == YEARS[-2]
    assert sum(each["share"] for each in figures["classes"]) == pytest.approx(1)
    assert figures["expected_falls"] == pytest.approx(0.11 * 80)
    assert [row["state_code"] for row in figures["states"]] in (["25", "48"], ["48", "25"])
    assert len(figures["class_chart"].bars) == 3 * len(YEARS)
    assert overview.figures(rows, "48", by_area=True)["latest"]["structures"] == 40


def test_the_overview_needs_no_scores(own_home: Path) -> None:
    lake = own_home / "lake"
    (lake / "mart_condition_by_year.parquet").rename(lake / "old.parquet")
    tables = Tables(lake)
    tables.copy(
        "select * exclude (scored, mean_fall_probability) from read_parquet('" + str(lake / "old.parquet") + "')",
        lake / "fct_condition_by_year.parquet",
        "format parquet",
    )
    figures = overview.figures(overview.condition_by_year(tables), "all", by_area=False)
    assert figures["expected_falls"] is None and figures["latest"]["structures"] == 80


def test_model_versions_and_what_is_wrong_with_them(own_home: Path, dashboard_home: Path) -> None:
    models = own_home / "models"
    (models / "old0000000000").mkdir()
    (models / "old0000000000" / "evaluation.json").write_text("{}")
    assert model.model_versions(models) == ["abc123def456", "old0000000000"]
    evaluation = model.evaluation_of(models, "abc123def456")
    assert model.important_features(evaluation)[0] == ("age", 0.05, 0.01)
    chart = model.calibration_chart(evaluation)
    assert chart is not None and chart.top == 0.4 and len(chart.points) == 2
    with pytest.raises(MissingTableError, match="has no scores"):
        model.evaluation_of(models, "old0000000000")
    with pytest.raises(MissingTableError) as error:
        model.model_versions(own_home / "nowhere")
    assert error.value.stage == "bridge_model"


def test_a_distribution_is_compared_with_the_reference_years(tables: Tables) -> None:
    assert drift.reference_years(tables, 2024) == [2021, 2022]
    found = drift.distribution(tables, "age", "all", 2024)
    assert found.year_median - found.reference_median == pytest.approx(2.5, abs=1)
    assert sum(each.year for each in found.bins) == pytest.approx(1)
    assert drift.distribution(tables, "log_adt", "25", 2024).year_missing == pytest.approx(3 / 40)
    assert drift.distribution(tables, drift.PROBABILITY, "all", 2024).bins
    assert drift.drifted_by_year(tables) == {2021: 0, 2022: 0, 2023: 0, 2024: 1}
    with pytest.raises(MissingTableError):
        drift.distribution(tables, 'no"such', "all", 2024)


def test_runs_are_read_beside_a_line_that_is_not_whole(tables: Tables, dashboard_home: Path, tmp_path: Path) -> None:
    assert pipeline.METRICS_FILE == METRICS_FILE
    (run,) = pipeline.recent_runs(tables, dashboard_home, 10)
    assert (run["run"], run["seconds"], run["steps"], run["failed"]) == (RUN, 75.0, 2, ["bridge_model"])
    assert [step["step"] for step in pipeline.steps_of(tables, dashboard_home, RUN)] == ["bridge_model", "load_records"]
    assert pipeline.last_assets(tables, dashboard_home)[0]["rows"] == 80
    with pytest.raises(MissingTableError, match="no run has been logged yet"):
        pipeline.recent_runs(tables, tmp_path, 10)


def test_versions_and_deployments_of_the_endpoints(own_home: Path, tmp_path: Path) -> None:
    versions = endpoints.local_versions(own_home / "endpoints" / "local")
    assert [(row["version"], row["is_current"], row["is_on_disk"]) for row in versions] == [
        ("abc123def456", True, True),
        ("111111111111", False, True),
        ("000000000000", False, False),
    ]
    records = endpoints.deployments(own_home)
    assert [record.outcome for record in records] == ["deployed", "refused"]
    assert [record.version for record in endpoints.serving(records)] == ["abc123def456"]
    assert endpoints.local_versions(tmp_path / "nowhere") == [] and endpoints.deployments(tmp_path) == []


def test_rejected_rows_by_year_and_page(tables: Tables, tmp_path: Path) -> None:
    found = quality.rejected_page(tables, None, "", 1, 5)
    assert (found["total"], found["pages"], len(found["rows"])) == (8, 2, 5)
    assert found["rows"][0]["survey_year"] == YEARS[-1]
    assert quality.rejected_page(tables, 2022, "field_count", 9, 5)["total"] == 2
    assert quality.rejected_page(tables, None, "other", 1, 5)["rows"] == []
    assert quality.rejected_page(Tables(tmp_path), None, "", 1, 5)["error"].stage == "rejected_records"
    assert quality.quality_summary(tables).height == 8 * len(YEARS)
