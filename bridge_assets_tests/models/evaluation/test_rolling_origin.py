"""Earlier cut years: no later knowledge in training, no training structure in the test, and a bounded cost."""

from __future__ import annotations

import polars as pl
import pytest

from bridge_assets.models.dataset.split import holdout_rows, split_at, train_rows
from bridge_assets.models.evaluation.rolling_origin import cut_years, rolling_markdown, rolling_origin
from bridge_assets.settings import ForestSettings, ModelSettings, SplitSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
SETTINGS = ModelSettings(
    forest=ForestSettings(trees=30, depth=6, leaf=10), split=SplitSettings(rolling_cuts=3, rolling_trees=10)
)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def cuts(training, lines):
    return rolling_origin(training, FEATURES, SETTINGS, lines.append)


def test_the_cuts_precede_the_final_hold_out_and_do_not_overlap(training):
    assert cut_years(training, SETTINGS.split) == [(2012, 2013), (2014, 2015), (2016, 2017)]
    assert holdout_rows(training)["survey_year"].min() == 2018
    long = SplitSettings(rolling_cuts=9, rolling_years=3)
    assert cut_years(training, long) == [(2009, 2011), (2012, 2014), (2015, 2017)], "none before the first inspection"
    assert cut_years(training, SplitSettings(rolling_cuts=0)) == []
    assert cut_years(train_rows(training), SETTINGS.split) == []


def test_each_cut_is_evaluated_on_unseen_structures_in_later_years(training, cuts):
    for cut in cuts:
        table = split_at(training, cut.first_year, cut.last_year, SETTINGS.split.holdout_structures)
        train, holdout = train_rows(table), holdout_rows(table)
        assert train["next_survey_year"].max() < cut.first_year <= holdout["survey_year"].min()
        assert holdout["survey_year"].max() <= cut.last_year
        assert not set(train["structure_key"]) & set(holdout["structure_key"])
        assert (cut.train_inspections, cut.inspections, cut.falls) == (
            train.height,
            holdout.height,
            holdout["fall"].sum(),
        )
        assert set(holdout["structure_key"]).isdisjoint(train_rows(training)["structure_key"])
        assert set(holdout["survey_year"]).isdisjoint(holdout_rows(training)["survey_year"])


def test_each_cut_ranks_falls_and_reports_progress(cuts, lines):
    assert [cut.trees for cut in cuts] == [10, 10, 10]
    assert all(cut.scores["model"].auc > cut.scores["base_rate"].auc == 0.5 for cut in cuts)
    assert len(lines) == 3
    assert lines[0].startswith("cut 2012: ")
    table = rolling_markdown(cuts)
    assert "One forest of 10 trees per cut" in table
    assert table.count("| 20") == 3


def test_the_order_of_the_rows_does_not_matter(training, cuts):
    shuffled = training.sample(fraction=1, shuffle=True, seed=5)
    found = rolling_origin(shuffled, FEATURES, SETTINGS)
    for one, other in zip(cuts, found, strict=True):
        assert one.scores["model"].auc == pytest.approx(other.scores["model"].auc, abs=1e-12)
        assert one.scores["rating_table"].auc == pytest.approx(other.scores["rating_table"].auc, abs=1e-12)


def test_a_cut_without_training_inspections_has_counts_and_no_metrics(training):
    late = pl.when(pl.col("split") == "train").then(pl.lit(2019, dtype=pl.Int16)).otherwise(pl.col("next_survey_year"))
    unknown = training.with_columns(next_survey_year=late)
    one_cut = SETTINGS.model_copy(update={"split": SplitSettings(rolling_cuts=1)})
    [cut] = rolling_origin(unknown, FEATURES, one_cut)
    assert cut.scores["model"].auc is None
    assert cut.train_inspections == 0 < cut.inspections
    assert "| - |" in rolling_markdown([cut])
    assert rolling_markdown([]) == "No earlier cut year was evaluated."
