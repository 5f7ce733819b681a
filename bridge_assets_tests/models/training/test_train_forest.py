from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bridge_assets.errors import FeatureError, TrainingError
from bridge_assets.models.dataset.matrix import feature_names
from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.training.skops_file import load_model, save_model
from bridge_assets.models.training.train_forest import (
    holdout_predictions,
    train_forest,
    train_from_parquet,
    training_recipe,
)
from bridge_assets.settings import ForestSettings, ModelSettings, SplitSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


def test_training_again_in_another_process_gives_the_same_bytes(model, training, forest_settings, tmp_path):
    table = tmp_path / "training.parquet"
    training.write_parquet(table)
    code = (
        "import sys, polars as pl\n"
        "from pathlib import Path\n"
        "from bridge_assets.models.training.train_forest import train_forest, save_model\n"
        "from bridge_assets.settings import ForestSettings\n"
        f"settings = ForestSettings(**{forest_settings.model_dump()!r})\n"
        f"save_model(train_forest(pl.read_parquet(sys.argv[1]), {FEATURES!r}, settings), Path(sys.argv[2]))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(table), str(tmp_path / "there.skops")], check=True)
    here = save_model(model, tmp_path / "here.skops")
    assert digest(here) == digest(tmp_path / "there.skops")


def test_any_order_of_the_rows_gives_the_same_bytes(model, training, forest_settings, tmp_path):
    expected = digest(save_model(model, tmp_path / "model.skops"))
    for number, table in enumerate((training.reverse(), training.sample(fraction=1, shuffle=True, seed=3))):
        again = train_forest(table, FEATURES, forest_settings)
        assert digest(save_model(again, tmp_path / f"{number}.skops")) == expected


def test_training_from_a_file_gives_the_same_bytes_for_any_order_of_its_rows(training, tmp_path):
    raw = training.drop("split").with_columns(condition=pl.col("rating"), years_in_condition=pl.col("years_in_rating"))
    settings = ModelSettings(forest=ForestSettings(trees=3, depth=6), split=SplitSettings(holdout_structures=0.5))
    found = set()
    for number, table in enumerate((raw, raw.sample(fraction=1, shuffle=True, seed=3))):
        table.write_parquet(path := tmp_path / f"{number}.parquet")
        model_path = train_from_parquet(path, tmp_path / str(number) / "model.skops", settings, FEATURES)
        found.add((digest(model_path), digest(model_path.with_name("normalization.json"))))
    assert len(found) == 1


def test_the_forest_has_the_configured_settings(model, forest_settings):
    assert (len(model.estimators_), model.max_depth, model.min_samples_leaf) == (30, 8, 10)
    assert model.max_features == forest_settings.features
    assert model.random_state == forest_settings.seed
    assert tuple(model.feature_names_in_) == FEATURES


def test_only_training_inspections_are_used(training, forest_settings, model):
    others = pl.when(pl.col("split") != "train").then(~pl.col("fall")).otherwise(pl.col("fall"))
    again = train_forest(training.with_columns(fall=others), FEATURES, forest_settings)
    assert (holdout_predictions(again, training, FEATURES) == holdout_predictions(model, training, FEATURES)).all()


def test_probabilities_belong_to_the_held_out_rows_in_their_order(model, training):
    probability = holdout_predictions(model, training, FEATURES)
    backwards = holdout_predictions(model, training.reverse(), FEATURES)
    assert probability.shape == (holdout_rows(training).height,)
    assert (probability == backwards[::-1]).all()
    expected = model.predict_proba(holdout_rows(training).select(FEATURES).to_pandas())[:, 1]
    assert (probability == expected).all()


def test_a_model_trained_without_falls_predicts_probability_zero(training, forest_settings):
    never = train_forest(training.with_columns(fall=pl.lit(False)), FEATURES, forest_settings)
    assert not holdout_predictions(never, training, FEATURES).any()
    always = train_forest(training.with_columns(fall=pl.lit(True)), FEATURES, forest_settings)
    assert (holdout_predictions(always, training, FEATURES) == 1).all()


def test_no_held_out_inspections_give_no_probabilities(model, training):
    assert holdout_predictions(model, training.filter(pl.col("split") == "train"), FEATURES).shape == (0,)


def test_an_empty_training_split_is_rejected(training, forest_settings):
    with pytest.raises(TrainingError, match=r"can be used for training\. .*What to do: load more survey years"):
        train_forest(training.filter(pl.col("split") != "train"), FEATURES, forest_settings)


def test_missing_or_invalid_features_are_reported_by_name(training, forest_settings):
    with pytest.raises(FeatureError, match="lacks 1 of the model's features: scour"):
        train_forest(training, (*FEATURES, "scour"), forest_settings)
    with pytest.raises(FeatureError, match="feature age is nan"):
        train_forest(training.with_columns(age=pl.lit(None, dtype=pl.Float32)), FEATURES, forest_settings)
    with pytest.raises(TrainingError, match=r"feature age: .* is not on float16's grid"):
        train_forest(training.with_columns(age=pl.col("age") + 1e-5), FEATURES, forest_settings)


def test_a_recipe_changes_with_settings_and_features():
    one = training_recipe(FEATURES, ForestSettings())
    assert one == training_recipe(list(FEATURES), ForestSettings())
    assert one != training_recipe(FEATURES[::-1], ForestSettings())
    assert one != training_recipe(FEATURES, ForestSettings(seed=1))
    assert set(one["libraries"]) == {"scikit-learn", "numpy"}


def test_training_from_a_parquet_file(training, tmp_path):
    from bridge_assets.data.features.normalization import Normalization

    raw = training.drop("split").with_columns(
        condition=pl.col("rating"), years_in_condition=pl.col("years_in_rating"), age=pl.lit(None, dtype=pl.Float32)
    )
    raw.write_parquet(tmp_path / "inspections.parquet")
    settings = ModelSettings(forest=ForestSettings(trees=5, depth=4), split=SplitSettings(holdout_structures=0.5))
    path = train_from_parquet(tmp_path / "inspections.parquet", tmp_path / "out" / "model.skops", settings, FEATURES)
    assert feature_names(load_model(path)) == FEATURES
    assert Normalization.load(tmp_path / "out" / "normalization.json").features == FEATURES
    with pytest.raises(FeatureError, match="lacks 1 features: scour"):
        train_from_parquet(tmp_path / "inspections.parquet", path, settings, (*FEATURES, "scour"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
