"""Published scores against outcomes: what is expected of them, and when a survey year counts as worse."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from bridge_assets.drift.realised_quality import (
    AS_EXPECTED,
    IN_TRAINING,
    MUCH_WORSE,
    TOO_FEW,
    WORSE,
    expected_quality,
    problem_of,
    realised_quality,
    realised_quality_of_years,
    table_schema,
)
from bridge_assets.models.metrics.probability import recall_at_share, roc_auc
from bridge_assets.settings import RealisedQualitySettings

SETTINGS = RealisedQualitySettings()
INSPECTED, PUBLISHED = datetime.date(2018, 6, 1), datetime.datetime(2019, 7, 1, 6)


def probabilities(rows: int = 20_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(1.2, 8, rows)


def published(probability: np.ndarray, **columns: Any) -> pl.DataFrame:
    values = {
        "target": "fall",
        "model_version": "v1",
        "training_until": 2015,
        "published_at": PUBLISHED,
        "inspection_date": INSPECTED,
        **columns,
    }
    keys = pl.Series("structure_key", [f"19-{row}" for row in range(len(probability))])
    return pl.DataFrame({"prediction": probability.astype(np.float32)}).with_columns(
        keys, **{name: pl.lit(value) for name, value in values.items()}
    )


def outcomes(falls: np.ndarray, known: float = 1.0) -> pl.DataFrame:
    keys = pl.Series("structure_key", [f"19-{row}" for row in range(len(falls))])
    fall = pl.Series("fall", [bool(each) if row < known * len(falls) else None for row, each in enumerate(falls)])
    return pl.DataFrame([keys, fall]).with_columns(pl.lit(INSPECTED).alias("inspection_date"))


def drawn(probability: np.ndarray, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(len(probability)) < probability


def judged(probability: np.ndarray, falls: np.ndarray, known: float = 1.0, **columns: Any) -> dict[str, Any]:
    table = realised_quality(published(probability, **columns), outcomes(falls, known), 2018, SETTINGS)
    assert dict(table.schema) == table_schema()
    [row] = table.to_dicts()
    return row


def test_right_probabilities_are_as_good_as_they_expect_of_themselves() -> None:
    probability = probabilities()
    expected = expected_quality(probability)
    samples = [drawn(probability, seed) for seed in range(200)]
    areas = [roc_auc(falls, probability) or 0.0 for falls in samples]
    assert expected.auc == pytest.approx(np.mean(areas), abs=0.001)
    assert expected.falls == pytest.approx(np.mean([falls.sum() for falls in samples]), rel=0.01)
    assert expected.brier == pytest.approx(
        np.mean([((probability - falls) ** 2).mean() for falls in samples]), rel=0.01
    )
    assert expected.worst_10 == pytest.approx(
        np.mean([recall_at_share(falls, probability, 0.1) or 0.0 for falls in samples]), abs=0.002
    )
    # 99 % of the samples lie in the interval: 198 of 200, and 4 standard deviations of a binomial to either side.
    assert expected.auc_low is not None and expected.auc_high is not None
    for values, low, high in (
        (areas, expected.auc_low, expected.auc_high),
        ([falls.sum() for falls in samples], expected.falls_low, expected.falls_high),
    ):
        assert sum(low <= value <= high for value in values) >= 192


@pytest.mark.parametrize("probability", [np.zeros(5), np.ones(5), np.array([0.3]), np.full(50, 0.1)])
def test_constant_and_certain_probabilities_are_defined(probability) -> None:
    expected = expected_quality(probability)
    assert expected.falls == pytest.approx(probability.sum())
    assert expected.auc in (None, pytest.approx(0.5))
    assert expected.worst_10 is None or 0 <= expected.worst_10 <= 1


def test_a_quiet_year_is_as_expected() -> None:
    probability = probabilities()
    verdicts = [judged(probability, drawn(probability, seed))["verdict"] for seed in range(20)]
    assert verdicts == [AS_EXPECTED] * 20


def test_scores_that_rank_no_better_than_chance_are_much_worse() -> None:
    probability = probabilities()
    row = judged(probability, np.random.default_rng(3).permutation(drawn(probability)))
    assert row["verdict"] == MUCH_WORSE
    problem = problem_of(row, SETTINGS)
    assert problem.startswith(
        f"2018, model v1, 20,000 outcomes: AUC {row['auc']:.3f}, expected {row['expected_auc']:.3f}"
    )
    assert "falls" not in problem


@pytest.mark.parametrize(("factor", "verdict"), [(1.5, WORSE), (0.6, WORSE), (2.5, MUCH_WORSE), (0.3, MUCH_WORSE)])
def test_falls_that_are_more_or_fewer_than_expected(factor, verdict) -> None:
    probability = probabilities() / 3
    row = judged(probability, drawn(probability * factor))
    assert row["verdict"] == verdict
    assert f"{row['falls']:,} falls, expected {row['expected_falls']:,.0f}" in problem_of(row, SETTINGS)


def test_a_small_loss_is_not_reported_however_many_outcomes_there_are() -> None:
    probability = probabilities(200_000)
    row = judged(probability, drawn(probability * 1.1))
    assert row["falls"] > row["falls_high"]
    assert (row["verdict"], problem_of(row, SETTINGS)) == (AS_EXPECTED, "")


def test_no_fall_at_all_where_many_were_expected_is_no_lack_of_outcomes() -> None:
    probability = probabilities()
    row = judged(probability, np.zeros(len(probability), dtype=bool))
    assert (row["verdict"], row["falls"], row["auc"]) == (MUCH_WORSE, 0, None)
    assert problem_of(row, SETTINGS)


def test_training_years_and_years_with_few_outcomes_are_shown_and_not_judged() -> None:
    probability = probabilities()
    fallen = np.ones(len(probability), dtype=bool)
    assert judged(probability, fallen, training_until=2018)["verdict"] == IN_TRAINING
    assert judged(probability, fallen, known=0.4)["verdict"] == TOO_FEW
    unknown = judged(probability, fallen, known=0)
    assert (unknown["verdict"], unknown["outcomes"], unknown["auc"]) == (TOO_FEW, 0, None)
    assert unknown["expected_auc_of_scored"] == pytest.approx(expected_quality(probability).auc, abs=1e-6)
    few = probabilities(100)
    assert judged(few, np.zeros(100, dtype=bool))["verdict"] == TOO_FEW


def test_each_version_is_judged_by_its_own_scores_and_targets_by_their_own_outcomes() -> None:
    probability = probabilities(2_000)
    falls = drawn(probability)
    year = pl.concat(
        [
            published(probability),
            published(probability[::-1], model_version="v2", published_at=PUBLISHED + datetime.timedelta(days=1)),
            published(probability, model_version="v3", target="poor"),
            published(probability, model_version="v4", target="change"),
        ]
    )
    asked = []

    def outcomes_of(target: str) -> pl.DataFrame:
        asked.append(target)
        return outcomes(falls if target == "fall" else ~falls)

    table = realised_quality_of_years([(2018, year), (2019, year)], outcomes_of, SETTINGS)
    assert asked == ["fall", "poor"] * 2
    assert table["model_version"].to_list() == ["v1", "v2", "v3"] * 2
    assert table["survey_year"].to_list() == [2018] * 3 + [2019] * 3
    first, second, third = table["auc"][:3]
    assert first == pytest.approx(roc_auc(falls, probability), abs=1e-6)
    assert second == pytest.approx(0.5, abs=0.1)
    assert third == pytest.approx(1 - first)
    assert table["falls"].to_list()[2] == 2_000 - falls.sum()


def test_no_survey_years_give_an_empty_table() -> None:
    assert realised_quality_of_years([], lambda _: pl.DataFrame(), SETTINGS).is_empty()
