"""Another target is trained, judged, served and scored: what the settings accept works from end to end."""

from __future__ import annotations

import json

import polars as pl
import pytest
from small_platform import YEARS, failure

from bridge_assets.models.candidate import latest

STAGES = ("training_set", "bridge_model", "quantized_model", "onnx_model", "registered_model", "local_endpoint")


def test_the_version_has_its_card_and_every_figure(platform) -> None:
    candidate = latest(platform.home / "models")
    candidate.verify("bridge_model")
    assert {"model_card.json", "model_card.md", "evaluation.json"} <= set(candidate.manifest["files"])
    card = json.loads(candidate.file("model_card.json").read_text())
    assert card["foresees"]["in_words"].endswith("the condition is at least one point lower")
    assert card["provenance"]["model"] == candidate.stages["bridge_model"]
    assert card["provenance"]["training_set"] == candidate.stages["training_set"]
    evaluation = card["evaluation"]
    assert {group["by"] for group in evaluation["groups"]} == {"state", "material", "owner", "condition"}
    assert {"gradient_boosting", "logistic_regression", "oracle"} <= set(evaluation["scores"])
    assert evaluation["rolling"]
    made = platform.first.materialized["bridge_model"]
    assert str(platform.home) not in candidate.file("model_card.md").read_text()
    assert made["model_card"] == candidate.file("model_card.md").read_text()
    assert "probabilities_come_true" in " ".join(platform.first.checks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "component", "named"), [("poor", "condition", "poor"), ("fall", "deck", "fall of deck")]
)
def test_a_target_goes_from_training_to_scores(platform, monkeypatch, target, component, named) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__TARGET", target)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__COMPONENT", component)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__CALIBRATION_ERROR", "0.2")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__HOLDOUT_FALLS", "1")
    made = platform.materialize(*STAGES)
    assert made.success, failure(made)
    candidate = latest(platform.home / "models")
    assert candidate.manifest["made_from"]["target"] == target
    assert "oracle" not in json.loads(candidate.file("evaluation.json").read_text())["scores"]
    scored = platform.materialize("bridge_predictions", partition=str(YEARS[1]))
    assert scored.success, failure(scored)
    scores = platform.lake.read_year("bridge_predictions", YEARS[1])
    assert scores["target"].unique().to_list() == [named]
    if target == "poor":
        by_class = scores.group_by(poor=pl.col("condition") <= 4).agg(pl.col("fall_probability").mean())
        likely = dict(by_class.iter_rows())
        assert likely[True] > 0.5 > likely[False]
