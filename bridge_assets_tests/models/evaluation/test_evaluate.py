from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from bridge_assets.errors import ModelError
from bridge_assets.models.dataset.split import holdout_rows, train_rows
from bridge_assets.models.evaluation.acceptance import calibration_problems, quality_problems, quantization_problems
from bridge_assets.models.evaluation.evaluate import evaluate, evaluation_markdown, intervals_markdown, oracle_gap_text
from bridge_assets.models.evaluation.record import Evaluation
from bridge_assets.models.forest.quantize import quantize_rf
from bridge_assets.models.metrics.bootstrap import Interval
from bridge_assets.models.training.train_forest import holdout_predictions
from bridge_assets.settings import EvaluationSettings, GateSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
GATE = GateSettings(holdout_inspections=100, holdout_falls=10)


@pytest.fixture(scope="module")
def evaluation(model, training) -> Evaluation:
    return evaluate(
        training,
        holdout_predictions(model, training, FEATURES),
        oracle=training["truth"],
        features=FEATURES,
        settings=EvaluationSettings(resamples=100),
    )


def test_metrics_are_computed_on_the_held_out_inspections(evaluation, model, training):
    holdout, train = holdout_rows(training), train_rows(training)
    assert (evaluation.inspections, evaluation.falls) == (holdout.height, holdout["fall"].sum())
    assert evaluation.base_rate == pytest.approx(holdout["fall"].mean())
    assert (evaluation.first_year, evaluation.last_year) == (2018, 2021)
    assert (evaluation.train_inspections, evaluation.train_falls) == (train.height, train["fall"].sum())
    expected = roc_auc_score(holdout["fall"], holdout_predictions(model, training, FEATURES))
    assert evaluation.scores["model"].auc == pytest.approx(expected)


def test_forecasts_are_ordered_and_rank_as_expected(evaluation):
    trained = ["logistic_regression", "gradient_boosting"]
    assert list(evaluation.scores) == ["base_rate", "persistence", "rating_table", *trained, "model", "oracle"]
    auc = {name: figures.auc for name, figures in evaluation.scores.items()}
    assert auc["base_rate"] == auc["persistence"] == 0.5
    assert 0.5 < auc["rating_table"] < auc["model"] < auc["oracle"] < 0.95
    assert evaluation.scores["persistence"].accuracy == pytest.approx(1 - evaluation.base_rate)
    assert evaluation.scores["persistence"].brier == pytest.approx(evaluation.base_rate)


def test_saving_and_loading_preserves_the_evaluation(evaluation, tmp_path):
    path = evaluation.save(tmp_path / "evaluation.json")
    assert Evaluation.load(path) == evaluation
    for figures in ("scores", "intervals", "gains"):
        assert list(getattr(Evaluation.load(path), figures)) == list(getattr(evaluation, figures))
    assert "NaN" not in path.read_text()
    first = path.read_bytes()
    assert evaluation.save(path).read_bytes() == first


def test_a_good_model_passes(evaluation):
    assert quality_problems(evaluation, GATE) == []


def test_each_problem_names_its_setting_and_value(evaluation):
    strict = GateSettings(holdout_inspections=10_000, holdout_falls=5_000, auc_gain=0.4, brier_gain=0.2)
    problems = quality_problems(evaluation, strict)
    assert problems[0].startswith(f"Only {evaluation.inspections:,} held-out inspections; at least 10,000 are required")
    assert problems[1].startswith(f"Only {evaluation.falls:,} held-out falls; at least 5,000 are required")
    assert "over the rating table's" in problems[2]
    assert problems[2].endswith("at least +0.4000 is required (auc_gain)")
    assert problems[3].endswith("at least +0.20000 is required (brier_gain)")


def test_every_metric_lies_within_its_interval(evaluation):
    for name in ("auc", "average_precision", "brier", "worst_5", "worst_10", "worst_20"):
        interval = evaluation.interval("model", name)
        assert interval.low < getattr(evaluation.scores["model"], name) < interval.high
    gain = evaluation.gain("rating_table", "auc")
    assert gain.low < evaluation.scores["model"].auc - evaluation.scores["rating_table"].auc < gain.high
    assert evaluation.gain("oracle", "auc").low < 0 < gain.low, "below the truth, above the table"
    table = intervals_markdown(evaluation)
    assert "gain over gradient boosting" in table
    assert table.count("\n") == 7
    assert intervals_markdown(without_intervals(evaluation)).startswith("No intervals")


def test_the_gap_to_the_oracle_is_reported_for_actual_and_for_averaged_outcomes(evaluation):
    figures = evaluation.headline_metrics()
    assert figures["auc_gap_to_oracle"] == pytest.approx(
        evaluation.scores["oracle"].auc - evaluation.scores["model"].auc
    )
    assert 0 < figures["expected_auc_gap_to_oracle"] < 0.1
    assert list(evaluation.expected_auc) == list(evaluation.scores)
    assert f"{figures['expected_auc_gap_to_oracle']:.3f} below it averaged over all" in oracle_gap_text(evaluation)
    assert oracle_gap_text(replace(evaluation, expected_auc={})) == ""


def without_intervals(evaluation: Evaluation) -> Evaluation:
    return replace(evaluation, intervals={}, gains={})


def test_a_gain_that_may_be_due_to_chance_does_not_count(evaluation):
    low = Interval(-0.01, 0.2)
    unsure = replace(evaluation, gains={**evaluation.gains, "rating_table": {"auc": low}})
    [problem] = quality_problems(unsure, GATE)
    assert "(95 % interval -0.0100 to +0.2000); at least +0.0000 is required (auc_gain)" in problem
    assert quality_problems(without_intervals(unsure), GATE) == []


def test_miscalibrated_probabilities_are_a_problem(evaluation, training):
    assert calibration_problems(evaluation, GATE) == []
    doubled = evaluate(training, np.full(holdout_rows(training).height, 2 * evaluation.base_rate))
    [problem] = calibration_problems(doubled, GATE)
    assert "the probabilities are not calibrated: expected calibration error" in problem
    assert "at most 0.02 is allowed (calibration_error)" in problem
    nothing = replace(evaluation, calibration=None)
    assert calibration_problems(nothing, GATE) == [
        "the calibration of the probabilities cannot be measured: there are no held-out inspections"
    ]


def test_a_model_worse_than_the_rating_table_does_not_pass(training):
    noise = np.random.default_rng(0).random(holdout_rows(training).height)
    problems = quality_problems(evaluate(training, noise), GATE)
    assert len(problems) == 2
    assert "gain of -" in problems[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pl.col("split") == "train", "0 held-out inspections"),
        (pl.col("split") == "holdout", "AUC needs training inspections"),
        (pl.col("split") == "unused", "0 held-out falls"),
        ((pl.col("split") == "train") | ~pl.col("fall"), "0 held-out falls"),
        ((pl.col("split") == "train") | pl.col("fall"), "with and without a fall"),
    ],
    ids=["nothing held out", "nothing trained on", "nothing at all", "no fall held out", "nothing but falls held out"],
)
def test_too_little_data_is_a_problem_and_does_not_raise(rows, message, training, tmp_path):
    few = training.filter(rows)
    found = evaluate(few, np.full(holdout_rows(few).height, 0.1))
    assert any(message in problem for problem in quality_problems(found, GateSettings()))
    assert evaluation_markdown(found)
    assert found.headline_metrics()["auc"] is None or found.train_inspections == 0
    values = json.loads(found.save(tmp_path / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert Evaluation.from_dict(values) == found


def test_one_prediction_per_held_out_inspection_is_required(training):
    with pytest.raises(ModelError, match="one for each held-out inspection, found 3"):
        evaluate(training, np.zeros(3))


def test_an_oracle_that_lacks_an_inspection_is_rejected(training):
    count = holdout_rows(training).height
    partly = training["truth"].scatter(training["split"].to_list().index("holdout"), None)
    with pytest.raises(ModelError, match=f"has no probability for 1 of {count} held-out inspections"):
        evaluate(training, np.zeros(count), oracle=partly)


def test_the_markdown_table_has_one_row_per_forecast(evaluation):
    lines = evaluation_markdown(evaluation).splitlines()
    assert f"{evaluation.inspections:,} held-out inspections of 2018 to 2021" in lines[0]
    assert [line.split(" | ")[0] for line in lines[4:]] == [
        "| base rate",
        "| No change",
        "| rating table",
        "| logistic regression",
        "| gradient boosting",
        "| model",
        "| oracle (sample only)",
    ]
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_headline_metrics_are_plain_numbers(evaluation):
    assert {type(value) for value in evaluation.headline_metrics().values()} == {int, float}


def test_float16_hardly_changes_the_predictions(model, training):
    problems, difference, loss = quantization_problems(model, quantize_rf(model), training, FEATURES, GATE)
    assert problems == []
    assert 0 < difference <= 0.00025
    assert abs(loss) < 0.0005


def test_another_forest_is_found(model, training, forest_settings):
    from bridge_assets.models.training.train_forest import train_forest

    other = train_forest(training, FEATURES, forest_settings.model_copy(update={"trees": 3, "depth": 2, "leaf": 200}))
    problems, difference, loss = quantization_problems(model, quantize_rf(other), training, FEATURES, GATE)
    assert "a probability changes by up to" in problems[0]
    assert "at most 0.001 is allowed (quantization_difference)" in problems[0]
    assert difference > 0.001
    assert loss > 0.0005
    assert "AUC drops by" in problems[1]


def test_without_held_out_inspections_float16_does_not_pass(model, training):
    train = train_rows(training)
    assert quantization_problems(model, quantize_rf(model), train, FEATURES, GATE) == (
        ["there are no held-out inspections to measure the loss on"],
        0.0,
        0.0,
    )
