"""The lists of a state: Poor now, likely to become Poor, Good but losing a point."""

from __future__ import annotations

from datetime import date

import polars as pl
from support.scoring.scored_bridges import score, with_years, write_years

from bridge_assets.scoring.batch import score_problems


def listed(scores: pl.DataFrame, name: str) -> list[str]:
    return scores.filter(listed_as=name).sort("structure_key").sort("rank_in_list")["structure_key"].to_list()


def test_the_lists_hold_what_a_person_acts_on(lake, scoring_model):
    """An 8 that loses a point is still Good, a 6 still Fair: they are in no list, whatever their probability."""
    more = [("19-F", 3, 0.05), ("19-G", 4, 0.90), ("19-H", 5, 0.60), ("19-I", 7, 0.10), ("19-J", 9, 0.95)]
    table = lake.read_year("bridge_features", 2020)
    added = pl.DataFrame(more, schema=["structure_key", "condition", "chance"], orient="row").with_columns(
        survey_year=pl.lit(2020),
        inspection_date=pl.lit(date(2019, 6, 1)),
        STATE_CODE_001=pl.lit("19"),
    )
    lake.write(pl.concat([table, added.select(table.columns).cast(table.schema)]), "bridge_features", 2020)  # type: ignore[arg-type]
    scores = score(lake, 2020, scoring_model)
    of_19 = scores.filter(pl.col("structure_key").str.starts_with("19"))
    assert listed(of_19, "Poor now") == ["19-F", "19-G", "19-D"], "the lowest rating first, then the most probable"
    assert listed(of_19, "Likely to become Poor") == ["19-H", "19-C"]
    assert listed(of_19, "Good, losing a point") == ["19-E", "19-I"]
    assert of_19.filter(pl.col("listed_as").is_null())["condition"].unique().sort().to_list() == [6, 8, 9]
    assert scores.filter(pl.col("listed_as").is_null())["rank_in_list"].null_count() == 3
    assert listed(scores.filter(pl.col("structure_key").str.starts_with("25")), "Poor now") == []
    assert score_problems(scores, lake.read_year("bridge_features", 2020)) == []
    twice = scores.with_columns(rank_in_list=pl.when(pl.col("rank_in_list").is_not_null()).then(1).cast(pl.Int32))
    assert score_problems(twice, lake.read_year("bridge_features", 2020)) == [
        "rank_in_list does not number the bridges of a list from 1"
    ]


def test_a_bridge_expected_to_stay_above_poor_is_not_likely_to_become_it(lake, scoring_model):
    years = with_years(lake)
    beyond = pl.when(structure_key="19-C").then(None).otherwise("expected_years").alias("expected_years")
    write_years(lake, years.with_columns(beyond))
    scores = score(lake, 2020, scoring_model)
    assert listed(scores, "Likely to become Poor") == ["25-B"]
    assert scores.filter(structure_key="19-C")["rank_in_list"].to_list() == [None]
