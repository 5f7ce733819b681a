"""Two versions with different skill, and inspections that neither was trained on."""

from __future__ import annotations

import polars as pl
import pytest
from support.champion import make_inspections
from support.model_versions import make_version

from bridge_assets.models.dataset.split import holdout_rows, split_at
from bridge_assets.registry.model_version import ModelVersion


@pytest.fixture(scope="session")
def holdout() -> pl.DataFrame:
    return holdout_rows(split_at(make_inspections(), 2018, 2020, 0.3)).drop("split")


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_version(tmp_path_factory.mktemp("models"), 1)


@pytest.fixture(scope="session")
def poor(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_version(tmp_path_factory.mktemp("models"), 1, skill=0.05)
