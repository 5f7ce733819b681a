"""A regression goes through the same steps as a classification: training, evaluation, acceptance, saving."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.errors import TrainingError
from bridge_assets.models.dataset.split import holdout_rows, train_rows
from bridge_assets.models.evaluation.acceptance import calibration_problems, quality_problems, quantization_problems
from bridge_assets.models.evaluation.baselines import baseline_forecasts, rating_table
from bridge_assets.models.evaluation.evaluate import evaluate, evaluation_markdown, intervals_markdown, oracle_gap_text
from bridge_assets.models.evaluation.importance import permutation_importance
from bridge_assets.models.evaluation.record import Evaluation
from bridge_assets.models.evaluation.rolling_origin import rolling_markdown, rolling_origin
from bridge_assets.models.forest.quantize import quantize_rf
from bridge_assets.models.metrics.groups import groups_markdown
from bridge_assets.models.tasks.tasks import CLASSIFICATION, REGRESSION, TASKS, task_from_provenance, task_of_table
from bridge_assets.models.training.search import search_forest
from bridge_assets.models.training.train_forest import holdout_predictions, train_forest, train_from_parquet
from bridge_assets.scoring.shap_values import Explainer
from bridge_assets.settings import EvaluationSettings, ForestSettings, GateSettings, ModelSettings, SplitSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
GATE = GateSettings(holdout_inspections=100, holdout_falls=10, calibration_error=0.05)


@pytest.fixture(scope="module")
def forest(changing, forest_settings):
    return train_forest(changing, FEATURES, forest_settings)


@pytest.fixture(scope="module")
def evaluation(forest, changing) -> Evaluation:
    holdout = holdout_rows(changing)
    settings = ModelSettings(forest=ForestSettings(trees=8, depth=6, leaf=10), split=SplitSettings(rolling_cuts=2))
    return evaluate(
        changing,
        holdout_predictions(forest, changing, FEATURES),
        features=FEATURES,
        keys=holdout.select(condition=pl.col("rating").cast(pl.Int8).cast(pl.String)),
        rolling=rolling_origin(changing, FEATURES, settings),
        settings=EvaluationSettings(resamples=80),
    )


def test_a_table_and_a_provenance_identify_their_task(training, changing):
    assert (task_of_table(training), task_of_table(changing)) == (CLASSIFICATION, REGRESSION)
    assert task_from_provenance({}) is task_from_provenance(CLASSIFICATION.provenance) is CLASSIFICATION
    assert task_from_provenance(REGRESSION.provenance) is TASKS["regression"] is REGRESSION


def test_the_forest_predicts_the_expected_change(forest, changing):
    assert type(forest).__name__ == "RandomForestRegressor"
    again = train_forest(changing, FEATURES, ForestSettings(trees=30, depth=8, leaf=10, seed=7))
    answers = holdout_predictions(forest, changing, FEATURES)
    assert (answers == holdout_predictions(again, changing, FEATURES)).all()
    assert answers.min() < -0.3
    assert answers.max() > 0.1
    assert answers.mean() == pytest.approx(holdout_rows(changing)["change"].mean(), abs=0.08)


def test_the_baselines_are_means_of_the_change(changing):
    found = baseline_forecasts(changing, FEATURES)
    assert list(found) == ["average_change", "persistence", "rating_table", "ridge", "gradient_boosting"]
    assert found["persistence"] is not None
    assert not found["persistence"].any()
    assert found["average_change"] == pytest.approx(train_rows(changing)["change"].mean())
    table = pl.DataFrame({"rating": holdout_rows(changing)["rating"], "prediction": rating_table(changing)})
    by_rating = dict(table.group_by("rating").agg(pl.col("prediction").mean()).iter_rows())
    assert by_rating[4.0] > by_rating[9.0], "the lower the rating, the more is repaired"
    none_trained = baseline_forecasts(changing.filter(pl.col("split") == "holdout"), FEATURES)
    assert [name for name, forecast in none_trained.items() if forecast is not None] == ["persistence"]


def test_the_model_is_compared_with_the_baselines_in_points(evaluation):
    figures = {name: each.rmse for name, each in evaluation.scores.items()}
    assert figures["model"] < figures["rating_table"] < figures["persistence"]
    assert evaluation.scores["persistence"].r2 == 0
    assert evaluation.scores["model"].mae > evaluation.scores["persistence"].mae, "no change has the smallest by far"
    assert evaluation.gain("persistence", "rmse").low > 0
    headline = evaluation.headline_metrics()
    assert {"rmse", "r2", "mae", "spearman", "falls_in_worst_10_percent", "calibration_error"} <= headline.keys()
    assert "auc" not in headline
    assert oracle_gap_text(evaluation) == ""


def test_tables_are_in_points(evaluation):
    table = evaluation_markdown(evaluation)
    assert "| forecast | MAE | RMSE | R² over no change | rank correlation |" in table
    assert table.count("\n| ") == 7
    assert "| RMSE in points (gain = lower) |" in intervals_markdown(evaluation)
    assert "gain over No change" in intervals_markdown(evaluation)
    assert "| RMSE of no change | RMSE |" in rolling_markdown(evaluation.rolling)
    assert "| expected change | mean change (95 %) |" in groups_markdown(evaluation.groups)


def test_saving_and_loading_preserves_the_evaluation(evaluation, tmp_path):
    path = evaluation.save(tmp_path / "evaluation.json")
    assert json.loads(path.read_text())["task"] == "regression"
    assert Evaluation.load(path) == evaluation
    assert list(Evaluation.load(path).gains) == list(evaluation.gains)


def test_a_good_model_passes_and_each_problem_names_its_setting(evaluation):
    assert quality_problems(evaluation, GATE) + calibration_problems(evaluation, GATE) == []
    strict = GATE.model_copy(update={"rmse_gain": 0.5, "spearman_gain": 0.9, "calibration_error": 0.0})
    rmse, rank = quality_problems(evaluation, strict)
    assert rmse.startswith("RMSE 0.")
    assert 'over the "No change" baseline\'s 0.' in rmse
    assert "at least +0.5000 is required (rmse_gain)" in rmse
    assert "(spearman_gain)" in rank


def test_predicted_losses_that_do_not_occur_are_found(changing):
    table = changing.with_columns(change=pl.lit(0.0), fall=pl.lit(False))
    wrong = evaluate(table, np.full(holdout_rows(table).height, -0.5), settings=EvaluationSettings(resamples=20))
    [problem] = calibration_problems(wrong, GATE)
    assert problem.startswith("the expected changes are not calibrated: expected calibration error 0.5000 points: more")
    assert "at most 0.05 is allowed (calibration_error)" in problem


def test_an_empty_hold_out_is_reported(changing):
    nothing = evaluate(train_rows(changing), np.empty(0), settings=EvaluationSettings(resamples=3))
    assert [problem.partition(":")[0] for problem in quality_problems(nothing, GATE)][-2:] == [
        "the expected changes cannot be measured",
        "the ranking cannot be measured",
    ]
    assert calibration_problems(nothing, GATE) == [
        "the calibration of the expected changes cannot be measured: there are no held-out inspections"
    ]


def test_float16_changes_no_prediction_beyond_the_limit(forest, changing):
    problems, difference, loss = quantization_problems(forest, quantize_rf(forest), changing, FEATURES, GATE)
    assert problems == []
    assert 0 < difference < 0.001
    assert abs(loss) < 0.0005
    tight = GATE.model_copy(update={"quantization_difference": 0.0})
    [problem], _, _ = quantization_problems(forest, quantize_rf(forest), changing, FEATURES, tight)
    assert problem.startswith("an expected change changes by up to ")


def test_the_search_ranks_by_rmse(changing):
    base, lines = ForestSettings(trees=6, depth=6, leaf=10), []
    trials = search_forest(changing, FEATURES, base, {"leaf": (10, 600)}, splits=2, years=3, progress=lines.append)
    assert lines[0].startswith("  1 of 2: leaf 10: RMSE 0.")
    assert "rank correlation 0." in lines[0]
    assert trials[0].settings == base


def test_a_table_of_another_task_is_rejected(changing, training, tmp_path):
    for table, task in ((training, "regression"), (changing, "classification")):
        path = tmp_path / f"{task}.parquet"
        table.write_parquet(path)
        with pytest.raises(TrainingError, match=r"A table for regression has the column change, .*What to do"):
            train_from_parquet(path, tmp_path / "model.skops", ModelSettings.model_validate({"task": task}), FEATURES)
    changing.write_parquet(tmp_path / "table.parquet")
    settings = ModelSettings(task="regression", forest=ForestSettings(trees=3, depth=3))
    assert train_from_parquet(tmp_path / "table.parquet", tmp_path / "model.skops", settings, FEATURES).is_file()


def test_importance_of_a_regression_is_measured_by_ranking_falls(forest, changing):
    settings = EvaluationSettings(importance_repeats=2)
    families = {"rating": ["condition", "years_in_condition"], "traffic": ["log_adt"]}
    found = permutation_importance(quantize_rf(forest), changing, families, settings)
    assert found is not None
    assert found.auc > 0.6
    assert found.families["traffic"].auc_loss > 0.01
    assert found.features["age"].auc_loss < found.features["log_adt"].auc_loss


def test_contributions_add_up_to_the_expected_change(forest, changing):
    holdout = holdout_rows(changing)
    predictions = quantize_rf(forest).predict(holdout)
    scored = holdout.with_columns(expected_change=pl.Series(predictions, dtype=pl.Float32)).drop("change")
    identity = Normalization(FEATURES, (0.0,) * 5, (0.0,) * 5, (1.0,) * 5)
    first = scored.with_row_index().with_columns(first=pl.col("index") < 20).drop("index")
    reasons, provenance = Explainer(quantize_rf(forest)).explain(first, identity, pl.col("first"))
    assert (provenance["explained"], reasons.height) == (20, 20)
    assert provenance["base_value"] == pytest.approx(predictions.mean(), abs=1e-4)
    total = reasons["reasons"].list.eval(pl.element().struct.field("contribution")).list.sum()
    assert (provenance["base_value"] + total).to_numpy() == pytest.approx(predictions[:20], abs=1e-4), (
        "five features, five reasons"
    )
