"""A forest on features that are not float16 values: `quantize_rf` says so, and how many decisions change."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from bridge_assets.errors import FeatureError, FeatureRangeError
from bridge_assets.models.forest.off_grid import _halfway_between_float16, changed_decisions
from bridge_assets.models.forest.onnx_parity import random_rows
from bridge_assets.models.quantization import QuantizationWarning, quantize_rf, round_thresholds, to_float16_grid


@pytest.fixture(scope="module")
def raw_rows() -> np.ndarray:
    """Traffic in vehicles a day and an age in years with fractions: many are not float16 values."""
    random = np.random.default_rng(4)
    return np.column_stack([random.integers(0, 60_000, 2000), random.random(2000) * 90]).astype(np.float32)


@pytest.fixture(scope="module")
def off_grid(raw_rows):
    falls = raw_rows[:, 0] + np.random.default_rng(5).normal(0, 9000, len(raw_rows)) > 30_000
    return RandomForestClassifier(15, random_state=0).fit(raw_rows, falls)


def quantize_silently(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QuantizationWarning)
        return quantize_rf(model)


def test_a_sample_gives_the_number_of_changed_decisions_and_labels(off_grid, raw_rows):
    with pytest.warns(QuantizationWarning, match="What to do: train on features rounded by") as caught:
        forest = quantize_rf(off_grid, X_sample=raw_rows)
    message = str(caught[0].message)
    changed, total, labels = (
        int(each.replace(",", ""))
        for each in re.findall(r"changes ([\d,]+) of ([\d,]+) decisions .* label of ([\d,]+),", message)[0]
    )
    same_leaf = round_thresholds(off_grid).apply(raw_rows) == off_grid.apply(raw_rows)
    assert (changed, total) == ((~same_leaf).sum(), same_leaf.size)
    assert changed > 0
    assert labels == (forest.predict(raw_rows) != off_grid.predict(raw_rows)).sum()
    assert caught[0].filename == __file__


def test_without_a_sample_the_thresholds_show_it(off_grid):
    with pytest.warns(QuantizationWarning, match=r"at least [\d,]+ of its [\d,]+ thresholds .*feature_0, feature_1\)"):
        quantize_rf(off_grid)


def test_a_few_thresholds_are_enough(raw_rows):
    shallow = RandomForestClassifier(10, max_depth=2, random_state=0).fit(raw_rows[:, 1:], raw_rows[:, 1] > 40)
    with pytest.warns(QuantizationWarning, match="feature_0"):
        quantize_rf(shallow)


def test_traffic_in_whole_vehicles_is_found_by_its_empty_branches(raw_rows):
    """Half of 12345 + 12346 is also half of 24688 + 3, but no float16 value lies between two such thresholds."""
    traffic = raw_rows[:, :1]
    assert _halfway_between_float16(traffic[:, 0].astype(float) + 0.5).all()
    model = RandomForestRegressor(10, random_state=0).fit(traffic, traffic[:, 0] % 7)
    with pytest.warns(QuantizationWarning, match=r"at least [\d,]{3,} of its"):
        quantize_rf(model)


@pytest.mark.parametrize("seed", range(3))
def test_features_on_the_grid_give_no_warning(seed):
    """Float16 values of every size, of one size, and a few levels, one of them next to zero."""
    random = np.random.default_rng(seed)
    levels = (random.integers(0, 9, (1000, 1)) - 4.0003) / 1.7
    rows = np.column_stack([random.normal(size=(1000, 2)) * 10.0 ** random.uniform(-6, 4), levels])
    rows = to_float16_grid(rows).astype(np.float32)
    small = RandomForestClassifier(2, random_state=0).fit(np.zeros((2, 4)), [0, 1])
    wild = random_rows(quantize_rf(small), count=1000, seed=seed)
    rows = np.column_stack([rows, wild])
    model = RandomForestRegressor(10, random_state=0).fit(rows, random.normal(size=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forest = quantize_rf(model)
        quantize_rf(model, X_sample=rows)
    assert changed_decisions(model, forest, rows).branches == 0


@given(
    st.floats(width=16, allow_nan=False, allow_infinity=False),
    st.floats(width=16, allow_nan=False, allow_infinity=False),
)
def test_half_of_two_float16_values_is_never_called_off_the_grid(one, other):
    assert _halfway_between_float16(np.array([one / 2 + other / 2])).all()


def test_the_forest_with_rounded_thresholds_decides_like_the_float16_forest_for_any_row(off_grid, raw_rows):
    before = [estimator.tree_.threshold.copy() for estimator in off_grid.estimators_]
    rounded = round_thresholds(off_grid)
    assert all((kept == each.tree_.threshold).all() for kept, each in zip(before, off_grid.estimators_, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forest = quantize_rf(rounded)
        quantize_rf(rounded, X_sample=raw_rows)
    assert changed_decisions(rounded, forest, raw_rows).branches == 0
    assert forest.checksum == quantize_silently(off_grid).checksum


def test_training_and_scoring_on_rounded_features_changes_no_decision(off_grid, raw_rows):
    rows = to_float16_grid(raw_rows)
    model = RandomForestClassifier(15, random_state=0).fit(rows, off_grid.predict(raw_rows))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantize_rf(model, X_sample=rows)
    with pytest.warns(QuantizationWarning, match="sample rows"):
        quantize_rf(model, X_sample=raw_rows)


def test_a_regression_reports_the_largest_change_of_a_prediction(raw_rows):
    model = RandomForestRegressor(5, random_state=0).fit(raw_rows, raw_rows[:, 1])
    found = changed_decisions(model, forest := quantize_silently(model), raw_rows)
    assert found.labels == 0 < found.branches
    assert found.largest_difference == pytest.approx(np.abs(forest.predict(raw_rows) - model.predict(raw_rows)).max())
    assert changed_decisions(model, forest, raw_rows[:0]).branch_share == 0


def test_the_sample_is_found_by_column_names_and_checked(raw_rows):
    table = pd.DataFrame(raw_rows, columns=["adt", "age"])
    model = RandomForestClassifier(5, random_state=0).fit(table, table["adt"] % 7 > 3)
    with pytest.warns(QuantizationWarning, match="on 2,000 sample rows"):
        quantize_rf(model, X_sample=table[["age", "adt"]])
    with pytest.raises(FeatureError, match="lacks 1 of the model's features: adt"):
        quantize_rf(model, X_sample=table[["age"]])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_threshold_beyond_float16_is_refused(sign):
    rows = pd.DataFrame({"age": np.zeros(9), "adt": sign * np.arange(9) * 20_000.0})
    model = RandomForestClassifier(2, bootstrap=False, random_state=0).fit(rows, np.arange(9) >= 4)
    message = (
        rf"feature adt: the threshold {sign * 70000} \(tree 0\) does not fit in float16, whose largest value is 65504"
    )
    for function in (quantize_rf, round_thresholds):
        with pytest.raises(FeatureRangeError, match=rf"{message}\. What to do: scale the feature"):
            function(model)
