"""The fall rate of peers: from past outcomes only, shrunk towards the rates of broader groups."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from bridge_assets.data.features.peers import (
    PEER_FACTORS,
    PRIOR_FALLS,
    PeerRates,
    peer_fall_rates,
    peer_groups,
    peer_outcomes,
)

INSPECTION: dict[str, Any] = {
    "structure_key": "25-1", "is_culvert": False, "material_043a": "3", "condition": 6, "next_condition": 6,
    "survey_year": 2014, "next_survey_year": 2016, "inspection_date": dt.date(2014, 6, 1),
    "entered_at": dt.date(2012, 6, 1), "entry_seen": True,
}  # fmt: skip


def transitions(*changed: dict[str, Any], times: int = 1) -> pl.LazyFrame:
    rows = [{**INSPECTION, **each} for each in changed for _ in range(times)]
    types = {"survey_year": pl.Int16, "next_survey_year": pl.Int16, "condition": pl.Int8, "next_condition": pl.Int8}
    return pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None).lazy()


def rate(outcomes: pl.DataFrame, year: int, **changed: Any) -> float | None:
    one = transitions(changed).collect()
    groups = one.select(peer_groups(pl.col("structure_key").str.head(2), pl.col("material_043a")))
    return peer_fall_rates(outcomes, year).fall_rate(groups).item()


FELL = {"next_condition": 5}


def test_later_outcomes_change_nothing() -> None:
    """If the outcomes found after 2016 are reversed, the rates as of 2016 are exactly the same."""
    known = [transitions({}, times=30), transitions(FELL, times=10)]
    later = {"survey_year": 2015, "next_survey_year": 2017}
    one_way = peer_outcomes(pl.concat([*known, transitions({**later, **FELL}, times=50)]))
    other_way = peer_outcomes(pl.concat([*known, transitions(later, times=50)]))
    for changed in ({}, {"condition": 7}, {"structure_key": "12-1"}):
        assert rate(one_way, 2016, **changed) == rate(other_way, 2016, **changed)
        assert rate(one_way, 2016, **changed) != rate(one_way, 2017, **changed)
    assert rate(one_way, 2017) > rate(other_way, 2017)  # type: ignore[operator] # both are known


def test_an_inspection_counts_once_the_next_one_is_known() -> None:
    outcomes = peer_outcomes(transitions(FELL))
    assert rate(outcomes, 2015) is None
    assert rate(outcomes, 2016) is not None


def test_an_inspection_without_a_next_one_does_not_count() -> None:
    assert peer_outcomes(transitions({"next_condition": None, "next_survey_year": None})).is_empty()


def test_no_change_and_a_rise_are_not_falls_and_a_late_inspection_counts() -> None:
    late = {"next_survey_year": 2024, **FELL}
    outcomes = peer_outcomes(transitions({}, {"next_condition": 8}, late))
    assert outcomes["inspections"].sum() == 3
    assert outcomes["falls"].sum() == 1


def test_groups_with_more_falls_have_higher_rates_and_small_groups_are_shrunk() -> None:
    frequent = {"structure_key": "23-1"}
    outcomes = peer_outcomes(
        pl.concat(
            [
                transitions({}, times=900),
                transitions(FELL, times=100),
                transitions(frequent, times=100),
                transitions({**frequent, **FELL}, times=100),
                transitions({"structure_key": "12-1", **FELL}, times=2),
            ]
        )
    )
    large, often, small = (rate(outcomes, 2016, structure_key=key) for key in ("25-1", "23-1", "12-1"))
    assert large is not None and often is not None and small is not None
    assert large == pytest.approx(0.1, abs=0.02)
    assert often > 0.35
    assert small < 0.22  # two of two fell
    overall = 202 / 1202
    shrunk = (2 + PRIOR_FALLS) / (2 * overall + PRIOR_FALLS)
    assert small == pytest.approx(overall * shrunk, rel=0.1)  # the last factor compensates for the others


def test_an_unseen_group_has_the_overall_rate() -> None:
    outcomes = peer_outcomes(pl.concat([transitions({}, times=80), transitions(FELL, times=20)]))
    assert rate(outcomes, 2016, structure_key="72-1", condition=3, material_043a="9") == pytest.approx(0.2)


def test_code_padding_and_continuity_do_not_change_the_material() -> None:
    forms = pl.concat([transitions({"material_043a": form}) for form in ("3", "03", "4", "5", None)])
    outcomes = peer_outcomes(forms)
    assert dict(outcomes.group_by("material").agg(pl.col("inspections").sum()).iter_rows()) == {"3": 3, "5": 1, None: 1}


@pytest.mark.parametrize(("years", "seen", "group"), [(0, True, 0), (2, True, 1), (20, True, 4), (0, False, -1), (20, False, -5)])  # fmt: skip  # noqa: E501
def test_a_lower_bound_of_years_in_condition_has_separate_classes(years: int, seen: bool, group: int) -> None:
    since = {"entered_at": dt.date(2014 - years, 6, 1), "entry_seen": seen}
    assert peer_outcomes(transitions(since))["years"].item() == group


def test_every_rate_is_a_probability_and_null_without_outcomes() -> None:
    outcomes = peer_outcomes(transitions(FELL, times=200))
    assert rate(outcomes, 2016) == 1.0
    groups = outcomes.select(name for factor in PEER_FACTORS for name in factor)
    nothing = PeerRates(None, ()).fall_rate(pl.concat([groups, groups]))
    assert nothing.to_list() == [None, None]
