"""What the model goes by: nothing for a feature it does not use, and together for features that hide each other."""

from __future__ import annotations

import json
from dataclasses import asdict

import polars as pl
import pytest

from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.evaluation.importance import (
    FeatureImportance,
    PermutationImportance,
    importance_markdown,
    permutation_importance,
)
from bridge_assets.models.forest.quantize import quantize_rf
from bridge_assets.models.training.train_forest import train_forest
from bridge_assets.settings import EvaluationSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
FAMILIES = {"condition": FEATURES[:2], "traffic": ("log_adt", "log_trucks"), "environment": ("latitude",)}
SETTINGS = EvaluationSettings(importance_repeats=4)


@pytest.fixture(scope="module")
def importance(model, training) -> PermutationImportance:
    found = permutation_importance(quantize_rf(model), training, FAMILIES, SETTINGS)
    assert found is not None
    return found


def test_what_makes_bridges_fall_counts_and_noise_does_not(importance):
    assert set(importance.features) == set(FEATURES)
    assert importance.features["log_adt"].auc_loss > 0.05
    assert importance.features["years_in_condition"].auc_loss > 0.05
    assert abs(importance.features["age"].auc_loss) < 0.01
    losses = [loss.auc_loss for loss in importance.features.values()]
    assert losses == sorted(losses, reverse=True)


def test_a_family_is_what_the_model_has_of_it_and_counts_for_more_than_each_of_its_features(importance):
    assert set(importance.families) == {"condition", "traffic"}
    one_feature, alone = importance.families["traffic"], importance.features["log_adt"]
    assert one_feature == alone  # permuted alike: the same seed, the same inspections
    together = importance.families["condition"].auc_loss
    assert together > max(importance.features[name].auc_loss for name in FAMILIES["condition"])


def test_twins_hide_each_other_and_their_family_does_not(training, forest_settings):
    twins = training.with_columns(traffic_twin=pl.col("log_adt"))
    names = (*FEATURES, "traffic_twin")
    forest = quantize_rf(train_forest(twins, names, forest_settings))
    found = permutation_importance(forest, twins, {"traffic": ("log_adt", "traffic_twin")}, SETTINGS)
    assert found is not None
    alone = max(found.features[name].auc_loss for name in ("log_adt", "traffic_twin"))
    assert found.families["traffic"].auc_loss > 1.5 * alone


def test_the_same_seed_gives_the_same_and_json_brings_it_back(importance, model, training):
    assert permutation_importance(quantize_rf(model), training, FAMILIES, SETTINGS) == importance
    assert PermutationImportance.from_dict(json.loads(json.dumps(asdict(importance), sort_keys=True))) == importance
    assert list(PermutationImportance.from_dict(asdict(importance)).features) == list(importance.features)


def test_of_many_inspections_some_are_drawn_and_it_is_said(model, training):
    few = EvaluationSettings(importance_repeats=1, importance_inspections=200)
    found = permutation_importance(quantize_rf(model), training, FAMILIES, few)
    assert found is not None
    assert (found.inspections, found.holdout_inspections) == (200, holdout_rows(training).height)
    assert f"on 200 of {holdout_rows(training).height:,} held-out inspections" in importance_markdown(found)


@pytest.mark.parametrize("rows", [pl.col("split") == "train", (pl.col("split") == "train") | ~pl.col("fall")])
def test_where_nothing_can_be_ranked_there_is_none(rows, model, training):
    assert permutation_importance(quantize_rf(model), training.filter(rows), FAMILIES, SETTINGS) is None
    assert "Not computed" in importance_markdown(None)


def test_no_repeats_are_no_importance(model, training):
    assert permutation_importance(quantize_rf(model), training, {}, EvaluationSettings(importance_repeats=0)) is None


def test_the_table_holds_the_families_and_the_most_important_features():
    features = {f"feature_{place:02}": FeatureImportance(0.1 - place / 1000, 0.002) for place in range(20)}
    text = importance_markdown(
        PermutationImportance(0.75, 500, 500, 5, features, {"traffic": FeatureImportance(0.2, 0.01)})
    )
    assert "| all of traffic | +0.2000 | 0.0100 |" in text
    assert "| feature_14 | +0.0860 | 0.0020 |" in text
    assert "feature_15" not in text
    assert "5 more features lose less" in text
