"""The search looks at training inspections alone and says what it tries."""

from __future__ import annotations

import polars as pl
import pytest

from bridge_assets.models.errors import TrainingError
from bridge_assets.models.search import search_forest
from bridge_assets.settings import ForestSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
BASE = ForestSettings(trees=12, depth=6, leaf=10, seed=5)
GRID = {"leaf": (5, 700), "features": ("sqrt", 0.8)}


def test_every_combination_is_tried_and_the_best_comes_first(training):
    said: list[str] = []
    trials = search_forest(training, FEATURES, BASE, GRID, trees=8, splits=2, years=3, progress=said.append)
    assert len(trials) == len(said) == 5, "the present settings are tried too"
    assert said[0].startswith("  1 of 5: leaf 10, features 0.3: AUC 0.")
    assert said[1].startswith("  2 of 5: leaf 5, features sqrt: AUC 0.")
    found = [trial.mean("auc") for trial in trials]
    assert found == sorted(found, reverse=True)
    assert {trial.settings.leaf for trial in trials[-2:]} == {700}, "leaves of a third of the inspections rank nothing"
    assert trials[0].settings.trees == BASE.trees
    assert trials == search_forest(training, FEATURES, BASE, GRID, trees=8, splits=2, years=3)


def test_the_hold_out_is_not_looked_at(training):
    others = pl.when(pl.col("split") != "train").then(~pl.col("fall")).otherwise(pl.col("fall"))
    grid = {"leaf": (5, 40)}
    one, two = (
        search_forest(table, FEATURES, BASE, grid, splits=1, years=3)
        for table in (training, training.with_columns(fall=others))
    )
    assert one == two


def test_too_few_years_are_said(training):
    few = training.filter((pl.col("split") != "train") | (pl.col("survey_year") < 2010))
    with pytest.raises(TrainingError, match=r"are of 2 survey years, too few to hold 6 of them out\. What to do"):
        search_forest(few, FEATURES, BASE)
