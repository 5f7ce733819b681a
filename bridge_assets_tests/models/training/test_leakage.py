from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from bridge_assets.models.training.leakage import leakage_problems

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


def test_a_clean_table_has_no_leak(training):
    assert leakage_problems(training, FEATURES) == []


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("SUFFICIENCY_RATING", "function of the condition ratings"),
        ("lowest_rating", "function of the condition ratings"),
        ("STRUCTURAL_EVAL_067", "function of the condition ratings"),
        ("fall", "comes from the next inspection"),
        ("change", "comes from the next inspection"),
        ("next_condition", "comes from the next inspection"),
        ("structure_key", "identifies the row"),
        ("survey_year", "identifies the row"),
        ("split", "identifies the row"),
    ],
)
def test_a_forbidden_feature_is_reported(name, why, training):
    problems = leakage_problems(training, (*FEATURES, name))
    assert any(problem.startswith(f"feature {name} ") and why in problem for problem in problems)


def test_a_structure_on_both_sides_of_the_split_is_found(training):
    key = training.filter(pl.col("split") == "train")["structure_key"][0]
    held_out = training.filter(pl.col("split") == "holdout").head(1).with_columns(structure_key=pl.lit(key))
    (problem,) = leakage_problems(pl.concat([training, held_out]), FEATURES)
    assert problem == f"1 structures are both in training and held out, for example {key}"


@pytest.mark.parametrize("year", [2018, 2019, None])
def test_an_outcome_not_known_before_the_held_out_years_is_found(year, training):
    first = training.filter(pl.col("split") == "holdout")["survey_year"].min()
    assert first == 2018
    train = (
        training.filter(pl.col("split") == "train")
        .head(3)
        .with_columns(next_survey_year=pl.lit(year, dtype=pl.Int16), structure_key=pl.lit("another"))
    )
    (problem,) = leakage_problems(pl.concat([training, train]), FEATURES)
    assert problem.startswith("the outcome of 3 training inspections was not known before survey year 2018")


def test_a_random_split_of_rows_is_found(training):
    random = np.random.default_rng(0).random(training.height) < 0.3
    mixed = training.with_columns(split=pl.when(pl.Series(random)).then(pl.lit("holdout")).otherwise(pl.lit("train")))
    assert len(leakage_problems(mixed, FEATURES)) == 2


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_reveals_the_outcome_is_found(sign, training):
    noise = np.random.default_rng(0).normal(0, 0.2, training.height)
    leaking = training.with_columns(leak=sign * pl.col("fall").cast(pl.Float32) + pl.Series(noise))
    (problem,) = leakage_problems(leaking, (*FEATURES, "leak"))
    assert problem.startswith("feature leak alone ranks the falls with an AUC of ")


def test_with_a_handful_of_falls_no_feature_is_suspicious(training):
    few = training.filter(pl.col("split") == "train").sort("fall", descending=True).head(60)
    few = few.with_columns(fall=pl.int_range(pl.len()) < 5, lucky=-pl.int_range(pl.len()))
    assert leakage_problems(few, ("lucky",)) == []


def test_an_empty_table_has_no_leak(training):
    assert leakage_problems(training.clear(), FEATURES) == []
