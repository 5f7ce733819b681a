"""Scores of a year: one row a bridge, two orders, and what the probability is of."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from bridge_assets.data.lake import Lake
from bridge_assets.data.normalization import Normalization
from bridge_assets.models.scoring import ServedModel, score_year
from bridge_assets.models.task import Task
from bridge_assets.models.tasks import CLASSIFICATION, REGRESSION
from bridge_assets.nbi.errors import SourceError
from bridge_assets.settings import LookFirstSettings

FEATURES = ("condition", "chance")
#: structure, state, condition, probability
BRIDGES = [
    ("19-A", "19", 8, 0.40),
    ("19-B", "19", 6, 0.25),
    ("19-C", "19", 5, 0.15),
    ("19-D", "19", 4, 0.15),
    ("19-E", "19", 7, 0.40),
    ("25-A", "25", 7, 0.30),
    ("25-B", "25", 5, 0.30),
]


class _Predictor:
    """Gives back the second feature: the scores are what the test says."""

    features = FEATURES

    def __init__(self, task: Task = CLASSIFICATION) -> None:
        self.task = task

    def answers(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 1]


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake")
    table = pl.DataFrame(
        {
            "structure_key": [key for key, _, _, _ in BRIDGES],
            "survey_year": pl.Series([2020] * len(BRIDGES), dtype=pl.Int16),
            "inspection_date": [date(2019, 6, 1)] * len(BRIDGES),
            "STATE_CODE_001": [state for _, state, _, _ in BRIDGES],
            "condition": pl.Series([condition for _, _, condition, _ in BRIDGES], dtype=pl.Float32),
            "chance": pl.Series([chance for _, _, _, chance in BRIDGES], dtype=pl.Float32),
        }
    )
    digest = lake.write(table, "bridge_features", 2020)
    lake.write_note("bridge_features", 2020, {"digest": digest, "features_digest": "f"})
    return lake


@pytest.fixture
def model() -> ServedModel:
    normalization = Normalization(FEATURES, (0.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    return ServedModel("v1", "f", (2010, 2018), normalization, _Predictor(), "fall of deck")  # type: ignore[arg-type]


def order_of(scores: pl.DataFrame, rank: str, state: str) -> list[str]:
    return scores.filter(pl.col("structure_key").str.starts_with(state)).sort(rank)["structure_key"].to_list()


def test_ranks_go_by_probability_and_by_what_a_fall_would_mean(lake, model):
    scores = score_year(lake, 2020, model)
    assert order_of(scores, "rank_in_state", "19") == ["19-A", "19-E", "19-B", "19-C", "19-D"]
    assert order_of(scores, "rank_in_state", "25") == ["25-A", "25-B"]
    assert order_of(scores, "look_first_rank", "19") == ["19-C", "19-D", "19-B", "19-A", "19-E"]
    assert order_of(scores, "look_first_rank", "25") == ["25-B", "25-A"]
    assert scores["target"].unique().to_list() == ["fall of deck"]
    assert scores["structure_key"].is_sorted()
    assert lake.read_year("bridge_predictions", 2020).equals(scores)


def test_equal_weights_give_one_order(lake, model):
    scores = score_year(lake, 2020, model, LookFirstSettings(good=1, fair=1, to_poor=1))
    assert (scores["look_first_rank"] == scores["rank_in_state"]).all()


def test_a_regression_is_ranked_by_what_is_lost(lake, model):
    table = lake.read_year("bridge_features", 2020).with_columns(-pl.col("chance"))
    lake.write(table, "bridge_features", 2020)
    losing = replace(model, predictor=_Predictor(REGRESSION), target="change of deck")
    scores = score_year(lake, 2020, losing)
    assert scores["expected_change"].to_list() == pytest.approx(
        table.sort("structure_key")["chance"].to_list(), abs=1e-3
    )
    assert scores["fall_probability"].null_count() == scores.height
    assert order_of(scores, "rank_in_state", "19") == ["19-A", "19-E", "19-B", "19-C", "19-D"]
    assert order_of(scores, "look_first_rank", "19") == ["19-C", "19-D", "19-B", "19-A", "19-E"]
    assert scores["target"].unique().to_list() == ["change of deck"]


def test_features_of_other_definitions_are_refused(lake, model):
    lake.write_note("bridge_features", 2020, {**lake.note("bridge_features", 2020), "features_digest": "g"})
    with pytest.raises(SourceError, match="cannot score the features of 2020"):
        score_year(lake, 2020, model)
