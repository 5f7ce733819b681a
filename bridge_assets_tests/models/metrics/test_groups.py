"""Metrics by state, material, owner and condition, from the codes of the records; none for groups that are small."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from bridge_assets.data.lake import Lake
from bridge_assets.models.metrics.groups import group_keys, groups_markdown, metrics_by_group
from bridge_assets.settings import EvaluationSettings

SETTINGS = EvaluationSettings(least_inspections=100, least_falls=10)


def a_record(key: str, kind: str | None, owner: str | None, line: int = 2, month: int = 6, on: bool = True) -> dict:
    return {
        "survey_year": 2020,
        "structure_key": key,
        "on_structure": on,
        "inspection_date": date(2019, month, 1),
        "line_number": line,
        "STRUCTURE_KIND_043A": kind,
        "OWNER_022": owner,
    }


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake")
    records = [
        a_record("19-1", "3", "01"),
        a_record("19-2", " 5", "1"),
        a_record("19-3", None, None),
        a_record("19-4", "0", "27", line=3, month=1),
        a_record("19-4", "7", "27", line=9, month=8),  # the later inspection represents the structure
        a_record("19-1", "9", "99", on=False),  # a route under the bridge
    ]
    schema = {"survey_year": pl.Int16, "line_number": pl.UInt32}
    lake.write(pl.DataFrame(records, schema_overrides=schema), "raw_bridges", 2020)
    return lake


def test_the_keys_come_from_the_record_that_represents_the_structure(lake):
    keys = ["19-4", "19-1", "19-3", "19-2", "06-9"]
    holdout = pl.DataFrame({"structure_key": keys, "survey_year": [2020] * 5, "rating": [7.0, 6.0, 5.0, 4.0, None]})
    found = group_keys(holdout, lake)
    assert found.to_dict(as_series=False) == {
        "state": ["19", "19", "19", "19", "06"],
        "material": ["7", "3", "?", "5", "?"],
        "owner": ["27", "01", "?", "01", "?"],
        "condition": ["7", "6", "5", "4", "?"],
    }
    assert group_keys(holdout.clear(), lake).height == 0


@pytest.fixture(scope="module")
def figures():
    random = np.random.default_rng(0)
    states = np.repeat(["19", "25", "36", "06"], [400, 300, 50, 200])
    truth = np.where(states == "25", 0.3, np.where(states == "06", 0.01, 0.1)) * random.uniform(0.2, 1.8, 950)
    probability = np.where(states == "25", truth / 3, truth)
    falls = random.random(950) < truth
    return falls, probability, metrics_by_group(falls, probability, pl.DataFrame({"state": states}), SETTINGS)


def test_the_largest_group_comes_first_and_each_inspection_is_in_one(figures):
    falls, _, groups = figures
    assert [group.code for group in groups] == ["19", "25", "06", "36"]
    assert [group.meaning for group in groups] == ["Iowa", "Massachusetts", "California", "New York"]
    assert sum(group.inspections for group in groups) == len(falls)
    assert sum(group.falls for group in groups) == falls.sum()


def test_a_miscalibrated_group_is_marked(figures):
    iowa, massachusetts, california, new_york = figures[2]
    assert massachusetts.is_miscalibrated
    assert massachusetts.expected < massachusetts.observed_low
    assert not iowa.is_miscalibrated
    assert iowa.auc > 0.5
    assert california.skipped_reason == "fewer than 10 falls"
    assert (california.auc, california.brier is None) == (None, False)
    assert (new_york.auc, new_york.brier, new_york.is_miscalibrated) == (None, None, False)
    table = groups_markdown(figures[2])
    assert "| state | Massachusetts (25) | 300 |" in table
    assert "fewer than 100 inspections" in table
    assert table.count(" * |") == 1
