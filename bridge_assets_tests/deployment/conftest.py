"""Four small model versions, and an endpoint."""

from __future__ import annotations

import shutil

import pytest
from support.local_endpoint import make_candidate

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.registry.model_version import Candidate


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> list[Candidate]:
    models = tmp_path_factory.mktemp("models")
    return [make_candidate(models, seed) for seed in range(4)]


@pytest.fixture
def candidates(made, tmp_path) -> list[Candidate]:
    """Four versions of a test's own, to be damaged at will."""
    shutil.copytree(made[0].folder.parent, tmp_path / "models")
    return [Candidate(tmp_path / "models" / candidate.version) for candidate in made]


@pytest.fixture
def endpoint(tmp_path) -> LocalEndpoint:
    return LocalEndpoint(tmp_path / "endpoint")
