"""What a training set says of itself when it is too small."""

from __future__ import annotations

import polars as pl
import pytest

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.models.training.training_set import TrainingSet, size_problems


def made(splits: list[str], falls: list[bool]) -> TrainingSet:
    table = pl.DataFrame({"split": splits, "fall": falls}, schema={"split": pl.String, "fall": pl.Boolean})
    return TrainingSet(table, "0" * 64, {"survey_years": [2019], "horizon_months": 48}, Normalization((), (), (), ()))


def test_both_outcomes_on_both_sides_are_enough() -> None:
    assert size_problems(made(["train", "train", "holdout", "holdout"], [True, False, True, False])) == []


def test_no_known_outcome_names_the_years_and_the_horizon() -> None:
    [problem] = size_problems(made([], []))
    assert "in survey years [2019], no structure was inspected twice within 48 months" in problem


@pytest.mark.parametrize(
    ("splits", "falls", "says"),
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
def test_a_side_with_one_outcome_is_named(splits: list[str], falls: list[bool], says: list[str]) -> None:
    problems = size_problems(made(splits, falls))
    assert len(problems) == len(says)
    for problem, start in zip(problems, says, strict=True):
        assert problem.startswith(start)
