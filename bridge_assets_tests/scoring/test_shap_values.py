"""Reasons add up to the served prediction, are Shapley values, and come from the served forest or not at all."""

from __future__ import annotations

from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.model_versions import FEATURES as OF_A_VERSION
from support.model_versions import make_version

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.quantize import quantize_rf, to_float16_grid
from bridge_assets.runtime.onnx_predictor import OnnxPredictor
from bridge_assets.scoring.shap_values import MAX_REASONS, Explainer, picked_reasons, reasons_dtype, shap_values

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


@pytest.fixture(scope="module")
def forest(model) -> Float16Forest:
    return quantize_rf(model)


def given(forest: Float16Forest, row: np.ndarray, known: set[int], reference: np.ndarray, output: int) -> float:
    """Prediction if only some features are known: an unknown one follows both branches, weighted by the reference
    rows at that node.
    """
    nodes = forest.nodes

    def at(node: int, rows: np.ndarray) -> float:
        if nodes.is_leaf[node]:
            return float(forest.leaf[nodes.leaf[node], output])
        left, feature = int(nodes.left[node]), int(nodes.feature[node])
        goes_left = rows[:, feature] <= nodes.threshold[node]
        if feature in known:
            is_left = row[feature] <= nodes.threshold[node]
            return at(left, rows[goes_left]) if is_left else at(left + 1, rows[~goes_left])
        share = goes_left.mean()
        return share * at(left, rows[goes_left]) + (1 - share) * at(left + 1, rows[~goes_left])

    return float(np.mean([at(int(root), reference) for root in nodes.roots]))


def test_values_agree_with_the_definition_of_shapley_values(grid_rows):
    from sklearn.ensemble import RandomForestClassifier

    rows, features = grid_rows[:, :3], range(3)
    labels = rows.sum(axis=1) + np.random.default_rng(0).normal(size=len(rows)) > 1
    forest = quantize_rf(RandomForestClassifier(4, max_depth=3, min_samples_leaf=20, random_state=0).fit(rows, labels))
    found = shap_values(forest, rows[:4], rows)
    for row, values in zip(rows[:4], found.values, strict=True):
        for feature in features:
            others = [each for each in features if each != feature]
            expected = sum(
                factorial(size)
                * factorial(2 - size)
                / factorial(3)
                * (given(forest, row, {*known, feature}, rows, 1) - given(forest, row, {*known}, rows, 1))
                for size in range(3)
                for known in combinations(others, size)
            )
            assert values[feature] == pytest.approx(expected, abs=1e-6)


def test_base_is_the_mean_and_contributions_add_up_to_the_probability(forest, training):
    rows = training.select(FEATURES).to_numpy()
    found = shap_values(forest, rows[:50], rows)
    probability = forest.predict_proba(rows)[:, 1]
    assert found.predictions == pytest.approx(probability[:50], abs=1e-6)
    assert found.base == pytest.approx(probability.mean(), abs=1e-6)


def test_leaves_that_no_background_row_reaches_are_handled(forest):
    random = np.random.default_rng(5)
    rows = to_float16_grid(random.normal(scale=4, size=(20, len(FEATURES))))
    background = np.zeros((1, len(FEATURES)), dtype=np.float32)
    found = shap_values(forest, rows, background)
    assert np.isfinite(found.values).all()
    assert found.predictions == pytest.approx(forest.predict_proba(rows)[:, 1], abs=1e-6)
    assert found.base == pytest.approx(forest.predict_proba(background)[0, 1], abs=1e-4)
    assert np.abs(shap_values(forest, background, background).values).max() < 1e-4


def test_a_regression_is_explained_in_its_own_unit(regressor, grid_rows):
    forest = quantize_rf(regressor)
    found = shap_values(forest, grid_rows[:5], grid_rows)
    assert found.predictions == pytest.approx(forest.predict(grid_rows[:5]), abs=1e-3)
    assert found.base == pytest.approx(forest.predict(grid_rows).mean(), abs=1e-3)


def test_no_rows_give_no_values(forest):
    none = np.empty((0, len(FEATURES)), dtype=np.float32)
    assert shap_values(forest, none, none).values.shape == (0, len(FEATURES))


def scored_by(predictor: OnnxPredictor, rows: int = 60, seed: int = 3) -> pl.DataFrame:
    """Bridges with features in natural units and their probability; the first one lacks its second feature."""
    random = np.random.default_rng(seed)
    values = to_float16_grid(random.normal(size=(rows, len(OF_A_VERSION))))
    table = pl.DataFrame(values, schema=dict.fromkeys(OF_A_VERSION, pl.Float32)).with_columns(
        structure_key=pl.format("01-{}", pl.int_range(rows))
    )
    table[0, OF_A_VERSION[1]] = None
    scaled = normalization().transform(table).select(OF_A_VERSION).to_numpy()
    return table.with_columns(fall_probability=pl.Series(predictor.predict_proba(scaled), dtype=pl.Float32))


def normalization() -> Normalization:
    """Changes nothing, and fills missing values with 0."""
    count = len(OF_A_VERSION)
    return Normalization(OF_A_VERSION, (0.0,) * count, (0.0,) * count, (1.0,) * count)


FIRST = pl.int_range(pl.len()) < 3


def test_the_reasons_of_the_first_bridges_explain_the_onnx_predictions(tmp_path: Path):
    candidate = make_version(tmp_path, seed=1)
    scored = scored_by(OnnxPredictor(candidate.file("model.onnx")))
    explainer = Explainer(Float16Forest.load(candidate.file("forest.safetensors")))
    reasons, provenance = explainer.explain(scored, normalization(), FIRST)
    assert reasons.schema == {"structure_key": pl.String, "reasons": reasons_dtype()}
    assert reasons["structure_key"].to_list() == ["01-0", "01-1", "01-2"]
    assert provenance["explained"] == 3
    assert provenance["forest"] == Float16Forest.load(candidate.file("forest.safetensors")).checksum
    assert provenance["base_value"] == pytest.approx(scored["fall_probability"].mean(), abs=1e-5)
    for entries, bridge in zip(reasons["reasons"], scored.head(3).iter_rows(named=True), strict=True):
        assert len(entries) == min(MAX_REASONS, len(OF_A_VERSION))
        sizes = [abs(each["contribution"]) for each in entries]
        assert sizes == sorted(sizes, reverse=True)
        assert {each["feature"]: each["value"] for each in entries} == {name: bridge[name] for name in OF_A_VERSION}
        total = provenance["base_value"] + sum(each["contribution"] for each in entries)
        assert total == pytest.approx(bridge["fall_probability"], abs=1e-5)


def test_three_reasons_raise_the_risk_where_there_are_as_many():
    values = np.array(
        [[-0.9, -0.8, -0.7, -0.6, -0.5, 0.01, 0.03, 0.02, 0.004], [0.5, 0.4, 0.3, 0.2, 0.1, -0.9, 0, 0, 0]]
    )
    assert picked_reasons(values).tolist() == [[0, 1, 6, 7, 5], [5, 0, 1, 2, 3]]
    assert picked_reasons(-values, lower_is_worse=True).tolist() == picked_reasons(values).tolist()
    assert picked_reasons(-np.abs(values))[0].tolist() == [0, 1, 2, 3, 4], "nothing raises the risk"
    assert picked_reasons(values[:, :2]).tolist() == [[0, 1], [0, 1]]
    assert picked_reasons(values[:0]).shape == (0, MAX_REASONS)


def test_a_forest_other_than_the_served_one_explains_nothing(tmp_path: Path):
    served, other = make_version(tmp_path, seed=1), make_version(tmp_path, seed=2)
    scored = scored_by(OnnxPredictor(served.file("model.onnx")))
    explainer = Explainer(Float16Forest.load(other.file("forest.safetensors")))
    reasons, provenance = explainer.explain(scored, normalization(), FIRST)
    assert reasons.is_empty() and provenance["explained"] == 0
    assert "does not reproduce the served predictions" in provenance["skipped_reason"]


def test_without_a_forest_nothing_is_explained_and_the_reason_is_recorded(tmp_path: Path):
    candidate = make_version(tmp_path, seed=1)
    scored = scored_by(OnnxPredictor(candidate.file("model.onnx")))
    reasons, provenance = Explainer(None, "no forest").explain(scored, normalization(), FIRST)
    assert reasons.is_empty() and reasons.schema["reasons"] == reasons_dtype()
    assert provenance == {"explained": 0, "skipped_reason": "no forest"}
