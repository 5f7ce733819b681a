from __future__ import annotations

import json
from itertools import chain, permutations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from bridge_assets.errors import ExportError, FeatureError
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.onnx_export import export_to_onnx
from bridge_assets.models.forest.onnx_parity import onnx_problems, random_rows, threshold_rows
from bridge_assets.models.forest.quantize import quantize_rf


def run(path, rows: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return {output.name: np.asarray(session.run([output.name], {"X": rows})[0]) for output in session.get_outputs()}


def properties(path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def tree_field(model: onnx.ModelProto, name: str) -> onnx.AttributeProto:
    trees = next(node for node in model.graph.node if node.op_type == "TreeEnsemble")
    return next(attribute for attribute in trees.attribute if attribute.name == name)


def tensors(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The thresholds and the leaf values of a file."""
    table = next(constant for constant in model.graph.initializer if constant.name == "leaf_values")
    return {"threshold": tree_field(model, "nodes_splits").t, "leaf": table}


def change_tensor(path, name: str, change) -> None:
    """Write the file again with one tensor changed."""
    model = onnx.load(path)
    tensor = tensors(model)[name]
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(change(values).astype(values.dtype), tensor.name))
    onnx.save(model, path)


#: Leaf bits, features and thresholds of trees of one leaf, of two, and of three: inner on the right, then on the left.
SHAPES = (
    ([1], [], []),
    ([0, 1, 1], [0], [0]),
    ([0, 1, 0, 1, 1], [1, 2], [0.5, -0.5]),
    ([0, 0, 1, 1, 1], [0, 1], [1, -1]),
)


def forest_of(shapes, classes: tuple) -> Float16Forest:
    bits, features, thresholds = (list(chain.from_iterable(parts)) for parts in zip(*shapes, strict=True))
    values = (np.arange(sum(bits)) + 1) / 32
    return Float16Forest(
        leaf_bits=np.packbits(bits),
        tree_nodes=np.array([len(nodes) for nodes, _, _ in shapes], dtype=np.int32),
        feature=np.array(features, dtype=np.uint8),
        threshold=np.array(thresholds, dtype=np.float16),
        leaf=np.column_stack([1 - values, values] if classes else [values]).astype(np.float16),
        features=("a", "b", "c"),
        classes=classes,
        task="classifier" if classes else "regressor",
    )


@pytest.fixture
def exported(classifier, grid_rows, tmp_path):
    forest = quantize_rf(classifier)
    return forest, export_to_onnx(forest, grid_rows[:50], tmp_path / "model.onnx")


@pytest.mark.parametrize("kind", ["classifier", "regressor", "model"])
def test_the_export_decides_and_predicts_like_the_forest(kind, grid_rows, training, tmp_path, request):
    forest = quantize_rf(request.getfixturevalue(kind))
    rows = training.select(forest.features).to_numpy() if kind == "model" else grid_rows
    path = export_to_onnx(forest, rows[:50], tmp_path / "model.onnx")
    limit = 1e-6 if forest.task == "classifier" else 1e-4
    problems, difference = onnx_problems(forest, path, rows, limit=limit)
    assert problems == []
    assert difference <= limit


def test_rows_on_thresholds_give_the_same_labels_and_probabilities(exported, grid_rows):
    forest, path = exported
    rows = np.concatenate([threshold_rows(forest, grid_rows), random_rows(forest)])
    found = run(path, rows)
    assert np.abs(found["probabilities"] - forest.predict_proba(rows)).max() < 1e-6
    assert found["label"].tolist() == forest.predict(rows).tolist()


@pytest.mark.parametrize("classes", [(False, True), ()], ids=["classifier", "regressor"])
@pytest.mark.parametrize("order", list(permutations(range(len(SHAPES)))), ids=str)
def test_single_leaves_and_unbalanced_trees_are_exported_in_any_order(order, classes, tmp_path):
    forest = forest_of([SHAPES[place] for place in (*order, order[0])], classes)
    rows = np.random.default_rng(0).choice(np.array([-2, -1, -0.5, 0, 0.5, 1, 2], dtype=np.float32), (500, 3))
    path = export_to_onnx(forest, rows, tmp_path / "model.onnx")
    problems, difference = onnx_problems(forest, path, rows)
    assert problems == []
    assert difference < 1e-6
    # ONNX Runtime 1.22 treats a root as a leaf if its two children have the same number.
    model = onnx.load(path)
    yes, no = tree_field(model, "nodes_truenodeids").ints, tree_field(model, "nodes_falsenodeids").ints
    assert all(yes[root] != no[root] for root in tree_field(model, "tree_roots").ints)


def test_a_missing_value_goes_right_and_an_infinite_one_to_its_side(exported):
    forest, path = exported
    rows = np.zeros((3, len(forest.features)), dtype=np.float32)
    rows[0], rows[1], rows[2] = np.nan, np.inf, -np.inf
    found = run(path, rows)["probabilities"]
    largest = np.full((1, len(forest.features)), np.finfo(np.float32).max, dtype=np.float32)
    assert found[:2] == pytest.approx(np.repeat(forest.predict_proba(largest), 2, axis=0), abs=1e-6)
    assert found[2:] == pytest.approx(forest.predict_proba(-largest), abs=1e-6)


@pytest.mark.parametrize("labels", [[False, True], [3, 7], ["good", "poor"], [1.0, 2.0]])
def test_labels_keep_type_and_value(labels, grid_rows, tmp_path):
    rows = grid_rows[:300]
    model = RandomForestClassifier(5, random_state=0).fit(rows, np.array(labels)[(rows[:, 0] > 0).astype(int)])
    forest = quantize_rf(model)
    path = export_to_onnx(forest, rows, tmp_path / "model.onnx")
    assert run(path, rows)["label"].tolist() == forest.predict(rows).tolist()
    assert json.loads(properties(path)["classes"]) == labels


def test_the_file_records_its_features_classes_and_origin(exported):
    forest, path = exported
    metadata = properties(path)
    assert json.loads(metadata["features"]) == list(forest.features)
    assert json.loads(metadata["classes"]) == ["fair", "good", "poor"]
    assert metadata["forest_sha256"] == forest.checksum
    assert metadata["sklearn_version"] == forest.metadata["sklearn_version"]


def test_thresholds_and_leaf_values_are_float16_values(exported):
    _, path = exported
    for name, tensor in tensors(onnx.load(path)).items():
        values = numpy_helper.to_array(tensor)
        assert (values == values.astype(np.float16)).all(), name


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_exporting_twice_gives_the_same_bytes(kind, grid_rows, tmp_path, request):
    model = request.getfixturevalue(kind)
    for source in (model, quantize_rf(model)):
        first = export_to_onnx(source, grid_rows[:5], tmp_path / "first.onnx").read_bytes()
        assert export_to_onnx(source, grid_rows[:5], tmp_path / "second.onnx").read_bytes() == first


def test_a_scikit_learn_classifier_is_exported_with_a_plain_matrix_of_probabilities(classifier, grid_rows, tmp_path):
    path = export_to_onnx(classifier, grid_rows[:50], tmp_path / "model.onnx")
    found = run(path, grid_rows)
    assert found["probabilities"].shape == (len(grid_rows), 3)
    assert np.abs(found["probabilities"] - classifier.predict_proba(grid_rows)).max() < 1e-5
    assert (found["label"] == classifier.predict(grid_rows)).all()
    assert json.loads(properties(path)["features"])[0] == "feature_0"


def test_a_scikit_learn_regressor_is_exported(regressor, grid_rows, tmp_path):
    path = export_to_onnx(regressor, grid_rows[:50], tmp_path / "model.onnx")
    assert run(path, grid_rows)["prediction"][:, 0] == pytest.approx(regressor.predict(grid_rows), rel=1e-5)


def test_a_forest_with_named_features_takes_a_table_as_sample(model, training, tmp_path):
    path = export_to_onnx(model, training.head(20), tmp_path / "model.onnx")
    assert json.loads(properties(path)["features"])[2] == "age"
    with pytest.raises(FeatureError, match="lacks 1 of the model's features: age"):
        export_to_onnx(model, training.head(20).drop("age"), tmp_path / "other.onnx")


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ("a string", TypeError, "found str"),
        (RandomForestClassifier(), TypeError, "fitted"),
        (RandomForestRegressor(2).fit(np.eye(10), np.eye(10, 2)), ExportError, "2 outputs"),
    ],
    ids=["no model", "not fitted", "two outputs"],
)
def test_an_unsupported_model_is_rejected_and_the_existing_file_stays(found, error, message, grid_rows, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the previous version")
    with pytest.raises(error, match=message):
        export_to_onnx(found, grid_rows[:5], path)
    assert path.read_bytes() == b"the previous version"
    assert list(tmp_path.iterdir()) == [path]


def test_a_threshold_moved_by_the_smallest_step_is_found(exported, grid_rows):
    forest, path = exported
    change_tensor(path, "threshold", lambda values: np.nextafter(values.astype(np.float16), np.float16(np.inf)))
    problems, _ = onnx_problems(forest, path, grid_rows)
    assert any("threshold rows" in problem and "decisions (row and tree) differ" in problem for problem in problems)


def test_wrong_decisions_that_cancel_out_in_the_prediction_are_found(grid_rows, tmp_path):
    # All leaves have the same value: no prediction can show which leaf a row reached.
    model = RandomForestRegressor(5, max_depth=4, random_state=0).fit(grid_rows, grid_rows[:, 0])
    forest = quantize_rf(model)
    flat = {field: getattr(forest, field) for field in ("leaf_bits", "tree_nodes", "feature", "threshold")}
    forest = Float16Forest(
        **flat, leaf=np.ones_like(forest.leaf), features=forest.features, classes=(), task="regressor", metadata={}
    )
    path = export_to_onnx(forest, grid_rows[:5], tmp_path / "model.onnx")
    export = onnx.load(path)
    features = tree_field(export, "nodes_featureids").ints
    features[:] = [(feature + 1) % 10 for feature in features]
    onnx.save(export, path)
    problems, difference = onnx_problems(forest, path, grid_rows)
    assert difference == 0
    assert problems
    assert all("decisions" in problem for problem in problems)


def test_a_changed_leaf_value_is_found(exported, grid_rows):
    forest, path = exported
    change_tensor(path, "leaf", lambda values: values + np.float16(0.01))
    problems, difference = onnx_problems(forest, path, grid_rows)
    assert difference == pytest.approx(0.01, abs=1e-4)
    assert "a prediction differs by 0.01; at most 1e-05 is allowed" in problems[0]


def test_the_export_of_another_forest_is_found(exported, regressor, grid_rows):
    _, path = exported
    problems, difference = onnx_problems(quantize_rf(regressor), path, grid_rows)
    assert difference == 1
    assert any("forest_sha256" in problem for problem in problems)


def test_a_file_that_is_not_an_export_is_a_problem_and_does_not_raise(exported, grid_rows, tmp_path):
    forest, _ = exported
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"<html>not found</html>")
    problems, difference = onnx_problems(forest, path, grid_rows)
    assert len(problems) == 1
    assert difference == 1
    assert onnx_problems(forest, tmp_path / "absent.onnx", grid_rows)[0]


def test_random_rows_are_finite_and_reach_both_ends_of_float16(exported):
    forest, _ = exported
    rows = random_rows(forest)
    assert np.isfinite(rows).all()
    assert (rows == rows.astype(np.float16)).all()
    assert np.abs(rows).max() > 60_000
    assert np.abs(rows[rows != 0]).min() < 1e-6
