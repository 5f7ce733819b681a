"""A small training table with a known true fall probability, and forests on features that are exact in float16."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from bridge_assets.models.dataset.split import split_inspections
from bridge_assets.models.forest.quantize import to_float16_grid
from bridge_assets.settings import ForestSettings, SplitSettings

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")


def make_training(structures: int = 500, seed: int = 0) -> pl.DataFrame:
    """Inspections every two years from 2008 to 2021; older ratings and busier bridges fall more often."""
    random = np.random.default_rng(seed)
    rows = structures * 7
    year = np.tile(np.arange(2008, 2022, 2), structures) + np.repeat(random.integers(0, 2, structures), 7)
    rating = random.integers(4, 10, rows)
    years_in_rating = random.integers(0, 15, rows).astype(np.float32)
    traffic = np.repeat(random.normal(size=structures), 7)
    truth = 1 / (1 + np.exp(-(-3.6 + 0.35 * (rating - 6) + 0.12 * years_in_rating + 0.9 * traffic)))
    scaled = to_float16_grid(
        np.column_stack(
            [
                (rating - 6) / 1.7,
                (years_in_rating - 7) / 4.3,
                random.normal(size=rows),
                traffic,
                np.repeat(random.random(structures) < 0.2, 7),
            ]
        ),
        FEATURES,
    )
    table = pl.DataFrame(
        {
            "structure_key": np.repeat([f"01-{number:06d}" for number in range(structures)], 7),
            "survey_year": year.astype(np.int16),
            "inspection_date": [date(int(each) - 1, 6, 1) for each in year],
            "next_survey_year": (year + 2).astype(np.int16),
            "fall": random.random(rows) < truth,
            "rating": rating.astype(np.float32),
            "years_in_rating": years_in_rating,
            "truth": truth,
        }
    ).with_columns(pl.Series(name, scaled[:, index]) for index, name in enumerate(FEATURES))
    return split_inspections(table, SplitSettings(holdout_structures=0.3, holdout_years=4))


@pytest.fixture(scope="session")
def training() -> pl.DataFrame:
    return make_training()


@pytest.fixture(scope="session")
def changing() -> pl.DataFrame:
    """Inspections for a regression: falls of one or two points, and repairs of culverts, more often at low ratings."""
    training, random = make_training(structures=1500), np.random.default_rng(11)
    falls, rating = training["fall"].to_numpy(), training["rating"].to_numpy()
    repaired = ~falls & (random.random(len(falls)) < 0.1 * (9 - rating) * (training["culvert"].to_numpy() > 0.5))
    rise = np.minimum(random.integers(1, 4, len(falls)), 9 - rating)
    change = np.where(falls, -random.integers(1, 3, len(falls)), np.where(repaired, rise, 0))
    return training.with_columns(change=pl.Series(change, dtype=pl.Float32))


@pytest.fixture(scope="session")
def forest_settings() -> ForestSettings:
    return ForestSettings(trees=30, depth=8, leaf=10, seed=7)


@pytest.fixture(scope="session")
def model(training: pl.DataFrame, forest_settings: ForestSettings):
    from bridge_assets.models.training.train_forest import train_forest

    return train_forest(training, FEATURES, forest_settings)


@pytest.fixture(scope="session")
def grid_rows() -> np.ndarray:
    """Rows with the kinds of real features: continuous, few values, or 0 and 1."""
    random = np.random.default_rng(1)
    columns = [random.normal(size=(1500, 4)), random.integers(-3, 7, (1500, 4)) / 2.3, random.random((1500, 2)) < 0.3]
    return to_float16_grid(np.column_stack(columns))


@pytest.fixture(scope="session")
def classifier(grid_rows: np.ndarray):
    """A classifier of three named classes."""
    from sklearn.ensemble import RandomForestClassifier

    score = grid_rows[:, 0] + grid_rows[:, 4] + np.random.default_rng(2).normal(size=len(grid_rows))
    labels = np.array(["fair", "good", "poor"])[np.digitize(score, [-0.5, 1.5])]
    return RandomForestClassifier(25, min_samples_leaf=2, random_state=0).fit(grid_rows, labels)


@pytest.fixture(scope="session")
def regressor(grid_rows: np.ndarray):
    from sklearn.ensemble import RandomForestRegressor

    years = 20 + 5 * grid_rows[:, 1] - 3 * grid_rows[:, 5] + np.random.default_rng(3).normal(size=len(grid_rows))
    return RandomForestRegressor(25, min_samples_leaf=3, random_state=0).fit(grid_rows, years)
