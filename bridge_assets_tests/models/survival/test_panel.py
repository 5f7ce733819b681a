from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from support.survival_intervals import simulate_intervals

from bridge_assets.models.survival.panel import first_row_per_structure, follow_up, intervals_at_risk, split_intervals
from bridge_assets.settings import ModelSettings, SplitSettings, SurvivalSettings

JUNE = [date(year, 6, 1) for year in range(2000, 2012)]


def rows(*each: tuple) -> pl.DataFrame:
    """Structure key, begin and end (years after 2000), next condition, work found."""
    return pl.DataFrame(
        [(key, JUNE[begin], JUNE[end], after, work) for key, begin, end, after, work in each],
        schema={
            "structure_key": pl.String,
            "inspection_date": pl.Date,
            "next_inspection_date": pl.Date,
            "next_condition": pl.Int8,
            "work_found": pl.String,
        },
        orient="row",
    )


def followed(*each: tuple) -> list[tuple]:
    found = follow_up(rows(*each))
    return [(round(years, 1), poor) for years, poor in found.select("followed_years", "became_poor").iter_rows()]


def test_a_structure_becomes_poor_halfway_between_two_inspections():
    assert followed(("01-A", 0, 2, 6, None), ("01-A", 2, 4, 4, None)) == [(3.0, True), (1.0, True)]


def test_follow_up_is_censored_at_the_last_inspection():
    assert followed(("01-A", 0, 2, 6, None), ("01-A", 2, 4, 5, None)) == [(4.0, False), (2.0, False)]


@pytest.mark.parametrize("after", [4, 5, 8])
def test_work_censors_before_the_interval_in_which_it_was_done(after):
    """Also where the structure was Poor afterwards: it is not known how it would have deteriorated without the work."""
    found = followed(("01-A", 0, 2, 6, None), ("01-A", 2, 4, after, "repair"), ("01-A", 4, 6, 7, None))
    assert found == [(2.0, False), (0.0, False), (2.0, False)]


def test_a_gap_ends_follow_up_and_the_structure_is_at_risk_again_afterwards():
    found = followed(("01-A", 0, 2, 6, None), ("01-A", 8, 10, 3, None))
    assert found == [(2.0, False), (1.0, True)]


def test_an_improvement_without_work_continues_follow_up_and_structures_are_separate():
    found = followed(("01-A", 0, 2, 7, None), ("01-A", 2, 4, 6, None), ("01-B", 4, 6, 4, None))
    assert found == [(4.0, False), (2.0, False), (1.0, True)]


def test_one_observation_per_structure_with_follow_up():
    table = follow_up(rows(("01-A", 0, 2, 6, "repair"), ("01-A", 2, 4, 5, None), ("01-A", 4, 6, 5, None)))
    [first] = first_row_per_structure(table).iter_rows(named=True)
    assert first["inspection_date"] == JUNE[2]


def test_only_known_intervals_of_structures_that_are_not_poor_are_at_risk():
    transitions = pl.LazyFrame(
        {
            "structure_key": ["01-A", "01-A", "01-A", "01-B"],
            "survey_year": [2001, 2003, 2005, 2001],
            "next_survey_year": [2003, 2005, None, 2003],
            "inspection_date": [JUNE[0], JUNE[2], JUNE[4], JUNE[0]],
            "next_inspection_date": [JUNE[2], JUNE[4], None, JUNE[2]],
            "condition": [6, 5, 5, 4],
            "next_condition": [5, 5, None, 3],
            "work_found": pl.Series([None] * 4, dtype=pl.String),
            "fall": [True, False, None, True],
        }
    )
    features = transitions.select(
        "structure_key",
        pl.col("survey_year").cast(pl.Int16),
        "inspection_date",
        "condition",
        STATE_CODE_001=pl.lit("01"),
    )
    found = intervals_at_risk(features, transitions)
    assert found["inspection_date"].to_list() == [JUNE[0], JUNE[2]]
    assert found["years"].to_list() == pytest.approx([2.0, 2.0], abs=0.01)
    assert found["condition"].to_list() == [6, 5]


def test_the_hold_out_has_the_structures_of_the_fall_model_and_at_most_half_of_the_years():
    table = simulate_intervals(300, years=12, seed=3)
    settings = ModelSettings(split=SplitSettings(holdout_structures=0.3), survival=SurvivalSettings(holdout_years=10))
    split, cut = split_intervals(table, settings)
    years = table["survey_year"].unique().sort().to_list()
    assert cut == years[-(len(years) // 2)]
    train, holdout = (split.filter(pl.col("split") == part) for part in ("train", "holdout"))
    assert not set(train["structure_key"]) & set(holdout["structure_key"])
    assert train["next_survey_year"].max() < cut <= holdout["survey_year"].min()  # type: ignore[operator]
    after = table.filter(pl.col("survey_year") >= cut)["structure_key"].n_unique()
    assert holdout["structure_key"].n_unique() / after == pytest.approx(0.3, abs=0.1)
