from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from support.scoring.scored_bridges import BRIDGES, FEATURES, ChosenScores

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.data.lake import Lake
from bridge_assets.runtime.scoring_model import ScoringModel


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
    lake.write_provenance("bridge_features", 2020, {"digest": digest, "features_digest": "f"})
    return lake


@pytest.fixture
def scoring_model() -> ScoringModel:
    normalization = Normalization(FEATURES, (0.0, 0.0), (0.0, 0.0), (1.0, 1.0))
    return ScoringModel("v1", "f", (2010, 2018), normalization, ChosenScores(), "fall of deck")  # type: ignore[arg-type]
