"""Other targets are trained, evaluated, served and scored: the settings work from end to end."""

from __future__ import annotations

import json

import polars as pl
import pytest
from click.testing import CliRunner
from support.small_platform import YEARS, error_messages

from bridge_assets.cli import main
from bridge_assets.registry.model_version import latest_version

STAGES = ("training_set", "bridge_model", "quantized_model", "onnx_model", "registered_model", "local_endpoint")


def test_the_version_has_its_card_and_all_metrics(platform) -> None:
    candidate = latest_version(platform.home / "models")
    candidate.verify_stage("bridge_model")
    assert {"model_card.json", "model_card.md", "evaluation.json"} <= set(candidate.manifest["files"])
    card = json.loads(candidate.file("model_card.json").read_text())
    assert card["predicts"]["in_words"].endswith("the condition is at least one point lower")
    assert card["provenance"]["model"] == candidate.stages["bridge_model"]
    assert card["provenance"]["training_set"] == candidate.stages["training_set"]
    evaluation = card["evaluation"]
    assert {group["grouping"] for group in evaluation["groups"]} == {"state", "material", "owner", "condition"}
    assert {"gradient_boosting", "logistic_regression", "oracle"} <= set(evaluation["scores"])
    assert evaluation["rolling"]
    result = platform.first_run.materializations["bridge_model"]
    assert str(platform.home) not in candidate.file("model_card.md").read_text()
    assert result["model_card"] == candidate.file("model_card.md").read_text()
    assert "is_calibrated" in " ".join(platform.first_run.checks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "component", "named"), [("poor", "condition", "poor"), ("fall", "deck", "fall of deck")]
)
def test_another_target_runs_from_training_to_scores(platform, monkeypatch, target, component, named) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__TARGET", target)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__COMPONENT", component)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__CALIBRATION_ERROR", "0.2")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__HOLDOUT_FALLS", "1")
    result = platform.materialize(*STAGES)
    assert result.success, error_messages(result)
    candidate = latest_version(platform.home / "models")
    assert candidate.manifest["made_from"]["target"] == target
    assert "oracle" not in json.loads(candidate.file("evaluation.json").read_text())["scores"]
    scored = platform.materialize("bridge_predictions", partition=str(YEARS[1]))
    assert scored.success, error_messages(scored)
    scores = platform.lake.read_year("bridge_predictions", YEARS[1])
    assert scores["target"].unique().to_list() == [named]
    if target == "poor":
        by_class = scores.group_by(poor=pl.col("condition") <= 4).agg(pl.col("fall_probability").mean())
        likely = dict(by_class.iter_rows())
        assert likely[True] > 0.5 > likely[False]


@pytest.mark.slow
def test_a_regression_runs_from_training_to_the_report(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__TASK", "regression")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__NAME", "bridge_change")  # with its own champion
    result = platform.materialize(*STAGES)
    assert result.success, error_messages(result)
    candidate = latest_version(platform.home / "models")
    assert candidate.manifest["made_from"]["task"] == "regression"
    card = json.loads(candidate.file("model_card.json").read_text())
    assert card["predicts"]["in_words"].startswith("by how many points the condition changes at the next inspection")
    assert card["model"]["kind"].endswith("RandomForestRegressor)")
    figures = card["evaluation"]["scores"]
    assert list(figures["model"]) == ["mae", "r2", "rmse", "spearman", "worst_10", "worst_20", "worst_5"]
    assert {"persistence", "rating_table", "ridge", "gradient_boosting", "model"} <= set(figures)
    assert not {"oracle", "base_rate", "logistic_regression"} & set(figures)
    assert figures["model"]["rmse"] < figures["persistence"]["rmse"]
    assert "rolling_origin.png" in candidate.manifest["files"]

    for year in map(str, YEARS):
        scored = platform.materialize("bridge_predictions", "drift_report", partition=year)
        assert scored.success, error_messages(scored)
    scores = platform.lake.read_year("bridge_predictions", YEARS[1])
    assert scores["target"].unique().to_list() == ["change"]
    assert scores["fall_probability"].null_count() == scores.height
    assert scores["expected_change"].is_between(-2, 5).all()
    first = scores.filter(pl.col("rank_in_state") == 1)["expected_change"]
    assert first.max() < scores["expected_change"].mean()  # type: ignore[operator] # there are some
    drifted = platform.lake.read_year("drift_report", YEARS[1])["feature"].to_list()
    assert ("expected_change" in drifted, "fall_probability" in drifted) == (True, False)
    key = scores["structure_key"][0]
    predicted = CliRunner().invoke(main, ["predict", key])
    assert f"expected change of the rating at the next inspection: {scores['expected_change'][0]:+.2f} points" in (
        predicted.output
    )

    reported = platform.materialize("mart_condition_by_year", "mart_bridge_outlook", "condition_report", "looker_sheet")
    assert reported.success, error_messages(reported)
    page = (platform.home / "reports" / "condition_report.html").read_text()
    assert page.count("The served model predicts by how many points ratings change") == 3
    assert "build bridge_predictions" not in page


@pytest.mark.slow
def test_a_regression_cannot_replace_a_classification_without_a_decision(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__TASK", "regression")
    stages = [stage for stage in STAGES if stage != "local_endpoint"]
    result = platform.materialize(*stages, checks=False)
    assert not result.success
    assert "another task, and recorded metrics are not available for both" in error_messages(result)
