from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_assets.models.dataset.split import (
    canonical_order,
    holdout_rows,
    split_at,
    split_inspections,
    train_rows,
    usual_interval,
)
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
def test_training_never_uses_held_out_structures_or_years(rows, share, years):
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
def test_the_order_of_the_rows_does_not_matter(rows, random):
    chosen = SplitSettings(holdout_structures=0.4, holdout_years=3)
    split = split_inspections(table_of(rows), chosen)
    shuffled = list(rows)
    random.shuffle(shuffled)
    keys = ["structure_key", "survey_year"]
    assert split_inspections(table_of(shuffled), chosen).sort(keys).equals(split.sort(keys))


def test_the_held_out_structures_are_the_same_on_every_machine():
    table = table_of([(structure, year, 1, False) for structure in range(12) for year in (2001, 2010)])
    split = split_inspections(table, SplitSettings(holdout_structures=0.3, holdout_years=1))
    # SHA-256 of the key below 0.3 of its range, computed with sha256sum.
    assert holdout_rows(split)["structure_key"].to_list() == ["01-4", "01-5", "01-10"]


def test_training_and_hold_out_share_no_structure_and_no_year():
    waits = {**dict.fromkeys(range(2001, 2007), 1), 2007: 4, 2009: 1, 2010: 1, 2012: None}
    table = table_of([(structure, year, wait, False) for structure in range(12) for year, wait in waits.items()])
    split = split_inspections(table, SplitSettings(holdout_structures=0.3, holdout_years=2))
    train, holdout = train_rows(split), holdout_rows(split)
    # Held out are the inspections of 2009 and 2010 of three structures; known before 2009 were those of 2001 to 2006.
    held_out = ["01-4", "01-5", "01-10"]
    others = ["01-0", "01-1", "01-2", "01-3", "01-6", "01-7", "01-8", "01-9", "01-11"]
    assert holdout["structure_key"].unique(maintain_order=True).to_list() == held_out
    assert train["structure_key"].unique(maintain_order=True).to_list() == others
    assert holdout["survey_year"].to_list() == [2009, 2010] * 3
    assert train["survey_year"].to_list() == list(range(2001, 2007)) * 9
    assert split.filter(pl.col("split") == "unused").height == 120 - 6 - 54


def every_two_years(structures: int, first: int, last: int, early: int) -> pl.DataFrame:
    """Inspected every 24 months, half of them in odd years; `early` of the last but one year again a year later."""
    rows = []
    for structure in range(structures):
        for year in range(first + structure % 2, last + 1, 2):
            wait = 2 if year + 2 <= last else None
            rows.append((structure, year, wait, False))
        if structure < early:
            rows = [row for row in rows if row[:2] != (structure, last - 1)]
            rows.append((structure, last - 1, 1, True))
    return table_of(rows)


def test_a_year_of_which_only_early_inspections_are_known_is_neither_held_out_nor_trained_on():
    table = every_two_years(300, 2000, 2020, early=30)
    assert usual_interval(table) == 2
    assert table.filter(pl.col("survey_year") == 2019)["fall"].sum() == 30, "their outcomes are known"
    split = split_inspections(table, SplitSettings(holdout_structures=0.3, holdout_years=4))
    assert holdout_rows(split)["survey_year"].unique().sort().to_list() == [2015, 2016, 2017, 2018]
    assert train_rows(split)["survey_year"].max() == 2012, "the usual outcome of 2013 was found in 2015"
    earlier = split_at(table, 2020, 2020, 0.3)
    assert train_rows(earlier)["survey_year"].max() == 2017, "of 2019, the early inspections are selected"


def test_the_usual_interval_is_counted_in_years_whose_longest_interval_has_passed():
    assert usual_interval(every_two_years(300, 2000, 2020, early=0)) == 2
    yearly = table_of([(structure, year, 1, False) for structure in range(9) for year in range(2000, 2004)])
    assert usual_interval(yearly) == 1
    assert usual_interval(table_of([(0, 2000, None, None)])) == 1
    assert usual_interval(table_of([])) == 1
    # Since 2010 only short intervals are known: the last file is of 2012.
    years = (2000, 2004, 2008, 2010, 2011)
    late = [(structure, year, 4 if year < 2009 else 1, False) for structure in range(50) for year in years]
    assert usual_interval(table_of(late)) == 4


def test_an_outcome_of_the_first_held_out_year_is_not_trained_on():
    table = table_of([(structure, year, 1, False) for structure in range(12) for year in (2007, 2008, 2009)])
    split = split_inspections(table, SplitSettings(holdout_structures=0.3, holdout_years=1))
    assert set(train_rows(split)["survey_year"]) == {2007}, "the outcome of 2008 was found in 2009"


def test_an_inspection_without_a_known_outcome_is_unused():
    """A next inspection beyond the horizon gives no label, although its year is known."""
    table = table_of([(structure, year, 1, False) for structure in range(12) for year in (2001, 2003, 2009)])
    censored = table.with_columns(fall=pl.when(pl.col("survey_year") != 2003).then("fall"))
    split = split_inspections(censored, SplitSettings(holdout_structures=0.3, holdout_years=1))
    assert set(train_rows(split)["survey_year"]) == {2001}
    assert set(holdout_rows(split)["survey_year"]) == {2009}
    later = split_at(table.with_columns(fall=pl.lit(None, dtype=pl.Boolean)), 2003, 2009, 0.3)
    assert later["split"].to_list() == ["unused"] * 36


def test_an_offset_rotates_which_structures_are_held_out():
    table = table_of([(structure, 2009, 1, False) for structure in range(12)])
    # SHA-256 of "x" and the key, plus three quarters, below 0.3 of the range, computed with sha256sum.
    rotated = holdout_rows(split_at(table, 2009, 2009, 0.3, offset=0.75, salt="x"))
    assert rotated["structure_key"].to_list() == [f"01-{number}" for number in (1, 3, 4, 6, 8, 9, 10)]


def test_without_a_known_outcome_every_inspection_is_unused():
    table = table_of([(structure, 2010, None, None) for structure in range(5)])
    assert split_inspections(table, SplitSettings())["split"].to_list() == ["unused"] * 5
    assert split_inspections(table.clear(), SplitSettings()).columns == [*table.columns, "split"]


def test_the_share_of_held_out_structures_is_the_configured_one():
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
                for year, wait in {**dict.fromkeys(range(2001, 2006), 1), 2006: 4, 2010: 1}.items()
            ]
        ),
        SplitSettings(holdout_structures=0.5, holdout_years=1),
    )
    assert train_rows(split)["survey_year"].unique().sort().to_list() == [2001, 2002, 2003, 2004, 2005]


def test_with_fewer_years_than_held_out_years_there_is_no_training_data():
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


def test_rows_are_ordered_by_structure_year_and_date_and_then_by_the_rest():
    table = pl.DataFrame(
        {
            "age": [1.0, 2.0, 3.0, 4.0, 0.5],
            "survey_year": [2012, 2010, 2010, 2010, 2012],
            "structure_key": ["01-b", "01-b", "01-a", "01-a", "01-b"],
            "inspection_date": [9, 9, 8, 7, 9],
        }
    )
    ordered = canonical_order(table)
    assert ordered["age"].to_list() == [4.0, 3.0, 2.0, 0.5, 1.0]
    assert canonical_order(ordered) is ordered
    assert canonical_order(table.reverse()).equals(ordered)
    unnamed = table.drop("structure_key")
    assert canonical_order(unnamed) is unnamed
