from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_assets.models.split import holdout_rows, split_at, split_inspections, train_rows
from bridge_assets.settings import SplitSettings

inspections = st.lists(
    st.tuples(
        st.integers(0, 40),  # structure
        st.integers(2000, 2020),  # survey year
        st.one_of(st.none(), st.integers(1, 4)),  # years to the next inspection; None = not known
        st.booleans(),
    ),
    max_size=80,
    unique_by=lambda row: row[:2],
)


def table_of(rows) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "structure_key": f"01-{structure}",
                "survey_year": year,
                "next_survey_year": None if wait is None else year + wait,
                "fall": None if wait is None else fall,
            }
            for structure, year, wait, fall in rows
        ],
        schema={
            "structure_key": pl.String,
            "survey_year": pl.Int16,
            "next_survey_year": pl.Int16,
            "fall": pl.Boolean,
        },
    )


@settings(deadline=None, max_examples=150)
@given(inspections, st.floats(0.01, 0.99), st.integers(1, 25))
def test_nothing_of_the_held_out_structures_or_years_is_trained_on(rows, share, years):
    table = table_of(rows)
    split = split_inspections(table, SplitSettings(holdout_structures=share, holdout_years=years))
    train, holdout = train_rows(split), holdout_rows(split)
    assert split.drop("split").equals(table)
    assert set(split["split"]) <= {"train", "holdout", "unused"}
    assert train["fall"].null_count() == holdout["fall"].null_count() == 0
    assert not set(train["structure_key"]) & set(holdout["structure_key"])
    assert holdout["survey_year"].n_unique() <= years
    if train.height and holdout.height:
        assert max(train["next_survey_year"]) < min(holdout["survey_year"])


@settings(deadline=None, max_examples=50)
@given(inspections, st.randoms())
def test_the_order_of_the_rows_and_other_rows_change_nothing(rows, random):
    chosen = SplitSettings(holdout_structures=0.4, holdout_years=3)
    split = split_inspections(table_of(rows), chosen)
    shuffled = list(rows)
    random.shuffle(shuffled)
    keys = ["structure_key", "survey_year"]
    assert split_inspections(table_of(shuffled), chosen).sort(keys).equals(split.sort(keys))


def test_the_held_out_structures_are_the_same_on_every_machine():
    table = table_of([(structure, year, 1, False) for structure in range(12) for year in (2001, 2010)])
    split = split_inspections(table, SplitSettings(holdout_structures=0.3, holdout_years=1))
    # SHA-256 of the key below 0.3 of its range, worked out by sha256sum.
    assert holdout_rows(split)["structure_key"].to_list() == ["01-4", "01-5", "01-10"]


def test_the_share_of_structures_held_out_is_the_one_asked_for():
    table = table_of([(structure, 2010, 1, False) for structure in range(5000)])
    held_out = holdout_rows(split_inspections(table, SplitSettings(holdout_structures=0.3, holdout_years=1)))
    assert held_out.height / table.height == pytest.approx(0.3, abs=0.02)


def test_years_without_an_outcome_do_not_count_as_held_out_years():
    rows = [
        (structure, year, 2 if year <= 2010 else None, False) for structure in range(30) for year in range(2000, 2015)
    ]
    split = split_inspections(table_of(rows), SplitSettings(holdout_structures=0.5, holdout_years=4))
    assert sorted(holdout_rows(split)["survey_year"].unique()) == [2007, 2008, 2009, 2010]
    assert train_rows(split)["survey_year"].max() == 2004, "the outcome of an inspection of 2005 is known in 2007"


def test_an_outcome_known_only_in_a_held_out_year_is_unused():
    split = split_inspections(
        table_of(
            [
                (structure, year, wait, True)
                for structure in range(20)
                for year, wait in ((2005, 1), (2006, 4), (2010, 1))
            ]
        ),
        SplitSettings(holdout_structures=0.5, holdout_years=1),
    )
    assert train_rows(split)["survey_year"].unique().to_list() == [2005]


def test_fewer_years_than_are_held_out_leave_nothing_to_train_on():
    split = split_inspections(
        table_of([(structure, 2010, 1, True) for structure in range(20)]), SplitSettings(holdout_years=4)
    )
    assert train_rows(split).is_empty()
    assert not holdout_rows(split).is_empty()


def test_turned_folds_hold_out_every_structure_once():
    rows = [(structure, 2000 + year, 1, False) for structure in range(200) for year in range(6)]
    held_out = [
        set(holdout_rows(split_at(table_of(rows), 2003, 2005, 1 / 4, offset=number / 4, salt="x"))["structure_key"])
        for number in range(4)
    ]
    assert sum(map(len, held_out)) == len(set.union(*held_out)) == 200
