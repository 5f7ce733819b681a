"""Register model versions as `challenger`, promote them to `champion`, find and download them.

The registry is MLflow or DVC (`registry` in configs/model_config.yaml), depending on the settings passed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.errors import RegistryError
from bridge_assets.registry import base as registries
from bridge_assets.registry.base import CHALLENGER, CHAMPION, RegisteredVersion, Registry
from bridge_assets.registry.model_version import STAGE_FILES, ModelVersion, declared_digests
from bridge_assets.settings import DvcSettings

if TYPE_CHECKING:
    from bridge_assets.settings import MlflowSettings


def configured_registry(settings: MlflowSettings | DvcSettings, home: Path, name: str) -> Registry:
    """The registry of the platform.

    Parameters
    ----------
    settings : MlflowSettings or DvcSettings
        With DVC, the registry is the folder of model versions in `home`, each tracked by DVC.
    home : Path
        The platform's home; with SQLite, it holds MLflow's database and artifacts.
    name : str
        Name of the registered model.
    """
    if isinstance(settings, DvcSettings):
        from bridge_assets.registry.folder_registry import FolderRegistry

        return FolderRegistry(home / "models", name, settings)
    from bridge_assets.registry.mlflow_registry import MlflowRegistry

    return MlflowRegistry(settings, home, name)


def register_version(
    model_version: ModelVersion,
    settings: MlflowSettings | DvcSettings,
    home: Path,
    name: str,
    alias: str = CHALLENGER,
    tags: Mapping[str, str] | None = None,
) -> RegisteredVersion:
    """Register a complete model version, with every file in its folder, and point an alias at it.

    Registering the same version again updates its tags and the alias. If a file was rebuilt with other bytes, MLflow
    gets another entry for the version, and a folder rejects it.

    Parameters
    ----------
    model_version : ModelVersion
        With all its stages; each is compared with the manifest first.
    settings : MlflowSettings or DvcSettings
    home : Path
        The platform's home.
    name : str
        Name of the registered model.
    alias : str
    tags : mapping of str to str, optional
        `gate.<asset>.<check>` -> state.

    Returns
    -------
    RegisteredVersion

    Raises
    ------
    ModelVersionError
        If a stage is missing or its bytes changed. Nothing is registered then.
    RegistryError
        If the experiment stores its artifacts outside `home`, or a file did not arrive intact.
    DvcError
        If the version could not be pushed to DVC's remote.
    """
    for stage in STAGE_FILES:
        model_version.verify_stage(stage)
    registry = configured_registry(settings, home, name)
    registered = registry.register(model_version, tags)
    registry.set_alias(alias, registered)
    return registered


def prepare_promotion(
    version: str,
    files: Mapping[str, str],
    settings: MlflowSettings | DvcSettings,
    home: Path,
    name: str,
    alias: str = CHAMPION,
) -> Callable[[], RegisteredVersion]:
    """Find a version in the registry before it is served, and return the function that points the alias at it.

    Two steps, because an endpoint does everything that can be refused before it moves the traffic.

    Parameters
    ----------
    version : str
    files : mapping of str to str
        File -> SHA-256 of what is served; a file that is not registered with these bytes is not this version.
    settings, home, name
        As for `register_version`.
    alias : str

    Raises
    ------
    RegistryError
        If the registry cannot be read, or the version is not registered with these files.
    """
    registry = configured_registry(settings, home, name)
    for registered in reversed(registry.versions()):
        if registered.version == version and files.items() <= registered.files.items():
            return partial(_set_alias, registry, alias, registered)
    raise RegistryError(
        f"model version {version} is not registered as {name}, so it cannot become its {alias}",
        do="register this version first",
        stage="registered_model",
    )


def _set_alias(registry: Registry, alias: str, registered: RegisteredVersion) -> RegisteredVersion:
    registry.set_alias(alias, registered)
    return registered


def promote(
    model_version: ModelVersion, settings: MlflowSettings | DvcSettings, home: Path, name: str, alias: str = CHAMPION
) -> RegisteredVersion:
    """Point an alias at a registered version, instead of the version it pointed at before.

    Raises
    ------
    RegistryError
        If the version, with the digests in its manifest, is not registered.
    """
    return prepare_promotion(
        model_version.version, declared_digests(model_version.manifest), settings, home, name, alias
    )()


def find_by_alias(
    settings: MlflowSettings | DvcSettings, home: Path, name: str, alias: str
) -> RegisteredVersion | None:
    """The version that an alias points at; None if the alias does not exist."""
    return registries.find_alias(configured_registry(settings, home, name), alias)


def fetch_by_alias(
    settings: MlflowSettings | DvcSettings,
    home: Path,
    name: str,
    alias: str,
    folder: Path,
    exclude: Collection[str] = (),
) -> ModelVersion | None:
    """Download the version that an alias points at, and compare every file with its registered digest.

    Returns
    -------
    ModelVersion or None
        None if the alias does not exist.

    Raises
    ------
    RegistryError
        If a file in the registry is damaged.
    """
    registry = configured_registry(settings, home, name)
    registered = registries.find_alias(registry, alias)
    return registered and registries.download_version(registry, registered, folder, exclude)


__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "RegisteredVersion",
    "configured_registry",
    "fetch_by_alias",
    "find_by_alias",
    "promote",
    "register_version",
]
