"""Years until Poor as assets: computed in the first run, refused if the features do not match the model, and included
in the predictions, which also work without them.
"""

from __future__ import annotations

import shutil

import polars as pl
from support.small_platform import YEARS, error_messages

from bridge_assets.models.survival.store import latest_model


def test_the_first_run_computes_years_until_poor_for_every_survey_year(platform) -> None:
    assert platform.lake.available_years("years_until_poor") == list(range(YEARS[0], YEARS[1] + 1))
    survival_version = latest_model(platform.home / "models")
    assert set(platform.lake.read_years("years_until_poor")["model_version"]) == {survival_version.version}
    assert platform.first_run.checks["years_until_poor:years_until_poor_complete"][0]
    assert platform.first_run.checks["deterioration_model:calibrated_and_beats_kaplan_meier"][1] == "WARN"


def test_features_with_other_definitions_get_no_years_until_poor(platform) -> None:
    recorded = platform.lake.provenance("bridge_features", YEARS[1])
    platform.lake.write_provenance("bridge_features", YEARS[1], {**recorded, "features_digest": "another"})
    message = error_messages(platform.materialize("years_until_poor", partition=str(YEARS[1])))
    assert f"cannot score the features of {YEARS[1]}" in message


def test_a_warning_does_not_prevent_years_until_poor(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__SURVIVAL__CONCORDANCE_GAIN", "0.9")
    result = platform.materialize("deterioration_model", "years_until_poor", partition=str(YEARS[1]))
    assert result.success, error_messages(result)
    checks = {each.check_name: each for each in result.get_asset_check_evaluations()}
    warned = checks["calibrated_and_beats_kaplan_meier"]
    assert not warned.passed
    assert "(concordance_gain)" in (warned.description or "")


def test_the_predictions_of_every_year_include_years_until_poor(platform) -> None:
    for year in range(YEARS[0], YEARS[1] + 1):
        years = platform.lake.read_year("years_until_poor", year).select(
            "structure_key", "expected_years", "high_years"
        )
        carried = platform.lake.read_year("bridge_predictions", year).select(
            "structure_key", expected_years="years_until_poor", high_years="years_until_poor_high"
        )
        assert carried.equals(years)
    assert platform.first_run.materializations["bridge_predictions"]["model_version"]


def test_if_nothing_can_be_learned_predictions_have_no_years_until_poor(platform) -> None:
    """Too few falls for a deterioration model do not prevent scores."""
    year = str(YEARS[1])
    shutil.rmtree(platform.home / "models" / "deterioration")
    transitions = platform.lake.read("fct_condition_transitions").with_columns(next_condition=pl.col("condition"))
    platform.lake.write(transitions, "fct_condition_transitions")
    platform.lake.year_path("years_until_poor", YEARS[1]).unlink()
    result = platform.materialize("deterioration_model", "years_until_poor", "bridge_predictions", partition=year)
    assert result.success, error_messages(result)
    metadata = {
        event.asset_key.to_user_string(): {key: value.value for key, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert "are too few to fit the deterioration model" in metadata["deterioration_model"]["skipped_reason"]
    assert metadata["years_until_poor"]["skipped_reason"] == "no deterioration model has been fitted"
    assert "does not exist yet" in metadata["bridge_predictions"]["years_until_poor_skipped_reason"]
    scores = platform.lake.read_year("bridge_predictions", YEARS[1])
    assert scores["years_until_poor_horizon"].null_count() == scores.height > 0
    warned = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert not warned["calibrated_and_beats_kaplan_meier"].passed
    reported = platform.materialize("mart_condition_by_year", "mart_bridge_outlook", "condition_report", "looker_sheet")
    assert reported.success, error_messages(reported)
