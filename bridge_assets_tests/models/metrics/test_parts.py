from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from bridge_assets.models.dataset.split import holdout_rows, train_rows
from bridge_assets.models.evaluation.acceptance import calibration_problems, quality_problems
from bridge_assets.models.evaluation.evaluate import evaluate
from bridge_assets.models.evaluation.record import Evaluation
from bridge_assets.models.metrics.parts import (
    BECOMES_POOR,
    LOW_RATED,
    Part,
    by_rating_markdown,
    calibration_by_rating,
    measure_parts,
    parts_markdown,
)
from bridge_assets.settings import EvaluationSettings, GateSettings

GATE = GateSettings(holdout_inspections=100, holdout_falls=10)
SETTINGS = EvaluationSettings(resamples=100)


def inspections(count: int = 8000, seed: int = 0) -> pl.DataFrame:
    """Inspections whose fall depends on `cause`; from 5 a fall leads to Poor, from 6 one fall in ten does."""
    random = np.random.default_rng(seed)
    rating = random.choice([4, 5, 6, 7, 8], count)
    cause = random.normal(size=count)
    truth = np.where(rating == 8, 0.35, 0.1) * np.exp(0.8 * cause - 0.32)
    fall = random.random(count) < truth
    to_poor = fall & ((rating == 5) | ((rating == 6) & (random.random(count) < 0.1)))
    return pl.DataFrame(
        {
            "structure_key": [f"01-{number}" for number in range(count)],
            "survey_year": np.where(np.arange(count) % 2, 2010, 2015),
            "rating": rating.astype(np.float32),
            "years_in_rating": np.float32(2.0),
            "is_now": False,
            "fall": fall,
            "becomes_poor": to_poor,
            "split": np.where(np.arange(count) % 2, "train", "holdout"),
            "truth": np.minimum(truth, 1.0),
        }
    ).with_columns(becomes_poor=pl.when(pl.col("rating") > 4).then("becomes_poor"))


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return inspections()


def evaluated(table: pl.DataFrame, probability: np.ndarray) -> Evaluation:
    return evaluate(table, probability, settings=SETTINGS)


def auc_of(part: Part) -> float:
    auc = part.scores["model"].auc
    assert auc is not None
    return auc


def test_a_part_has_the_metrics_of_its_inspections_alone(table):
    holdout = holdout_rows(table)
    low, poor = evaluated(table, holdout["truth"].to_numpy()).parts
    of_low = holdout.filter(pl.col("rating") <= 7)
    assert (low.name, low.inspections, low.falls) == (LOW_RATED, of_low.height, of_low["fall"].sum())
    assert low.scores["model"].auc == pytest.approx(roc_auc_score(of_low["fall"], of_low["truth"]))
    assert low.intervals["auc"].low < auc_of(low) < low.intervals["auc"].high
    assert low.gains["worst_10"].low > 0
    not_poor = holdout.filter(pl.col("rating") > 4)
    assert (poor.name, poor.inspections, poor.falls) == (BECOMES_POOR, not_poor.height, not_poor["becomes_poor"].sum())
    assert poor.scores["model"].ratio == pytest.approx(1.0, abs=0.3), "the probability of Poor, not of a fall"
    assert auc_of(poor) > 0.8


def test_a_bridge_that_is_poor_already_does_not_become_poor(table):
    [_, poor] = measure_parts(
        train_rows(table), holdout_rows(table), {"model": holdout_rows(table)["truth"].to_numpy()}, resamples=0, seed=0
    )
    assert poor.inspections == holdout_rows(table).filter(pl.col("rating") > 4).height
    assert "rating_table" not in poor.scores
    [low] = measure_parts(
        train_rows(table).drop("becomes_poor"),
        holdout_rows(table).drop("becomes_poor"),
        {"model": holdout_rows(table)["truth"].to_numpy()},
        resamples=0,
        seed=0,
    )
    assert low.name == LOW_RATED


def test_for_the_target_poor_only_bridges_that_become_poor_are_a_part(table):
    """A Poor bridge stays Poor: a table knows that as well as any model."""
    poor = table.with_columns(is_now=pl.col("rating") <= 4, fall=pl.col("becomes_poor").fill_null(True))
    [part] = evaluated(poor, holdout_rows(poor)["truth"].to_numpy()).parts
    assert part.name == BECOMES_POOR


def test_a_model_that_only_knows_that_good_bridges_fall_does_not_pass(table):
    """Its headline is good, because 8 falls most often; where people act, it ranks by chance."""
    holdout = holdout_rows(table)
    noise = np.random.default_rng(1).random(holdout.height) * 0.01
    headline = np.where(holdout["rating"] == 8, 0.4, 0.1) + noise
    found = evaluated(table, headline)
    assert found.scores["model"].auc > 0.6
    problems = [problem for problem in quality_problems(found, GATE) if problem.startswith("rated 7 or less")]
    assert len(problems) == 2
    assert problems[0].endswith("at least +0.000 is required (part_auc_gain)")
    assert problems[1].endswith("at least +0.000 is required (part_capture_gain)")
    assert quality_problems(evaluated(table, holdout["truth"].to_numpy()), GATE) == []


def test_a_model_that_finds_fewer_bridges_that_become_poor_than_the_table_does_not_pass(table):
    holdout = holdout_rows(table)
    inverted = np.where(holdout["rating"] == 5, 0.001, holdout["truth"].to_numpy())
    problems = quality_problems(evaluated(table, inverted), GATE)
    assert any(problem.startswith("not Poor yet: which are Poor at the next inspection: AUC") for problem in problems)


def test_a_part_with_few_falls_is_shown_and_not_judged(table):
    noise = np.random.default_rng(1).random(holdout_rows(table).height)
    found = evaluated(table, noise)
    lenient = GATE.model_copy(update={"part_falls": 10_000})
    assert [each for each in quality_problems(found, lenient) if "rated 7" in each or "not Poor yet" in each] == []
    assert "rated 7 or less: which fall" in parts_markdown(found.parts)


def test_every_rating_has_expected_over_observed_falls(table):
    holdout = holdout_rows(table)
    falls, probability = holdout["fall"].to_numpy(), holdout["truth"].to_numpy().copy()
    probability[holdout["rating"].to_numpy() == 6] *= 2
    found = evaluated(table, probability)
    six = next(each for each in found.by_rating if each.rating == 6)
    of_six = holdout["rating"].to_numpy() == 6
    assert (six.inspections, six.falls) == (of_six.sum(), falls[of_six].sum())
    assert six.ratio == pytest.approx(probability[of_six].sum() / falls[of_six].sum())
    assert six.ratio_interval is not None and six.ratio is not None
    assert six.ratio_interval.low < six.ratio < six.ratio_interval.high
    assert [each.rating for each in found.by_rating] == [4, 5, 6, 7, 8]
    problems = calibration_problems(found, GATE.model_copy(update={"calibration_error": 1.0, "calibration_falls": 50}))
    assert [problem.partition(":")[0] for problem in problems if problem.startswith("rating")] == ["rating 6"]
    assert "beyond chance at most 1.15 and at least 0.87 is allowed (calibration_ratio)" in problems[-1]
    assert "| 6 | " in by_rating_markdown(found.by_rating)


def test_the_whole_may_not_be_off_either(table):
    """1.24 times too many, evenly: the calibration error alone lets it pass."""
    probability = 1.24 * holdout_rows(table)["truth"].to_numpy()
    found = evaluated(inspections(60_000), 1.24 * holdout_rows(inspections(60_000))["truth"].to_numpy())
    lenient = GATE.model_copy(update={"calibration_error": 0.05})
    assert any(each.startswith("all ratings: expected over observed") for each in calibration_problems(found, lenient))
    few = evaluated(table.head(400), probability[: holdout_rows(table.head(400)).height])
    assert calibration_problems(few, lenient) == [], "of few falls, chance explains it"


def test_without_a_fall_or_an_inspection_there_is_no_ratio(table):
    none = calibration_by_rating(
        np.zeros(2, dtype=bool), np.full(2, 0.1), np.array([5, 5]), ["a", "b"], resamples=10, seed=0
    )
    assert (none[0].ratio, none[0].ratio_interval) == (None, None)
    empty = np.empty(0)
    assert calibration_by_rating(empty.astype(bool), empty, empty, [], resamples=10, seed=0) == ()


def test_saving_and_loading_preserves_parts_and_ratings(table, tmp_path):
    found = evaluated(table, holdout_rows(table)["truth"].to_numpy())
    assert Evaluation.load(found.save(tmp_path / "evaluation.json")) == found
