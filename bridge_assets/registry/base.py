"""What a registry is to the platform: versions, each with the digest of every file, and aliases that point at them.

Belongs here: the words that MLflow (`mlflow_registry`) and folders (`folder_registry`) share, and fetching a version
with its bytes compared. What comes out of a registry was written by somebody else: names are checked before they
become paths, files before they are used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bridge_assets.errors import ModelVersionError, RegistryError
from bridge_assets.registry.model_version import STAGE_FILES, ModelVersion
from bridge_assets.storage import atomic_write, digest, json_digest

CHALLENGER, CHAMPION = "challenger", "champion"

#: Notes that belong to a version wherever it lies: what the gate found, and why it was overridden.
PORTABLE_TAG_PREFIXES = ("gate.", "override_reason")

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version in a registry.

    Attributes
    ----------
    name : str
        Of the registered model.
    version_number : int
        The registry's own count, from 1.
    run_id : str
        The MLflow run that logged it; empty in a folder.
    uri : str
        `models:/<name>/<version_number>`, or the folder of the version.
    version : str
        The model version: 12 hex digits of what it was made from.
    files : mapping of str to str
        Name -> SHA-256, of every file of the version.
    tags : mapping of str to str
        What was said of it: `gate.<asset>.<check>` -> state, `override_reason`.
    """

    name: str
    version_number: int
    run_id: str
    uri: str
    version: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_digest(self) -> str:
        """12 hex digits of the files: tells two forms of one version apart."""
        return content_digest(self.files)

    @property
    def portable_tags(self) -> dict[str, str]:
        return {key: value for key, value in self.tags.items() if key.startswith(PORTABLE_TAG_PREFIXES)}


class Registry(Protocol):
    """Somewhere versions of one model are kept."""

    @property
    def name(self) -> str:
        """Of the registered model."""
        ...

    @property
    def address(self) -> str:
        """As it may be shown: without credentials."""
        ...

    def versions(self) -> list[RegisteredVersion]:
        """Every version that is complete, oldest first."""
        ...

    def aliases(self) -> dict[str, RegisteredVersion]:
        """What each alias points at."""
        ...

    def register(self, model_version: ModelVersion, tags: Mapping[str, str] | None = None) -> RegisteredVersion:
        """Keep a version; one that is there already is found, and its notes are renewed.

        It can be seen when every file has been read back and is what it should be. What a killed call left is gone on
        with. Raises RegistryError if a file did not arrive.
        """
        ...

    def set_alias(self, alias: str, registered: RegisteredVersion) -> None:
        """Let an alias point at a version; it leaves the one it pointed at before."""
        ...

    def download_file(self, registered: RegisteredVersion, file: str, destination: Path) -> None:
        """Write one file's bytes, as they lie there, to a path; the caller compares them."""
        ...


def file_digests(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every file of a version; a dot begins what is still being written."""
    return {
        path.name: digest(path) for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")
    }


def content_digest(files: Mapping[str, str]) -> str:
    """12 hex digits of a version's digests."""
    return json_digest(dict(files))[:12]


def validate_files(values: object, where: str) -> dict[str, str]:
    """Names and digests as a registry gives them.

    Raises
    ------
    RegistryError
        If a name could lead out of a folder, or a digest is none.
    """
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and _SAFE_NAME.fullmatch(name) and isinstance(value, str) and _SHA256.fullmatch(value)
        for name, value in values.items()
    ):
        raise RegistryError(f"{where}: the list of its files is not one that this project wrote")
    return dict(values)


def validate_version(version: str, where: str) -> str:
    """A version's name as a registry gives it. Raises RegistryError if it could lead out of a folder."""
    if not _SAFE_NAME.fullmatch(version):
        raise RegistryError(f"{where}: {version!r} is no name of a model version")
    return version


def find_version(registry: Registry, version: str) -> RegisteredVersion:
    """A version by its name, or by an alias that points at it; of several forms of one version the newest.

    Raises
    ------
    RegistryError
        If there is none; lists those there are.
    """
    if found := find_alias(registry, version):
        return found
    versions = registry.versions()
    for registered in reversed(versions):
        if registered.version == version:
            return registered
    known = ", ".join(dict.fromkeys([*registry.aliases(), *(each.version for each in versions)])) or "none"
    raise RegistryError(
        f"{registry.address} has no version or alias {version!r} of {registry.name}. There are: {known}"
    )


def find_alias(registry: Registry, alias: str) -> RegisteredVersion | None:
    """The version an alias points at, or None where it points at none."""
    return registry.aliases().get(alias)


def download_version(
    registry: Registry, registered: RegisteredVersion, folder: Path, exclude: Collection[str] = ()
) -> ModelVersion:
    """Bring a version's files into `<folder>/<version>`, each compared with its digest.

    Files that are there and right are left alone, so that an interrupted fetch is gone on with.

    Parameters
    ----------
    registry : Registry
    registered : RegisteredVersion
        As the registry gave it.
    folder : Path
    exclude : collection of str
        Files that are not needed.

    Returns
    -------
    ModelVersion
        Its manifest names the version, and every stage whose file was fetched has the manifest's digest.

    Raises
    ------
    RegistryError
        If a file's bytes are not those that were registered, or the manifest is not of this version. What is in the
        folder is then incomplete.
    StorageError
        If it cannot be written.
    """
    model_version = ModelVersion(folder / validate_version(registered.version, registered.uri))
    for name, expected in registered.files.items():
        path = model_version.file(name)
        if name in exclude or (path.is_file() and digest(path) == expected):
            continue
        with atomic_write(path) as temp_path:
            registry.download_file(registered, name, temp_path)
            if (found := digest(temp_path)) != expected:
                raise RegistryError(
                    f"{registry.address}: {name} of model version {registered.version} is damaged: its SHA-256 is "
                    f"{found[:12]}, registered was {expected[:12]}. Nothing was taken over. What to do: restore the "
                    f"file there, or register the version again from where it was made"
                )
    _compare_with_manifest(model_version, registered, exclude)
    return model_version


def _compare_with_manifest(
    model_version: ModelVersion, registered: RegisteredVersion, exclude: Collection[str]
) -> None:
    try:
        manifest = model_version.manifest
        if manifest["version"] != registered.version:
            raise RegistryError(
                f"{registered.uri} is registered as model version {registered.version}, but its manifest is of "
                f"{manifest['version']}. Nothing was taken over"
            )
        for stage, file in STAGE_FILES.items():
            if file not in exclude:
                model_version.verify_stage(stage)
    except (ModelVersionError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise RegistryError(
            f"{registered.uri}: the files do not belong to one model version: {error}. Nothing was taken over"
        ) from error
