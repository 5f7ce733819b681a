from __future__ import annotations

import warnings
from copy import copy
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor

from bridge_assets.errors import FeatureError, FeatureRangeError, ModelError
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.onnx_parity import random_rows, threshold_rows
from bridge_assets.models.forest.quantize import (
    QuantizationWarning,
    _check_no_missing_values,
    _round_down,
    quantize_rf,
    to_float16_grid,
)


def breadth_first_numbers(tree) -> dict[int, int]:
    """scikit-learn's node number -> place in a plain breadth-first walk."""
    queue, numbers = [0], {}
    while queue:
        node = queue.pop(0)
        numbers[node] = len(numbers)
        if tree.children_left[node] != -1:
            queue += [int(tree.children_left[node]), int(tree.children_right[node])]
    return numbers


def leaves_by_scikit_learn(model, rows: np.ndarray) -> np.ndarray:
    reached = model.apply(rows)
    return np.column_stack(
        [
            np.vectorize(breadth_first_numbers(estimator.tree_).get)(reached[:, number])
            for number, estimator in enumerate(model.estimators_)
        ]
    )


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_every_row_on_the_grid_reaches_the_same_leaf(kind, grid_rows, request):
    model = request.getfixturevalue(kind)
    forest = quantize_rf(model)
    for rows in (grid_rows, threshold_rows(forest, grid_rows, count=2000), random_rows(forest, count=2000)):
        assert (forest.apply(rows) == leaves_by_scikit_learn(model, rows)).all()


def test_rows_exactly_on_a_threshold_go_left_as_before(classifier, grid_rows):
    # Thresholds are halfway between two values, so many of them are themselves on the grid.
    forest = quantize_rf(classifier)
    rows = threshold_rows(forest, grid_rows, count=500)
    on_a_threshold = sum(
        np.isin(rows[:, feature], forest.threshold[forest.feature == feature].astype(np.float32)).sum()
        for feature in range(rows.shape[1])
    )
    assert on_a_threshold > 500
    assert (forest.apply(rows) == leaves_by_scikit_learn(classifier, rows)).all()


def test_rounding_thresholds_to_nearest_would_change_decisions(classifier, grid_rows):
    thresholds = np.concatenate([estimator.tree_.threshold for estimator in classifier.estimators_])
    assert (thresholds.astype(np.float16) > thresholds).any(), (
        "this test does not contain the case that rounding down avoids"
    )


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=16, allow_nan=False, allow_infinity=False))
def test_a_threshold_rounded_down_decides_the_same_for_any_float16_value(threshold, value):
    rounded = _round_down(np.array([threshold]))
    assert rounded.dtype == np.float16
    assert (value <= rounded[0]) == (value <= threshold)


def test_no_probability_changes_by_more_than_a_thousandth(classifier, grid_rows):
    forest = quantize_rf(classifier)
    rows = threshold_rows(forest, grid_rows, count=2000)
    assert np.abs(forest.predict_proba(rows) - classifier.predict_proba(rows)).max() <= 0.001
    assert forest.predict_proba(rows).dtype == np.float32
    assert (forest.predict(rows) == classifier.predict(rows)).mean() > 0.999


def test_a_regression_stays_within_the_precision_of_float16(regressor, grid_rows):
    forest = quantize_rf(regressor)
    assert forest.task == "regressor"
    assert np.abs(forest.predict(grid_rows) / regressor.predict(grid_rows) - 1).max() < 2**-11
    with pytest.raises(TypeError, match="regressor"):
        forest.predict_proba(grid_rows)


def test_the_mean_is_exact_so_the_order_of_the_trees_does_not_matter(classifier, grid_rows):
    forest = quantize_rf(classifier)
    backwards = copy(classifier)
    backwards.estimators_ = classifier.estimators_[::-1]
    assert (quantize_rf(backwards).predict_proba(grid_rows) == forest.predict_proba(grid_rows)).all()


def test_no_rows_give_no_predictions(classifier):
    forest = quantize_rf(classifier)
    assert forest.predict_proba(np.empty((0, 10))).shape == (0, 3)
    assert forest.apply(np.empty((0, 10))).shape == (0, 25)


def test_a_tree_that_is_one_leaf_is_kept(tmp_path):
    model = RandomForestClassifier(3, random_state=0).fit(np.zeros((20, 2)), np.arange(20) % 2 == 0)
    forest = Float16Forest.load(quantize_rf(model).save(tmp_path / "forest.safetensors"))
    assert forest.tree_nodes.tolist() == [1, 1, 1]
    assert forest.predict_proba(np.ones((2, 2))) == pytest.approx(model.predict_proba(np.ones((2, 2))), abs=1e-3)


def test_more_than_256_features_fit():
    rows = np.random.default_rng(0).integers(-9, 9, (200, 300)).astype(np.float32)
    model = RandomForestClassifier(20, random_state=0).fit(rows, rows[:, 299] > 0)
    forest = quantize_rf(model)
    assert forest.feature.dtype == np.uint16
    assert (forest.apply(rows) == leaves_by_scikit_learn(model, rows)).all()


@pytest.mark.parametrize(("count", "dtype"), [(256, np.uint8), (257, np.uint16)])
def test_the_last_of_256_and_of_257_features_is_the_one_that_decides(count, dtype):
    rows = np.zeros((20, count), dtype=np.float32)
    rows[10:, -1] = 1
    forest = quantize_rf(RandomForestClassifier(3, random_state=0).fit(rows, rows[:, -1] > 0))
    assert forest.feature.dtype == dtype
    assert forest.feature.tolist() == [count - 1] * 3
    assert forest.predict_proba(rows)[:, 1].tolist() == [0.0] * 10 + [1.0] * 10


def test_the_origin_is_recorded(model, training):
    import sklearn

    forest = quantize_rf(model)
    assert forest.features == ("condition", "years_in_condition", "age", "log_adt", "culvert")
    assert forest.classes == (False, True)
    assert forest.metadata["sklearn_version"] == sklearn.__version__
    assert quantize_rf(RandomForestClassifier(1).fit(np.eye(3), [0, 1, 2])).features[2] == "feature_2"


def test_columns_of_a_table_are_found_by_name(model, training):
    forest = quantize_rf(model)
    rows = training.head(50)
    expected = forest.predict_proba(rows.select(forest.features).to_numpy())
    shuffled = rows.select(*reversed(forest.features), "structure_key")
    assert (forest.predict_proba(shuffled) == expected).all()
    assert (forest.predict_proba(shuffled.to_pandas()) == expected).all()


def test_rows_that_do_not_fit_are_rejected(model):
    forest = quantize_rf(model)
    with pytest.raises(FeatureError, match=r"expected rows of 5 features \(condition, .*\), found .* \(2, 4\)"):
        forest.predict_proba(np.zeros((2, 4)))
    with pytest.raises(FeatureError, match="row 1: feature age is nan"):
        forest.predict_proba(np.array([[0, 0, 0, 0, 0], [0, 0, np.nan, 0, 0]]))
    with pytest.raises(FeatureError, match=r"lacks 4 of the model's features: years_in_condition, age"):
        forest.predict_proba(pl.DataFrame({"condition": [1.0]}))


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ("a string", TypeError, "found builtins.str"),
        (ExtraTreesClassifier(2).fit(np.eye(2), [0, 1]), TypeError, "found sklearn.ExtraTreesClassifier"),
        (RandomForestClassifier(), TypeError, "not fitted"),
        (RandomForestClassifier(2).fit(np.eye(4), np.eye(4, 2)), ModelError, "2 outputs"),
        (RandomForestRegressor(2).fit(np.eye(4), np.eye(4, 3)), ModelError, "3 outputs"),
        (RandomForestRegressor(2).fit(np.eye(4), [2e5, 3e5, 4e5, 1e6]), ModelError, "does not fit in float16"),
    ],
    ids=["no model", "other model", "not fitted", "classifier, two outputs", "regressor, three outputs", "too large"],
)
def test_an_unsupported_model_is_rejected(found, error, message):
    with pytest.raises(error, match=message):
        quantize_rf(found)


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_a_forest_trained_on_missing_values_is_rejected(share, grid_rows):
    random = np.random.default_rng(5)
    rows = np.where(random.random(grid_rows.shape) < share, np.nan, grid_rows)
    model = RandomForestClassifier(10, random_state=0).fit(rows, grid_rows[:, 0] + random.normal(size=len(rows)) > 0)
    with pytest.raises(ModelError, match="trained on missing values"):
        quantize_rf(model)


def test_a_root_trained_on_missing_values_is_rejected():
    """The root is the only inner node: six rows go left, and the missing values go right, to the smaller side."""
    rows = np.zeros((10, 3))
    rows[6:8, 2], rows[8:, 2] = 1, np.nan
    classifier = RandomForestClassifier(1, max_depth=1, bootstrap=False, random_state=0)
    model = classifier.fit(rows, np.arange(10) >= 6)
    assert model.estimators_[0].tree_.node_count == 3
    with pytest.raises(ModelError, match=r"trained on missing values \(tree 0, feature 2\)"):
        quantize_rf(model)
    filled = copy(classifier).fit(np.nan_to_num(rows, nan=1), np.arange(10) >= 6)
    assert quantize_rf(filled).tree_nodes.tolist() == [3]
    filled.estimators_ = [*filled.estimators_, *model.estimators_]
    with pytest.raises(ModelError, match=r"\(tree 1, feature 2\)"):
        quantize_rf(filled)


def tree_of(missing_go_to_left=(1, 0, 0), thresholds=(0.5, 0.5, 0.5), samples=(9, 6, 3, 2, 4, 2, 1)):
    """Seven nodes, three of them inner: the root on feature 4, its left child on 5, its right child on 6."""
    return SimpleNamespace(
        children_left=np.array([1, 3, 5, -1, -1, -1, -1]),
        children_right=np.array([2, 4, 6, -1, -1, -1, -1]),
        n_node_samples=np.array(samples),
        missing_go_to_left=np.array([*missing_go_to_left, 0, 0, 0, 0], dtype=np.uint8),
        threshold=np.array([*thresholds, -2, -2, -2, -2]),
        feature=np.array([4, 5, 6, -2, -2, -2, -2]),
    )


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"missing_go_to_left": (0, 0, 1)}, 4),
        ({"missing_go_to_left": (1, 1, 0)}, 5),
        ({"missing_go_to_left": (1, 0, 0)}, 6),
        ({"thresholds": (np.inf, 0.5, 0.5)}, 4),
        ({"thresholds": (0.5, 0.5, -np.inf)}, 6),
    ],
)
def test_the_first_node_trained_on_missing_values_is_reported(changes, feature):
    ways = {"missing_go_to_left": (1, 0, 1)}
    _check_no_missing_values(tree_of(**ways), 3)
    with pytest.raises(ModelError, match=rf"\(tree 3, feature {feature}\)"):
        _check_no_missing_values(tree_of(**(ways | changes)), 3)


def test_where_both_sides_are_equal_missing_values_go_right():
    equal = (8, 4, 4, 2, 2, 2, 2)
    _check_no_missing_values(tree_of((0, 0, 0), samples=equal), 0)
    with pytest.raises(ModelError, match="feature 4"):
        _check_no_missing_values(tree_of((1, 0, 0), samples=equal), 0)


def test_the_largest_value_that_float16_holds_is_kept():
    model = RandomForestRegressor(1, bootstrap=False).fit([[0.0], [1.0]], [65504.0, -65504.0])
    assert quantize_rf(model).predict(np.array([[0.0], [1.0]])).tolist() == [65504.0, -65504.0]
    with pytest.raises(ModelError, match="the forest predicts 65600, which does not fit in float16"):
        quantize_rf(RandomForestRegressor(1, bootstrap=False).fit([[0.0], [1.0]], [0.0, -65600.0]))


def test_values_are_rounded_to_the_nearest_point_of_the_grid():
    found = to_float16_grid(np.array([[0.1, 65504.0, -1e-9]]))
    assert found.dtype == np.float32
    assert found.tolist() == [[0.0999755859375, 65504.0, 0.0]]


@pytest.mark.parametrize("value", [65505.0, -1e6, np.inf, np.nan])
def test_a_value_beyond_float16_is_reported_by_feature(value):
    with pytest.raises(FeatureRangeError, match=rf"feature adt: {value} \(row 1\) does not fit in float16"):
        to_float16_grid(np.array([[1.0, 2.0], [3.0, value]]), ["age", "adt"])
    with pytest.raises(FeatureRangeError, match="feature 1:"):
        to_float16_grid(np.array([[1.0, value], [value, 1.0]]))  # the first one


@pytest.mark.parametrize(("mean", "scale"), [(2000, 0.1), (0, 1e-7)])
def test_a_regression_whose_values_float16_cannot_tell_apart_is_warned_of(mean, scale, grid_rows):
    """Years of construction are rounded to whole years; values of 1e-7 to multiples of 6e-8."""
    model = RandomForestRegressor(9, max_depth=6, random_state=0).fit(grid_rows, mean + scale * grid_rows[:, 1])
    with pytest.warns(QuantizationWarning, match=r"float16 moves a value .*standard deviation.*What to do: train on"):
        forest = quantize_rf(model)
    expected = model.predict(grid_rows)
    assert np.abs(forest.predict(grid_rows) - expected).max() > 0.01 * expected.std()


def test_a_regression_around_zero_is_not_warned_of(grid_rows):
    model = RandomForestRegressor(9, random_state=0).fit(grid_rows, 3 * grid_rows[:, 1] + grid_rows[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", QuantizationWarning)
        quantize_rf(model)


def test_more_features_than_16_bits_number_are_refused():
    rows = np.zeros((2, 2**16 + 1), dtype=np.float32)
    rows[1] = 1
    model = RandomForestRegressor(1, bootstrap=False, random_state=0).fit(rows, [0, 1])
    with pytest.raises(ModelError, match=r"65,537 features.*at most 65,536.*fewer features"):
        quantize_rf(model)
