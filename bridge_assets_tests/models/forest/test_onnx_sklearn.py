"""The export of a scikit-learn classifier gives the model's own labels, also where two classes are equally likely."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from bridge_assets.errors import ExportError
from bridge_assets.models.forest import onnx_sklearn
from bridge_assets.models.forest.onnx_export import export_to_onnx
from bridge_assets.models.forest.onnx_sklearn import rows_on_thresholds


def labels_of(content: bytes, rows: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["label"], {"X": rows})[0])


def level(model, rows: np.ndarray) -> np.ndarray:
    """Whether the two most likely classes of a row differ by rounding only."""
    probabilities = np.sort(model.predict_proba(rows), axis=1)
    return probabilities[:, -1] - probabilities[:, -2] < 1e-12


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6000, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        ((False, True), {"n_estimators": 20}),
        (("fair", "good", "poor"), {"n_estimators": 30, "class_weight": "balanced"}),
        ((3, 5, 6, 7, 9), {"n_estimators": 10, "n_jobs": -1}),
        ((1.0, 2.0), {"n_estimators": 6, "max_depth": 1, "max_features": 1}),
    ],
    ids=["Boolean", "text", "integer", "float"],
)
def test_the_label_is_the_models_own_where_two_classes_are_level(labels, settings, rows, tmp_path):
    random = np.random.default_rng(1)
    train = rows[:400]
    cuts = np.linspace(-1, 1, len(labels) + 1)[1:-1]
    outcome = np.array(labels)[np.digitize(train[:, 0] + random.normal(size=400), cuts)]
    model = RandomForestClassifier(random_state=0, **settings).fit(train, outcome)
    path = export_to_onnx(model, rows[:50], tmp_path / "model.onnx")
    tested = np.concatenate([rows, rows_on_thresholds(model, rows, seed=1)])
    model.set_params(n_jobs=1)
    assert level(model, tested).sum() > 20 or settings.get("max_depth") == 1
    found = labels_of(path.read_bytes(), tested)
    assert found.tolist() == model.predict(tested).tolist()


def test_the_export_of_skl2onnx_gives_other_labels(rows):
    """Without this case, the test above would show nothing."""
    outcome = rows[:400, 0] + np.random.default_rng(1).normal(size=400) > 0
    model = RandomForestClassifier(20, random_state=0).fit(rows[:400], outcome)
    plain = to_onnx(model, rows[:1], options={"zipmap": False}).SerializeToString()  # type: ignore[union-attr]
    differ = labels_of(plain, rows) != model.predict(rows)
    assert differ.any()
    assert level(model, rows[differ]).all()


@pytest.mark.parametrize("classes", [1, 2])
def test_trees_of_one_leaf_are_exported(classes, rows, tmp_path):
    outcome = np.arange(200) % classes
    model = RandomForestClassifier(4, random_state=0).fit(np.zeros((200, 5)), outcome)
    path = export_to_onnx(model, rows[:10], tmp_path / "model.onnx")
    assert (labels_of(path.read_bytes(), rows) == model.predict(rows)).all()


def test_another_label_is_an_error_and_nothing_is_written(classifier, grid_rows, tmp_path):
    model = RandomForestClassifier(5, random_state=0).fit(grid_rows, classifier.predict(grid_rows))
    model.predict = lambda X: np.full(len(X), "poor")  # another rule for the label than the most likely class
    with pytest.raises(ExportError, match=r"another label than the model on [\d,]+ of 40 sample rows\. What to do:"):
        export_to_onnx(model, grid_rows[:40], tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_labels_are_compared_on_thresholds_too(classifier, grid_rows, tmp_path):
    model = RandomForestClassifier(5, random_state=0).fit(grid_rows, classifier.predict(grid_rows))
    original = model.predict
    model.predict = lambda X: original(X) if len(X) == 40 else np.full(len(X), "poor")
    with pytest.raises(ExportError, match="1,000 threshold rows"):
        export_to_onnx(model, grid_rows[:40], tmp_path / "model.onnx")


def test_many_values_of_the_rows_are_thresholds_or_next_to_one(regressor, grid_rows):
    thresholds = [estimator.tree_.threshold for estimator in regressor.estimators_]
    features = np.concatenate([estimator.tree_.feature for estimator in regressor.estimators_])
    on_feature = np.concatenate(thresholds)[features == 1].astype(np.float32)
    values = rows_on_thresholds(regressor, grid_rows)[:, 1]
    next_to = [np.nextafter(on_feature, np.float32(side)) for side in (-np.inf, np.inf)]
    assert np.isin(values, on_feature).mean() > 0.2
    assert all(np.isin(values, each).mean() > 0.08 for each in next_to)


def test_too_many_leaves_for_float32_are_refused(classifier, grid_rows, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_sklearn, "MAX_LEAVES", 100)
    with pytest.raises(ExportError, match="leaves; float32 can number at most 100"):
        export_to_onnx(classifier, grid_rows[:5], tmp_path / "model.onnx")


def test_a_regression_is_compared_on_thresholds(rows, tmp_path):
    """The thresholds are halfway between float32 values, so most are no float32 values."""
    model = RandomForestRegressor(5, random_state=0).fit(rows[:500], rows[:500, 0])
    path = export_to_onnx(model, rows[:20], tmp_path / "model.onnx")
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    tested = rows_on_thresholds(model, rows, seed=3)
    found = np.asarray(session.run(["prediction"], {"X": tested})[0])[:, 0]
    assert found == pytest.approx(model.predict(tested), rel=1e-5, abs=1e-6)
