"""Permutation importance: zero for unused features, and by family for features that hide each other."""

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


def test_causes_of_falls_are_important_and_noise_is_not(importance):
    assert set(importance.features) == set(FEATURES)
    assert importance.features["log_adt"].auc_loss > 0.05
    assert importance.features["years_in_condition"].auc_loss > 0.03
    assert abs(importance.features["age"].auc_loss) < 0.01
    losses = [loss.auc_loss for loss in importance.features.values()]
    assert losses == sorted(losses, reverse=True)


def test_a_family_has_the_features_of_the_model_and_is_more_important_than_each_of_them(importance):
    assert set(importance.families) == {"condition", "traffic"}
    one_feature, alone = importance.families["traffic"], importance.features["log_adt"]
    assert one_feature == alone  # permuted alike: the same seed, the same inspections
    together = importance.families["condition"].auc_loss
    assert together > max(importance.features[name].auc_loss for name in FAMILIES["condition"])


def test_duplicate_features_hide_each_other_and_their_family_does_not(training, forest_settings):
    duplicated = training.with_columns(log_adt_copy=pl.col("log_adt"))
    names = (*FEATURES, "log_adt_copy")
    forest = quantize_rf(train_forest(duplicated, names, forest_settings))
    found = permutation_importance(forest, duplicated, {"traffic": ("log_adt", "log_adt_copy")}, SETTINGS)
    assert found is not None
    alone = max(found.features[name].auc_loss for name in ("log_adt", "log_adt_copy"))
    assert found.families["traffic"].auc_loss > 1.5 * alone


def test_the_same_seed_gives_the_same_result_and_json_preserves_it(importance, model, training):
    assert permutation_importance(quantize_rf(model), training, FAMILIES, SETTINGS) == importance
    assert PermutationImportance.from_dict(json.loads(json.dumps(asdict(importance), sort_keys=True))) == importance
    assert list(PermutationImportance.from_dict(asdict(importance)).features) == list(importance.features)


def test_the_order_of_the_rows_does_not_matter(importance, model, training):
    assert permutation_importance(quantize_rf(model), training.reverse(), FAMILIES, SETTINGS) == importance


def test_a_large_hold_out_is_sampled_and_the_text_says_so(model, training):
    sampled = EvaluationSettings(importance_repeats=1, importance_inspections=200)
    found = permutation_importance(quantize_rf(model), training, FAMILIES, sampled)
    assert found is not None
    assert (found.inspections, found.holdout_inspections) == (200, holdout_rows(training).height)
    assert f"on 200 of {holdout_rows(training).height:,} held-out inspections" in importance_markdown(found)


@pytest.mark.parametrize("rows", [pl.col("split") == "train", (pl.col("split") == "train") | ~pl.col("fall")])
def test_without_held_out_falls_there_is_no_importance(rows, model, training):
    assert permutation_importance(quantize_rf(model), training.filter(rows), FAMILIES, SETTINGS) is None
    assert "Not computed" in importance_markdown(None)


def test_without_repeats_there_is_no_importance(model, training):
    assert permutation_importance(quantize_rf(model), training, {}, EvaluationSettings(importance_repeats=0)) is None


def test_the_table_has_the_families_and_the_most_important_features():
    features = {f"feature_{place:02}": FeatureImportance(0.1 - place / 1000, 0.002) for place in range(20)}
    text = importance_markdown(
        PermutationImportance(0.75, 500, 500, 5, features, {"traffic": FeatureImportance(0.2, 0.01)})
    )
    assert "| all of traffic | +0.2000 | 0.0100 |" in text
    assert "| feature_14 | +0.0860 | 0.0020 |" in text
    assert "feature_15" not in text
    assert "5 more features lose less" in text
