"""Four small model versions, and an endpoint."""

from __future__ import annotations

import shutil

import pytest
from support.local_endpoint import make_model_version

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.registry.model_version import ModelVersion


@pytest.fixture(scope="session")
def shared_versions(tmp_path_factory) -> list[ModelVersion]:
    models = tmp_path_factory.mktemp("models")
    return [make_model_version(models, seed) for seed in range(4)]


@pytest.fixture
def model_versions(shared_versions, tmp_path) -> list[ModelVersion]:
    """Four versions of a test's own, to be damaged at will."""
    shutil.copytree(shared_versions[0].folder.parent, tmp_path / "models")
    return [ModelVersion(tmp_path / "models" / candidate.version) for candidate in shared_versions]


@pytest.fixture
def endpoint(tmp_path) -> LocalEndpoint:
    return LocalEndpoint(tmp_path / "endpoint")
