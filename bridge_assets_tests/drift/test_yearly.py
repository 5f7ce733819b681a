"""Drift of a survey year: the compared columns and the reference years."""

from __future__ import annotations

import numpy as np
import polars as pl

from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.drift.yearly import ReferencePeriod, compared_columns
from bridge_assets.settings import DriftSettings

COLUMN = "fall_probability"


def features_of(seed: int, shift: float = 0.0, rows: int = 200) -> pl.DataFrame:
    drawn = np.random.default_rng(seed).normal(shift, 1, size=(rows, len(FEATURE_NAMES))).astype(np.float32)
    keys = pl.Series("structure_key", [f"19-{row:03d}" for row in range(rows)])
    return pl.DataFrame(drawn, schema=list(FEATURE_NAMES)).with_columns(keys, pl.lit("19").alias("STATE_CODE_001"))


def test_the_features_and_the_prediction_of_each_bridge_are_compared() -> None:
    features = features_of(1, rows=3)
    scores = pl.DataFrame({"structure_key": ["19-002", "19-000"], COLUMN: [0.2, 0.1], "rank_in_state": [1, 2]})
    table = compared_columns(features, scores, COLUMN)
    assert table.columns == ["structure_key", *FEATURE_NAMES, COLUMN]
    assert table.sort("structure_key")[COLUMN].to_list() == [0.1, None, 0.2]


def test_a_year_without_scores_of_this_task_has_no_predictions() -> None:
    features = features_of(1, rows=3)
    for scores in (None, pl.DataFrame({"structure_key": ["19-000"], "expected_change": [-0.1]})):
        table = compared_columns(features, scores, COLUMN)
        assert (table[COLUMN].null_count(), table.schema[COLUMN]) == (3, pl.Float32)


def test_a_year_is_compared_with_all_reference_years_together() -> None:
    years = {year: compared_columns(features_of(year), None, COLUMN) for year in (2010, 2011)}
    reference = ReferencePeriod.from_years(years, DriftSettings(margin=1.5, least=0.05), COLUMN)
    assert reference.table.height == 400
    table = reference.compare(compared_columns(features_of(5, shift=3), None, COLUMN), 2020, "v1")
    assert table["feature"].to_list() == [*FEATURE_NAMES, COLUMN]
    assert (set(table["survey_year"]), set(table["model_version"])) == ({2020}, {"v1"})
    assert table.filter(pl.col("feature") != COLUMN)["drifted"].all()
    assert not table.filter(pl.col("feature") == COLUMN)["drifted"].item()
