from __future__ import annotations

import numpy as np
import onnx
import polars as pl
import pytest

from bridge_assets.errors import FeatureError, PredictorError
from bridge_assets.models.forest.onnx_export import export_to_onnx
from bridge_assets.models.forest.quantize import quantize_rf
from bridge_assets.models.tasks.tasks import CLASSIFICATION, REGRESSION, TASKS
from bridge_assets.models.training.train_forest import train_forest
from bridge_assets.runtime.onnx_predictor import OnnxPredictor

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


@pytest.fixture(scope="module")
def served(model, training, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "model.onnx"
    return export_to_onnx(quantize_rf(model), training.head(20), path)


@pytest.mark.parametrize("threads", [0, 1])
def test_it_predicts_the_probability_of_the_forest(threads, served, model, training):
    predictor = OnnxPredictor(served, threads=threads)
    found = predictor.predict_proba(training.select(FEATURES).to_numpy())
    assert found.dtype == np.float32
    assert found.shape == (training.height,)
    assert np.abs(found - quantize_rf(model).predict_proba(training)[:, 1]).max() < 1e-6


def test_it_has_its_features_and_finds_them_by_name(served, training):
    predictor = OnnxPredictor(served)
    assert predictor.features == FEATURES
    assert predictor.classes == (False, True)
    assert predictor.metadata["task"] == "classifier"
    assert TASKS[predictor.task_name] is CLASSIFICATION
    rows = training.head(7)
    expected = predictor.predict_proba(rows.select(FEATURES).to_numpy())
    assert (predictor.predict_proba(rows) == expected).all()
    assert (predictor.predict_proba(rows.to_pandas()) == expected).all()
    assert (predictor.predict_proba(rows.select(FEATURES).to_numpy()[:1]) == expected[:1]).all()
    assert predictor.predict_proba(rows.clear()).shape == (0,)


def test_rows_that_do_not_fit_are_rejected(served, training):
    predictor = OnnxPredictor(served)
    with pytest.raises(FeatureError, match="expected rows of 5 features"):
        predictor.predict_proba(np.zeros((1, 6)))
    with pytest.raises(FeatureError, match="expected rows of 5 features"):
        predictor.predict_proba(np.zeros(5))
    with pytest.raises(FeatureError, match="lacks 1 of the model's features: log_adt"):
        predictor.predict_proba(training.drop("log_adt"))
    with pytest.raises(FeatureError, match="feature culvert is nan"):
        predictor.predict_proba(training.with_columns(culvert=pl.lit(None, dtype=pl.Float32)))


def test_a_model_trained_without_falls_predicts_probability_zero(training, forest_settings, tmp_path):
    never = quantize_rf(train_forest(training.with_columns(fall=pl.lit(False)), FEATURES, forest_settings))
    predictor = OnnxPredictor(export_to_onnx(never, training.head(5), tmp_path / "model.onnx"))
    assert not predictor.predict_proba(training).any()


def test_a_regression_predicts_points_and_no_probability(regressor, grid_rows, tmp_path):
    forest = quantize_rf(regressor)
    predictor = OnnxPredictor(export_to_onnx(forest, grid_rows[:5], tmp_path / "regression.onnx"))
    assert (TASKS[predictor.task_name], predictor.classes) == (REGRESSION, ())
    found = predictor.predict(grid_rows)
    assert found.dtype == np.float32
    assert np.abs(found - forest.predict(grid_rows)).max() < 1e-4
    assert predictor.predict(grid_rows[:0]).shape == (0,)
    with pytest.raises(PredictorError, match=r"this model is a regression: .* What to do: call predict"):
        predictor.predict_proba(grid_rows)


def test_an_unusable_file_is_rejected(served, tmp_path):
    with pytest.raises(PredictorError, match="there is no ONNX model"):
        OnnxPredictor(tmp_path / "absent.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(served.read_bytes()[:1000])
    with pytest.raises(PredictorError, match="is not a model that ONNX Runtime can run"):
        OnnxPredictor(broken)
    model = onnx.load(served)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "nameless.onnx")
    with pytest.raises(PredictorError, match="its metadata has no features"):
        OnnxPredictor(tmp_path / "nameless.onnx")
