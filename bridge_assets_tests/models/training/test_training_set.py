"""Problems that are reported when a training set is too small."""

from __future__ import annotations

import polars as pl
import pytest

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.models.training.training_set import TrainingSet, size_problems


def training_set(splits: list[str], falls: list[bool]) -> TrainingSet:
    table = pl.DataFrame({"split": splits, "fall": falls}, schema={"split": pl.String, "fall": pl.Boolean})
    return TrainingSet(table, "0" * 64, {"survey_years": [2019], "horizon_months": 48}, Normalization((), (), (), ()))


def test_both_outcomes_on_both_sides_are_enough() -> None:
    assert size_problems(training_set(["train", "train", "holdout", "holdout"], [True, False, True, False])) == []


def test_without_known_outcomes_the_years_and_the_horizon_are_reported() -> None:
    [problem] = size_problems(training_set([], []))
    assert "in survey year 2019, no structure was inspected twice within 48 months" in problem


@pytest.mark.parametrize(
    ("splits", "falls", "starts"),
    [
        (
            ["unused"],
            [True],
            ["0 of the 0 inspections in the train split", "0 of the 0 inspections in the holdout split"],
        ),
        (["train", "train", "holdout"], [True, False, False], ["0 of the 1 inspections in the holdout split fell"]),
        (["train", "holdout", "holdout"], [True, False, True], ["1 of the 1 inspections in the train split fell"]),
    ],
)
def test_a_split_with_only_one_outcome_is_reported(splits: list[str], falls: list[bool], starts: list[str]) -> None:
    problems = size_problems(training_set(splits, falls))
    assert len(problems) == len(starts)
    for problem, start in zip(problems, starts, strict=True):
        assert problem.startswith(start)
