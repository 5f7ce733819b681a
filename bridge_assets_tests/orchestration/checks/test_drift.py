"""The checks of drift_report: what they say, how severe it is, and which years they judge."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from support.scoring.drift_reports import drift_row, drift_table, prediction_row, recoded_row, schema_row, steady_rows

from bridge_assets.data.lake import Lake
from bridge_assets.orchestration.checks import drift as checks
from bridge_assets.orchestration.partitions import SURVEY_YEARS
from bridge_assets.orchestration.resources import Platform

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    return Lake(tmp_path / "lake")


def write(lake: Lake, *rows: dict, year: int = 2025) -> None:
    lake.write(drift_table(*[{**row, "survey_year": year} for row in rows]), "drift_report", year)


@dg.asset(partitions_def=SURVEY_YEARS)
def drift_report() -> None:
    """Stands for the asset, whose table the tests write."""


def run(name: str, year: int | None = None) -> dg.AssetCheckEvaluation:
    """The result of a check, in a run of its own, or in that of a survey year."""
    check = getattr(checks, name)
    selection = dg.AssetSelection.checks(check)
    result = dg.materialize(
        [drift_report, check],
        selection=selection | dg.AssetSelection.assets(drift_report) if year else selection,
        resources={"platform": Platform()},
        partition_key=str(year) if year else None,
    )
    [evaluation] = result.get_asset_check_evaluations()
    return evaluation


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("features_within_limits", "2025: all features are as in the reference years"),
        (
            "predictions_within_limits",
            "2025: distance 0.020, limit 0.050; mean prediction 0.120, 0.110 in the reference",
        ),
        ("codes_as_before", "2025: no state recoded an item, and codes are as in the reference years"),
        ("schema_as_before", "2025: columns, types and codes are as in the reference years"),
    ],
)
def test_a_steady_year_passes_and_says_so(lake: Lake, name: str, message: str) -> None:
    write(lake, *steady_rows())
    evaluation = run(name)
    assert evaluation.passed and (evaluation.description or "").startswith(message)
    assert evaluation.metadata["survey_year"].value == 2025
    assert evaluation.metadata["model_version"].value == "3fa9c1d20b7e"


class TestFeatures:
    def test_a_drifted_feature_warns_with_its_number_limit_and_what_to_do(self, lake: Lake) -> None:
        write(lake, *steady_rows(more=[drift_row("skew", 0.31)]))
        evaluation = run("features_within_limits")
        assert (evaluation.passed, evaluation.severity) == (False, WARN)
        text = evaluation.description or ""
        assert text.startswith("2025: 1 feature drifted in all states together: skew (distance 0.310, limit 0.050)")
        assert "What to do: open the page of 2025" in text
        assert evaluation.metadata["drifted"].value == 1
        assert "| skew |" in evaluation.metadata["list"].value  # type: ignore[operator] # Markdown

    def test_a_feature_that_drifted_in_one_state_is_named_with_the_state(self, lake: Lake) -> None:
        write(lake, *steady_rows(more=[drift_row("skew", 0.5, state="36"), drift_row("skew", 0.01)]))
        evaluation = run("features_within_limits")
        assert not evaluation.passed
        assert "1 feature and state pair drifted in a state only: skew in New York (distance 0.500" in (
            evaluation.description or ""
        )

    def test_recoding_is_not_counted_as_drift_of_the_bridges(self, lake: Lake) -> None:
        moved = [drift_row("scour", 0.3, cause="recoded: 36"), drift_row("scour", 0.5, state="36", cause="recoded: 36")]
        write(lake, *steady_rows(more=moved))
        evaluation = run("features_within_limits")
        assert evaluation.passed
        assert "1 more feature moved because states recoded items (codes_as_before)" in (evaluation.description or "")


class TestPredictions:
    def test_beyond_the_limit_they_warn_and_beyond_the_error_limit_they_are_an_error(self, lake: Lake) -> None:
        for value, severity, limit in ((0.1, WARN, "0.050"), (0.2, ERROR, "0.150")):
            write(lake, prediction_row(value))
            evaluation = run("predictions_within_limits")
            assert (evaluation.passed, evaluation.severity) == (False, severity)
            assert f"2025: distance {value:.3f}, limit {limit}; mean prediction" in (evaluation.description or "")
            is_said = "no model that was trained before is deployed" in (evaluation.description or "")
            assert is_said is (severity is ERROR)
        assert evaluation.metadata["prediction_distance"].value == 0.2
        assert evaluation.metadata["beyond_error_limit"].value == 1

    def test_a_year_without_scores_warns_and_says_what_to_do(self, lake: Lake) -> None:
        missing = {"measure": "missing_share", "threshold": None, "cause": "not scored by model version 3fa9c1d20b7e"}
        write(lake, drift_row(), prediction_row(None, **missing))
        evaluation = run("predictions_within_limits")
        assert (evaluation.passed, evaluation.severity) == (False, WARN)
        assert (evaluation.description or "").startswith(
            "2025: the predictions were not compared: not scored by model version 3fa9c1d20b7e. What to do: "
            "materialise bridge_predictions for 2025"
        )

    def test_too_few_bridges_are_no_pass(self, lake: Lake) -> None:
        write(lake, prediction_row(None, threshold=None), prediction_row(0.0, measure="missing_share"))
        evaluation = run("predictions_within_limits")
        assert (evaluation.passed, evaluation.severity) == (False, WARN)
        assert "2025: the predictions were not compared: too few bridges (drift.state_rows is 100)" in (
            evaluation.description or ""
        )

    def test_states_whose_recoding_is_the_reason_are_named(self, lake: Lake) -> None:
        write(lake, prediction_row(0.2, cause="recoded: 25, 36"))
        assert "the drift comes from states that recoded items: 25, 36" in (
            run("predictions_within_limits").description or ""
        )


class TestCodes:
    def test_a_state_that_recoded_is_named_with_item_and_codes(self, lake: Lake) -> None:
        write(lake, *steady_rows(more=[recoded_row("SCOUR_CRITICAL_113", "36")]))
        evaluation = run("codes_as_before")
        assert (evaluation.passed, evaluation.severity) == (False, WARN)
        text = evaluation.description or ""
        assert text.startswith("2025: New York (36) recoded SCOUR_CRITICAL_113: 8 to U (310 bridges). What to do: ask")
        assert "A change of the coding is no deterioration" in text
        assert evaluation.metadata["states_that_recoded"].value == 1

    @pytest.mark.parametrize(
        ("year", "said"), [(2025, "a change of the coding guide"), (2026, "the transition to the SNBI")]
    )
    def test_most_states_at_once_are_a_change_of_the_guide(self, lake: Lake, year: int, said: str) -> None:
        others = [drift_row("OWNER_022", 0.01, kind="code", state=state) for state in ("01", "02", "04")]
        rows = [*others, *(recoded_row("SCOUR_CRITICAL_113", state) for state in ("36", "25", "01", "02"))]
        write(lake, *rows, year=year)
        assert f"{year}: SCOUR_CRITICAL_113 was recoded in 4 states: {said}" in (
            run("codes_as_before").description or ""
        )

    def test_shares_that_moved_without_a_recoding_are_named(self, lake: Lake) -> None:
        write(lake, drift_row("OWNER_022", 0.3, kind="code", measure="total_variation"))
        assert "2025: codes differ from the reference years: OWNER_022 (share of bridges with another code 0.300" in (
            run("codes_as_before").description or ""
        )

    def test_every_year_of_the_run_is_judged(self, lake: Lake) -> None:
        write(lake, recoded_row("SCOUR_CRITICAL_113", "36"), year=2024)
        write(lake, *steady_rows())
        assert "2024: New York (36) recoded" in (run("codes_as_before").description or "")


def test_changes_of_the_schema_warn(lake: Lake) -> None:
    change = {"feature": "OWNER_022", "measure": "column_gone", "value": 1.0, "drifted": True}
    unknown = {
        **change,
        "feature": "DESIGN_LOAD_031",
        "measure": "unknown_codes",
        "value": 0.125,
        "cause": "120 records",
    }
    write(lake, schema_row(2.0), {**schema_row(), **change}, {**schema_row(), **unknown})
    evaluation = run("schema_as_before")
    assert (evaluation.passed, evaluation.severity) == (False, WARN)
    assert (evaluation.description or "").startswith(
        "2025: DESIGN_LOAD_031 has unknown codes in 120 records, 12.5% more than before; OWNER_022 is gone. What to do"
    )
    assert evaluation.metadata["schema_changes"].value == 2


def test_the_last_analysed_year_is_judged_and_reference_years_are_not(lake: Lake) -> None:
    write(lake, drift_row(value=0.4), year=2024)
    write(lake, drift_row(value=0.4, period="reference"), year=2015)
    assert not run("features_within_limits").passed
    write(lake, *steady_rows())
    assert run("features_within_limits").passed  # 2025
    assert not run("features_within_limits", 2024).passed
    assert "No year of this run is in the analysis period" in (run("features_within_limits", 2015).description or "")


def test_a_report_in_an_earlier_form_is_left_out(lake: Lake) -> None:
    """Until the year is built again, which the mart and the page need too."""
    lake.write(pl.DataFrame({"survey_year": [2024], "statistic": [0.9], "drifted": [True]}), "drift_report", 2024)
    assert "No year of this run" in (run("features_within_limits").description or "")
    write(lake, *steady_rows())
    assert run("features_within_limits").metadata["survey_year"].value == 2025
