"""Nobody but the owner, or a group to which the folders were opened, reads the registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.model_versions import NAME

from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.registry.register import fetch_by_alias, register_version
from bridge_assets.registry.sync import RegistrySync
from bridge_assets.settings import MlflowSettings


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> dict[str, str]:
    """Path -> permissions, of all that somebody other than owner and group could read, write or enter."""
    return {
        str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.stat().st_mode & 0o007
    }


def test_mlflow_s_database_and_artifacts_are_for_the_owner_alone(model_versions: list[ModelVersion], tmp_path: Path):
    home = tmp_path / "var"
    home.mkdir(mode=0o755)
    register_version(model_versions[0], MlflowSettings(), home, NAME)
    assert readable_by_others(home) == {}
    files = {path: path.stat().st_mode & 0o777 for path in home.rglob("*") if path.is_file()}
    assert {path.name for path in files} >= {"mlflow.db", "model.onnx", "model.skops", "MLmodel", "requirements.txt"}
    assert set(files.values()) == {0o600}
    assert {path.stat().st_mode & 0o777 for path in home.rglob("*") if path.is_dir()} == {0o700}

    models = home / "models"
    models.mkdir(mode=0o700)
    fetched = fetch_by_alias(MlflowSettings(), home, NAME, "challenger", models)
    assert fetched is not None
    assert {path.stat().st_mode & 0o777 for path in models.rglob("*") if path.is_file()} == {0o600}


def test_what_an_older_release_left_readable_is_closed(model_versions: list[ModelVersion], tmp_path: Path):
    home = tmp_path / "var"
    register_version(model_versions[0], MlflowSettings(), home, NAME)
    for path in home.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    register_version(model_versions[0], MlflowSettings(), home, NAME)
    assert readable_by_others(home) == {}


def test_a_version_in_transfer_is_for_the_owner_alone(
    model_versions: list[ModelVersion], tmp_path: Path, database, monkeypatch: pytest.MonkeyPatch
):
    from bridge_assets.registry.mlflow_registry import MlflowRegistry
    from bridge_assets.registry.open_registry import open_registry

    here = database("here")
    open_registry(here, NAME).register(model_versions[0])
    found: list[str] = []

    def register(self: MlflowRegistry, model_version: ModelVersion, tags: object = None) -> None:
        found.extend(oct(path.stat().st_mode & 0o777) for path in model_version.folder.iterdir())
        raise KeyboardInterrupt  # the transfer is interrupted here: what is staged stays

    monkeypatch.setattr(MlflowRegistry, "register", register)
    staging = tmp_path / "open" / "staging"
    with pytest.raises(KeyboardInterrupt):
        RegistrySync(here, name=NAME, staging=staging).push(model_versions[0].version, database("there"))
    assert set(found) == {"0o600"}
    assert oct(staging.stat().st_mode & 0o777) == "0o700"
