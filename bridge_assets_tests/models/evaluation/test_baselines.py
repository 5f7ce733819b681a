from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from bridge_assets.errors import ModelError
from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.evaluation.baselines import base_rate, gradient_boosting, linear, no_change, rating_table
from bridge_assets.models.metrics.probability import roc_auc

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


def table_of(rows: list[tuple]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["split", "rating", "years_in_rating", "fall"], orient="row")


def test_the_rating_table_is_shrunk_towards_the_condition_and_the_condition_towards_the_overall_rate():
    train = [("train", 7, 1.0, True)] * 10 + [("train", 7, 1.0, False)] * 30 + [("train", 7, 5.0, True)] * 5
    train += [("train", 6, 1.0, False)] * 55
    holdout = [
        ("holdout", 7, 1.9, None),  # a cell with 10 falls in 40
        ("holdout", 7, 5.5, None),  # a cell with 5 falls in 5
        ("holdout", 7, 12.0, None),  # a condition without that cell
        ("holdout", 4, 1.0, None),  # a condition without training inspections
        ("holdout", 6, None, None),  # years not known
    ]
    overall = 15 / 100
    seven = (15 + 20 * overall) / (45 + 20)
    six = (0 + 20 * overall) / (55 + 20)
    expected = [(10 + 20 * seven) / 60, (5 + 20 * seven) / 25, seven, overall, six]
    assert rating_table(table_of(train + holdout)) == pytest.approx(expected)


def test_unknown_years_are_a_separate_class():
    rows = [("train", 7, None, True)] * 30 + [("train", 7, 0.0, False)] * 30
    found = rating_table(table_of([*rows, ("holdout", 7, None, None), ("holdout", 7, 0.0, None)]))
    assert found == pytest.approx([(30 + 20 * 0.5) / 50, (0 + 20 * 0.5) / 50])


def test_held_out_outcomes_are_not_used(training):
    hidden = training.with_columns(fall=pl.when(pl.col("split") == "train").then(pl.col("fall")).otherwise(None))
    for forecast in (rating_table, base_rate):
        found, expected = forecast(hidden), forecast(training)
        assert found is not None
        assert expected is not None
        assert (found == expected).all()


def test_simple_forecasts(training):
    train = training.filter(pl.col("split") == "train")
    assert base_rate(training) == pytest.approx(np.full(len(no_change(training)), train["fall"].mean()))
    assert not no_change(training).any()


def test_without_training_inspections_there_is_no_forecast(training):
    holdout = training.filter(pl.col("split") == "holdout")
    assert base_rate(holdout) is None
    assert rating_table(holdout) is None


def test_a_normalised_rating_is_rejected(training):
    with pytest.raises(ModelError, match=r"column rating has the value -?\d\.\d+, which is not a condition rating"):
        rating_table(training.with_columns(rating=pl.col("condition")))


def test_for_target_poor_a_poor_bridge_stays_poor(training):
    poor = training.with_columns(is_now=pl.col("rating") <= 4)
    assert (no_change(poor) == (holdout_rows(training)["rating"] <= 4).to_numpy()).all()


@pytest.mark.parametrize("baseline", [linear, gradient_boosting])
def test_trained_baselines_rank_falls_and_use_training_rows_only(baseline, training):
    found = baseline(training, FEATURES)
    holdout = holdout_rows(training)
    assert found.shape == (holdout.height,)
    assert ((found > 0) & (found < 1)).all()
    falls = holdout["fall"].to_numpy()
    table = rating_table(training)
    assert table is not None
    assert (roc_auc(falls, found) or 0) > (roc_auc(falls, table) or 1)
    others = pl.when(pl.col("split") != "train").then(~pl.col("fall")).otherwise(pl.col("fall"))
    assert (baseline(training.with_columns(fall=others), FEATURES) == found).all()


@pytest.mark.parametrize("baseline", [linear, gradient_boosting])
def test_trained_baselines_need_both_outcomes(baseline, training):
    assert baseline(training.filter(pl.col("split") == "holdout"), FEATURES) is None
    assert baseline(training.with_columns(fall=pl.lit(False)), FEATURES) is None
    assert baseline(training.filter(pl.col("split") == "train"), FEATURES).shape == (0,)
