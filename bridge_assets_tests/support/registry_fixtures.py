"""Fixtures of registry tests: model versions to copy, an empty MLflow database, a project without configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.model_versions import NAME, make_version

from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.registry.open_registry import open_registry
from bridge_assets.settings import CONFIG_FOLDER_VARIABLE


@pytest.fixture(scope="session")
def model_versions(tmp_path_factory: pytest.TempPathFactory) -> list[ModelVersion]:
    models = tmp_path_factory.mktemp("made") / "models"
    return [make_version(models, seed) for seed in range(3)]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: creating one takes seconds, copying it takes no time."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    open_registry(f"sqlite:///{path}", NAME).versions()
    return path


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without configuration files, with its own home."""
    folder = tmp_path / "project"
    (folder / "configs").mkdir(parents=True)
    monkeypatch.setenv(CONFIG_FOLDER_VARIABLE, str(folder / "configs"))
    return folder
