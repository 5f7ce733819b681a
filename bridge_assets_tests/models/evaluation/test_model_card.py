"""The card has provenance, metrics and intended use; Markdown and JSON have the same content."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.evaluation.evaluate import evaluate
from bridge_assets.models.evaluation.importance import permutation_importance
from bridge_assets.models.evaluation.model_card import CARD_JSON, CARD_MARKDOWN, card_markdown, model_card, save_card
from bridge_assets.models.evaluation.record import Evaluation
from bridge_assets.models.forest.quantize import quantize_rf
from bridge_assets.models.metrics.groups import metrics_by_group
from bridge_assets.models.training.train_forest import holdout_predictions, training_recipe
from bridge_assets.models.training.training_set import TrainingSet
from bridge_assets.settings import EvaluationSettings, ForestSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
MADE_FROM = {
    "survey_years": [2008, 2009],
    "raw_bridges": {"2008": "8" * 64, "2009": "9" * 64},
    "features_digest": "f" * 12,
    "training_years": [2008, 2015],
    "target": "fall",
    "component": "deck",
    "horizon_months": 48,
}


@pytest.fixture(scope="module")
def card(model, training):
    probability = holdout_predictions(model, training, FEATURES)
    holdout = holdout_rows(training)
    keys = holdout.select(state=pl.col("structure_key").str.slice(0, 2), condition=pl.col("rating").cast(pl.String))
    settings = EvaluationSettings(resamples=40, importance_repeats=2)
    found = evaluate(
        training,
        probability,
        oracle=training["truth"],
        features=FEATURES,
        keys=keys,
        importance=permutation_importance(quantize_rf(model), training, {"traffic": ["log_adt"]}, settings),
        settings=settings,
    )
    assert found.groups == tuple(metrics_by_group(holdout["fall"].to_numpy(), probability, keys, settings))
    ones = (1.0,) * len(FEATURES)
    training_set = TrainingSet(training, "a" * 64, MADE_FROM, Normalization(FEATURES, ones, ones, ones))
    return model_card(
        "bridge_fall",
        "0123456789ab",
        training_recipe(FEATURES, ForestSettings()),
        training_set,
        found,
        source="the generated sample inventory",
        model_digest="d" * 64,
        is_sample=True,
    )


def test_the_card_has_all_sections(card):
    text = card_markdown(card)
    for expected in (
        "# Model card: bridge_fall 0123456789ab",
        "the deck rating is at least one point lower, within 48 months",
        "Source: the generated sample inventory.",
        "trained on inspections of 2008 to 2015, evaluated on held-out inspections of 2018 to 2021",
        "| gradient boosting |",
        "| oracle (sample only) |",
        "gain over rating table",
        "expected calibration error",
        "## Feature importance",
        "| all of traffic | +0.",
        "| years_in_condition | +0.",
        "| state | Alabama (01) |",
        "A probability of failure",
        "the metrics show that the platform works",
        "| log_adt | log10(1/day) | 29 |",
        f"- training_set: `{'a' * 64}`",
        f"- raw_bridges 2009: `{'9' * 64}`",
    ):
        assert expected in text, expected
    assert "None" not in text
    assert "nan" not in text.lower().split()


def test_both_formats_are_saved_and_reproducible(card, tmp_path):
    text = save_card(card, tmp_path)
    read = json.loads((tmp_path / CARD_JSON).read_text(), parse_constant=pytest.fail)
    assert card_markdown(read) == text == (tmp_path / CARD_MARKDOWN).read_text()
    assert Evaluation.from_dict(read["evaluation"]).to_dict() == Evaluation.from_dict(card["evaluation"]).to_dict()
    before = (tmp_path / CARD_JSON).read_bytes()
    save_card(card, tmp_path)
    assert (tmp_path / CARD_JSON).read_bytes() == before


def test_a_model_with_nothing_held_out_has_a_card_too(card, training):
    nothing = evaluate(training.filter(pl.col("split") == "train"), np.empty(0), features=FEATURES)
    text = card_markdown({**card, "evaluation": nothing.to_dict()})
    assert "No held-out inspections." in text
    assert "No held-out inspections to measure it." in text
    assert "Not computed: there are no held-out inspections to rank." in text
