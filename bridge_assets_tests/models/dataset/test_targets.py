"""Targets: the outcome depends on target and component, and is unknown without a next inspection."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from bridge_assets.errors import TrainingError
from bridge_assets.models.dataset.targets import RATING_COLUMNS, describe_target, target_name, with_outcomes
from bridge_assets.settings import ModelSettings

# One structure: condition 6, 5, 5, 4, then an inspection beyond the horizon, then none.
CONDITIONS = [6, 5, 5, 4, 4]
DECKS = [7, 7, 5, 5, None]
YEARS = [2010, 2012, 2014, 2016, 2022]


@pytest.fixture(scope="module")
def transitions() -> pl.LazyFrame:
    dates = [date(year, 6, 1) for year in YEARS]
    return pl.LazyFrame(
        {
            "structure_key": ["01-1"] * 5,
            "survey_year": YEARS,
            "inspection_date": dates,
            "condition": CONDITIONS,
            "next_condition": [*CONDITIONS[1:], None],
            "entered_at": [dates[0], dates[1], dates[1], dates[3], dates[3]],
            "outcome": ["fall", "same", "fall", "censored", "censored"],
            "fall": [True, False, True, None, None],
        }
    )


@pytest.fixture(scope="module")
def inspections() -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "structure_key": ["01-1"] * 5 + ["01-2"],
            "inspection_date": [*(date(year, 6, 1) for year in YEARS), date(2011, 1, 1)],
            "deck_rating_058": pl.Series([*DECKS, 9], dtype=pl.Int8),
        }
    ).reverse()


def found(transitions, inspections, **settings) -> pl.DataFrame:
    return with_outcomes(transitions, inspections, ModelSettings(**settings)).sort("survey_year").collect()


def test_a_fall_of_the_condition_is_taken_from_the_transitions(transitions):
    table = found(transitions, None)
    assert table["fall"].to_list() == [True, False, True, None, None]
    assert table["rating"].to_list() == CONDITIONS
    assert table["years_in_rating"].round(1).to_list() == [0, 0, 2, 0, 6]
    assert not table["is_now"].any()


def test_a_regression_has_the_change_in_points(transitions, inspections):
    assert "change" not in found(transitions, None).columns
    table = found(transitions, None, task="regression")
    assert table["change"].to_list() == [-1, 0, -1, None, None]
    assert table["fall"].to_list() == [True, False, True, None, None]
    assert table.schema["change"] == pl.Float32
    deck = found(transitions, inspections, task="regression", component="deck")
    assert deck["change"].to_list() == [0, -2, 0, None, None]
    rising = transitions.with_columns(next_condition=pl.col("condition") + 3, outcome=pl.lit("rise"))
    assert found(rising, None, task="regression")["change"].to_list() == [3] * 5, "work done is part of the change"


def test_poor_is_four_or_less_at_the_next_inspection(transitions):
    table = found(transitions, None, target="poor")
    assert table["fall"].to_list() == [False, False, True, None, None]
    assert table["is_now"].to_list() == [False, False, False, True, True]


def test_a_component_has_its_own_outcomes_and_years(transitions, inspections):
    table = found(transitions, inspections, component="deck")
    assert table["fall"].to_list() == [False, True, False, None, None]
    assert table["rating"].to_list() == DECKS
    assert table["years_in_rating"].round(1).to_list()[:4] == [0, 2, 0, 2]
    assert table.height == 5


def test_a_component_without_a_rating_at_the_next_inspection_has_no_outcome(transitions, inspections):
    unrated = inspections.with_columns(
        deck_rating_058=pl.when(pl.col("inspection_date") != date(2014, 6, 1)).then(pl.col("deck_rating_058"))
    )
    table = found(transitions, unrated, component="deck", target="poor")
    assert table["fall"].to_list() == [False, None, None, None, None]
    assert table["is_now"].to_list() == [False, False, None, False, None]


def test_inspections_without_the_component_are_rejected(transitions, inspections):
    for table in (None, inspections.drop("deck_rating_058")):
        with pytest.raises(TrainingError, match=r"no column deck_rating_058, .*set component: condition"):
            with_outcomes(transitions, table, ModelSettings(component="deck"))


@pytest.mark.parametrize("component", RATING_COLUMNS)
def test_every_target_has_a_name_and_a_description(component):
    assert describe_target("fall", component).endswith("is at least one point lower")
    assert describe_target("poor", component).endswith("is 4 or less")
    assert target_name("fall", component) == ("fall" if component == "condition" else f"fall of {component}")
