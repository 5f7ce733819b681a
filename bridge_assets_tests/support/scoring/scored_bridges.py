"""Bridges with a condition and a probability that the tests choose, scored as the asset does."""

from __future__ import annotations

import numpy as np
import polars as pl

from bridge_assets.data.lake import Lake
from bridge_assets.models.tasks.base import Task
from bridge_assets.models.tasks.tasks import CLASSIFICATION
from bridge_assets.runtime.scoring_model import ScoringModel
from bridge_assets.scoring.batch import score_survey_year
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


class ChosenScores:
    """Returns the second feature, so that the tests determine the scores."""

    features = FEATURES

    def __init__(self, task: Task = CLASSIFICATION) -> None:
        self.task_name = task.name

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 1]


def score(
    lake: Lake, survey_year: int, model: ScoringModel, look_first: LookFirstSettings | None = None
) -> pl.DataFrame:
    """Read, score and write a survey year, as the asset does."""
    explained_years = (look_first or LookFirstSettings()).explained_years
    scores, provenance = score_survey_year(
        lake.load_year("bridge_features", survey_year),
        model,
        look_first,
        years=lake.find_year("years_until_poor", survey_year),
        is_explained=survey_year in lake.available_years("bridge_features")[-explained_years:],
    )
    lake.write_year(scores, "bridge_predictions", survey_year, provenance)
    return scores


def order_of(scores: pl.DataFrame, rank: str, state: str) -> list[str]:
    return scores.filter(pl.col("structure_key").str.starts_with(state)).sort(rank)["structure_key"].to_list()


def with_years(lake: Lake) -> pl.DataFrame:
    """Write years_until_poor of the bridges, with its provenance."""
    features = lake.read_year("bridge_features", 2020)
    is_poor = pl.col("condition") <= 4
    years = features.select(
        "structure_key",
        "survey_year",
        "inspection_date",
        pl.col("condition").cast(pl.Int8),
        *(
            pl.when(is_poor).then(0.0).otherwise(value).cast(pl.Float32).alias(f"{name}_years")
            for name, value in (("expected", 9.0), ("low", 3.0), ("median", 8.0), ("high", None))
        ),
        *(
            pl.when(is_poor).then(1.0).otherwise(value).cast(pl.Float32).alias(f"poor_within_{name}")
            for name, value in (("2_years", 0.1), ("4_years", 0.2), ("8_years", 0.5), ("horizon", 0.9))
        ),
        horizon_years=pl.lit(60, dtype=pl.Int16),
    )
    write_years(lake, years)
    return years


def write_years(lake: Lake, years: pl.DataFrame) -> None:
    digest = lake.write(years, "years_until_poor", 2020)
    features = lake.digest("bridge_features", 2020)
    provenance = {"digest": digest, "bridge_features": features, "model_version": "d1", "interval": 0.8}
    lake.write_provenance("years_until_poor", 2020, provenance)
