"""Calibration by rating: fitted out of bag, the same in scikit-learn, float16, ONNX and the reasons."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pandas as pd
import polars as pl
import pytest

from bridge_assets.models.calibration.calibrated_forest import CalibratedForest
from bridge_assets.models.calibration.fit import rating_feature, rating_odds
from bridge_assets.models.calibration.rating_odds import RatingOdds
from bridge_assets.models.dataset.matrix import feature_matrix
from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.onnx_export import export_to_onnx
from bridge_assets.models.forest.onnx_parity import onnx_problems
from bridge_assets.models.forest.quantize import quantize_rf, round_thresholds
from bridge_assets.models.training.skops_file import load_model, save_model
from bridge_assets.models.training.train_forest import holdout_predictions, train_forest
from bridge_assets.scoring.shap_values import shap_values
from bridge_assets.settings import ForestSettings

FEATURES = ("noise", "scaled_rating", "years")
SETTINGS = ForestSettings(trees=30, depth=3, leaf=40, features=0.4, seed=0)

#: How often each rating falls: 8 much more often than its neighbours, so a forest smooths over it.
RATES = {5: 0.03, 6: 0.06, 7: 0.05, 8: 0.30}


def inspections(count: int = 40_000, seed: int = 0, last_year_factor: float = 1.0) -> pl.DataFrame:
    """Inspections of 2000 to 2009; from the last training year on, ratings fall `last_year_factor` times as often."""
    random = np.random.default_rng(seed)
    rating = random.choice(list(RATES), count)
    year = random.integers(2000, 2010, count)
    rate = np.array([RATES[each] for each in rating]) * np.where(year >= 2007, last_year_factor, 1.0)
    noise, years = random.normal(size=(2, count))
    grid = {"noise": noise, "years": years, "scaled_rating": (rating - 6.5) / 1.1}
    return pl.DataFrame(
        {
            "structure_key": [f"01-{number}" for number in range(count)],
            "survey_year": year,
            "rating": rating,
            "fall": random.random(count) < rate * np.exp(0.4 * years - 0.08),
            "split": np.where(year <= 2007, "train", "holdout"),
            **{name: values.astype(np.float16).astype(np.float32) for name, values in grid.items()},
        }
    )


def ratios(table: pl.DataFrame, probability: np.ndarray) -> dict[int, float]:
    """Expected over observed falls of the held-out inspections, by rating."""
    held_out = holdout_rows(table).with_columns(expected=pl.Series(probability))
    sums = held_out.group_by("rating").agg(pl.col("expected").sum() / pl.col("fall").sum())
    return dict(sums.rows())


@pytest.fixture(scope="module")
def trained() -> tuple[pl.DataFrame, CalibratedForest]:
    table = inspections()
    forest = train_forest(table, FEATURES, SETTINGS)
    assert isinstance(forest, CalibratedForest)
    return table, forest


def rows_of(table: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(feature_matrix(holdout_rows(table), FEATURES), columns=list(FEATURES))


def test_expected_falls_are_the_observed_ones_at_every_rating(trained):
    table, forest = trained
    before = ratios(table, forest.without_odds().predict_proba(rows_of(table))[:, 1])
    after = ratios(table, holdout_predictions(forest, table, FEATURES))
    assert before[5] > 1.3, "the forest smooths the ratings"
    assert all(0.75 < ratio < 1.3 for ratio in after.values()), after
    assert abs(np.log(after[5])) < abs(np.log(before[5]))


def test_the_level_is_that_of_the_last_year_known():
    table = inspections(last_year_factor=0.5)
    forest = train_forest(table, FEATURES, SETTINGS)
    after = ratios(table, holdout_predictions(forest, table, FEATURES))
    before = ratios(table, forest.without_odds().predict_proba(rows_of(table))[:, 1])  # type: ignore[attr-defined]
    assert before[8] > 1.5, "most years of training had twice as many falls"
    assert 0.8 < after[8] < 1.2


def test_the_order_of_the_bridges_of_one_rating_is_kept(trained):
    table, forest = trained
    rows, of_rating = rows_of(table), holdout_rows(table)["rating"].to_numpy() == 7
    corrected, plain = forest.predict_proba(rows)[of_rating, 1], forest.without_odds().predict_proba(rows)[of_rating, 1]
    order = np.argsort(plain, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()


def test_every_form_of_the_forest_predicts_the_same(trained, tmp_path):
    table, forest = trained
    rows = rows_of(table)
    expected = forest.predict_proba(rows)
    assert (forest.predict_proba(rows.to_numpy()) == expected).all()
    assert (load_model(save_model(forest, tmp_path / "model.skops")).predict_proba(rows) == expected).all()
    quantized = Float16Forest.load(quantize_rf(forest).save(tmp_path / "forest.safetensors"))
    matrix = rows.to_numpy()
    assert np.abs(quantized.predict_proba(matrix) - expected).max() < 2**-11
    assert (quantized.predict(matrix) == (quantized.predict_proba(matrix)[:, 1] > 0.5)).all()
    assert np.abs(round_thresholds(forest).predict_proba(rows) - expected).max() == 0
    path = export_to_onnx(quantized, matrix, tmp_path / "model.onnx")
    problems, difference = onnx_problems(quantized, path, matrix)
    assert (problems, difference < 1e-6) == ([], True)
    exported = ort.InferenceSession(export_to_onnx(forest, matrix, tmp_path / "sklearn.onnx"))
    label, probabilities = exported.run(None, {"X": matrix})
    assert np.abs(probabilities - expected).max() < 1e-6
    assert (label == forest.predict(rows)).all()


def test_a_changed_ratio_is_found(trained, tmp_path):
    """A forest with other odds is another forest: its checksum, which the ONNX graph names, differs."""
    _, forest = trained
    quantized = quantize_rf(forest)
    doubled = RatingOdds("scaled_rating", quantized.odds.cuts, quantized.odds.ratios * 2)  # type: ignore[union-attr]
    forged = quantize_rf(CalibratedForest.of(forest.without_odds(), doubled))
    assert forged.checksum != quantized.checksum
    assert quantize_rf(forest.without_odds()).checksum != quantized.checksum
    path = export_to_onnx(quantized, np.zeros((1, 3), dtype=np.float32), tmp_path / "model.onnx")
    problems, _ = onnx_problems(forged, path, np.zeros((1, 3), dtype=np.float32))
    assert any("forest_sha256" in problem for problem in problems)


def test_the_reasons_add_up_to_the_corrected_probability(trained):
    table, forest = trained
    quantized, matrix = quantize_rf(forest), rows_of(table).to_numpy()
    found = shap_values(quantized, matrix[:40], matrix)
    assert np.abs(found.predictions - quantized.predict_proba(matrix[:40])[:, 1]).max() < 1e-6
    assert found.base == pytest.approx(float(quantized.predict_proba(matrix)[:, 1].mean()), abs=1e-6)


def test_probabilities_of_0_and_1_stay():
    odds = RatingOdds("rating", np.array([5.5], dtype=np.float32), np.array([0.5, 3.0], dtype=np.float32))
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    corrected = odds.apply(sure, np.array([5.0, 6.0, 6.0]), (False, True))
    assert corrected.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]]


def test_a_rating_that_training_has_not_seen_takes_the_ratio_of_the_one_below():
    odds = RatingOdds("rating", np.array([5.5, 6.5], dtype=np.float32), np.array([1, 2, 4], dtype=np.float32))
    corrected = odds.apply(np.full((3, 2), 0.5), np.array([2.0, 6.0, 9.0]), (False, True))
    assert corrected[:, 1].tolist() == pytest.approx([1 / 2, 2 / 3, 4 / 5])


@pytest.mark.parametrize("column", [0, 2])
def test_only_a_feature_that_is_the_rating_is_taken_for_it(column):
    table = inspections(500)
    matrix = feature_matrix(table, FEATURES)
    assert rating_feature(table["rating"].to_numpy(), matrix)[0] == 1  # type: ignore[index]
    assert rating_feature(table["rating"].to_numpy(), matrix[:, [0, 2]]) is None
    falling = matrix[:, [column]] * 0 - table["rating"].to_numpy()[:, None]
    assert rating_feature(table["rating"].to_numpy(), falling) is None, "a rating turned round"


def test_without_the_rating_the_forest_is_not_corrected():
    table = inspections(2000)
    assert not isinstance(train_forest(table, ("noise", "years"), SETTINGS), CalibratedForest)
    assert not isinstance(train_forest(table.drop("rating"), FEATURES, SETTINGS), CalibratedForest)
    probability = np.full(table.height, 0.1)
    one_rating = table.with_columns(rating=pl.lit(7))
    assert rating_odds(probability, one_rating, feature_matrix(table, FEATURES), FEATURES) is None


def test_a_rating_with_few_falls_keeps_the_level_of_the_others():
    """Three inspections of rating 5, none of which fell: its ratio is shrunk, not zero."""
    table = inspections(3000).filter((pl.col("rating") != 5) | (pl.int_range(pl.len()) < 12))
    table = table.with_columns(fall=pl.when(pl.col("rating") == 5).then(False).otherwise("fall"))
    odds = train_forest(table, FEATURES, SETTINGS).rating_odds  # type: ignore[attr-defined]
    assert 0.3 < odds.ratios[0] < 1.2
