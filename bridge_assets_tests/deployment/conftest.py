"""Four small model versions, an endpoint, and the code of a newer release."""

from __future__ import annotations

import io
import shutil
import zipfile

import pytest
from support.deployment.local_endpoint import make_model_version

from bridge_assets.deployment.core import kept_bundles
from bridge_assets.deployment.core.code_archive import code_archive
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.registry.model_version import ModelVersion


@pytest.fixture(scope="session")
def shared_versions(tmp_path_factory) -> list[ModelVersion]:
    models = tmp_path_factory.mktemp("models")
    return [make_model_version(models, seed) for seed in range(4)]


@pytest.fixture
def model_versions(shared_versions, tmp_path) -> list[ModelVersion]:
    """Four versions for one test, which may damage them."""
    without_bundles = shutil.ignore_patterns(kept_bundles.FOLDER)  # kept by deployments of other tests
    shutil.copytree(shared_versions[0].folder.parent, tmp_path / "models", ignore=without_bundles)
    return [ModelVersion(tmp_path / "models" / candidate.version) for candidate in shared_versions]


@pytest.fixture
def endpoint(tmp_path) -> LocalEndpoint:
    return LocalEndpoint(tmp_path / "endpoint")


@pytest.fixture
def code_of_a_newer_release(monkeypatch) -> bytes:
    """Equivalent code in an archive with other bytes, as after an upgrade of bridge_assets."""
    newer = io.BytesIO(code_archive())
    with zipfile.ZipFile(newer, "a") as archive:
        archive.comment = b"newer"
    monkeypatch.setattr("bridge_assets.deployment.core.bundle.code_archive", newer.getvalue)
    return newer.getvalue()
