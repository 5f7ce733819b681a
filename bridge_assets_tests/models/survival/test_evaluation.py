from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from support.survival_intervals import simulate_intervals

from bridge_assets.models.survival.evaluation import (
    FORECAST_LABELS,
    SurvivalEvaluation,
    evaluate_survival,
    survival_markdown,
    survival_problems,
)
from bridge_assets.models.survival.kaplan_meier import kaplan_meier_by_condition, kaplan_meier_table
from bridge_assets.models.survival.model import HORIZONS_YEARS
from bridge_assets.models.survival.plots import calibration_plot_png
from bridge_assets.settings import ModelSettings, SurvivalSettings

SETTINGS = ModelSettings()


@pytest.fixture(scope="module")
def evaluation() -> SurvivalEvaluation:
    return evaluate_survival(simulate_intervals(3500, years=24, seed=11), SETTINGS)


def test_on_a_process_it_can_learn_the_model_is_calibrated_and_ranks_better_than_the_table(evaluation):
    assert survival_problems(evaluation, SETTINGS.survival) == []
    model, table = evaluation.scores["model"], evaluation.scores["table"]
    assert model.uno > table.uno + 0.02
    for years in HORIZONS_YEARS:
        assert model.brier[years] < table.brier[years]
        overall = model.overall[years]
        assert overall.low <= overall.predicted <= overall.high
        # By tenths too: about one in twenty 95 % intervals misses, so allow two of ten.
        missed = [group for group in model.groups[years] if not group.low <= group.predicted <= group.high]
        assert len(missed) <= 2


def test_every_structure_is_in_exactly_one_group(evaluation):
    for found in evaluation.scores.values():
        for years in HORIZONS_YEARS:
            assert sum(group.structures for group in found.groups[years]) == evaluation.structures
            predicted = [group.predicted for group in found.groups[years]]
            assert predicted == pytest.approx(sorted(predicted)), "groups that are level differ in the last bit"


def test_saving_loading_and_plotting_are_reproducible(evaluation, tmp_path):
    assert SurvivalEvaluation.load(evaluation.save(tmp_path / "evaluation.json")) == evaluation
    picture = calibration_plot_png(evaluation)
    assert picture.startswith(b"\x89PNG")
    assert picture == calibration_plot_png(evaluation)


def test_the_table_names_every_forecast_and_describes_the_hold_out(evaluation):
    text = survival_markdown(evaluation)
    for name in FORECAST_LABELS.values():
        assert f"| {name} |" in text
    assert f"{evaluation.structures:,} held-out structures from {evaluation.cut} on" in text


def test_each_problem_names_its_setting(evaluation):
    limits = SurvivalSettings(least_poor=10**6, concordance_gain=0.5, brier_gain=0.5)
    problems = " ".join(survival_problems(evaluation, limits))
    for key in ("least_poor", "concordance_gain", "brier_gain"):
        assert f"({key})" in problems


def test_calibration_fails_only_if_the_difference_exceeds_chance(evaluation):
    model = evaluation.scores["model"]
    overall = dict(model.overall)
    overall[8] = replace(overall[8], predicted=min(1.0, overall[8].observed * 1.6))
    scores = {**evaluation.scores, "model": replace(model, overall=overall)}
    [problem] = survival_problems(replace(evaluation, scores=scores), SETTINGS.survival)
    assert "ratio of 1.60" in problem
    overall[8] = replace(overall[8], low=0.0, high=1.0)
    assert survival_problems(replace(evaluation, scores=scores), SETTINGS.survival) == []


def test_too_little_data_is_reported_and_does_not_raise(tmp_path):
    too_small = evaluate_survival(simulate_intervals(15, years=6, seed=1), SETTINGS)
    assert too_small.scores == {}
    assert survival_problems(too_small, SETTINGS.survival) == [too_small.skipped_reason]
    assert "too few" in survival_markdown(too_small)
    assert calibration_plot_png(too_small).startswith(b"\x89PNG")
    assert SurvivalEvaluation.load(too_small.save(tmp_path / "evaluation.json")) == too_small


def test_a_horizon_beyond_the_follow_up_has_no_metrics(tmp_path):
    short = evaluate_survival(simulate_intervals(2500, years=12, seed=4), SETTINGS)
    model = short.scores["model"]
    assert (model.brier[8], model.overall[8], model.groups[8]) == (None, None, ())
    assert model.overall[2] is not None
    assert not any("within 8 years" in problem for problem in survival_problems(short, SETTINGS.survival))
    assert SurvivalEvaluation.load(short.save(tmp_path / "evaluation.json")) == short
    assert calibration_plot_png(short).startswith(b"\x89PNG")
    assert "- | - |" in survival_markdown(short)


def follow_up_rows(rows: list[tuple]) -> pl.DataFrame:
    names = ("condition", "years_in_condition", "followed_years", "became_poor")
    return pl.DataFrame(rows, schema=list(names), orient="row")


def test_the_table_by_years_in_condition_is_shrunk_towards_the_condition():
    train = follow_up_rows(
        [(5, 1.0, 1.0, True)] * 10
        + [(5, 1.0, 9.0, False)] * 30
        + [(5, 7.0, 1.0, True)] * 20
        + [(6, 1.0, 9.0, False)] * 40
    )
    holdout = follow_up_rows([(5, 1.5, 0.0, False), (5, 8.0, 0.0, False), (5, None, 0.0, False), (9, 1.0, 0.0, False)])
    five = 30 / 60
    assert kaplan_meier_by_condition(train, holdout, (2,))[:, 0] == pytest.approx([five, five, five, 0.3])
    shrunk = [(10 + 20 * five) / 60, (20 + 20 * five) / 40, five, 0.3]
    assert kaplan_meier_table(train, holdout, (2,))[:, 0] == pytest.approx(shrunk)


def test_the_table_never_decreases_with_the_horizon(evaluation):
    random = np.random.default_rng(0)
    rows = [
        (int(c), float(y), float(t), bool(p))
        for c, y, t, p in zip(
            random.integers(5, 8, 500),
            random.uniform(0, 12, 500),
            random.uniform(0, 9, 500),
            random.random(500) < 0.4,
            strict=True,
        )
    ]
    found = kaplan_meier_table(follow_up_rows(rows), follow_up_rows(rows), (2, 4, 8))
    assert (np.diff(found, axis=1) >= 0).all()
