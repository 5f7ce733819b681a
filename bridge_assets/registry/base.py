"""The interface of a registry: versions with the digest of every file, and aliases that point at them.

Belongs here: the common parts of MLflow (`mlflow_registry`) and folders (`folder_registry`), and downloading a version
with every digest checked. The content of a registry is not trusted: names are checked before they become paths, and
files before they are used.
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

#: Tags that are copied with a version to another registry: results of the gate's checks, and the reason of an override.
PORTABLE_TAG_PREFIXES = ("gate.", "override_reason")

#: What to do about a version whose files in the registry are damaged or missing.
RESTORE_HINT = "restore the version there, or register it again from the machine that trained it"

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version in a registry.

    Attributes
    ----------
    name : str
        Name of the registered model.
    version_number : int
        Number that the registry assigned, from 1.
    run_id : str
        The MLflow run that logged it; empty in a folder.
    uri : str
        `models:/<name>/<version_number>`, or the folder of the version.
    version : str
        The model version: 12 hex digits, a digest of its recipe and data.
    files : mapping of str to str
        File name -> SHA-256, for every file of the version.
    tags : mapping of str to str
        `gate.<asset>.<check>` -> state, `override_reason`.
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
        """12 hex digits over all files: distinguishes two copies of one version with different bytes."""
        return content_digest(self.files)

    @property
    def portable_tags(self) -> dict[str, str]:
        return {key: value for key, value in self.tags.items() if key.startswith(PORTABLE_TAG_PREFIXES)}


class Registry(Protocol):
    """A place that stores versions of one model."""

    @property
    def name(self) -> str:
        """Name of the registered model."""
        ...

    @property
    def address(self) -> str:
        """The address without credentials, for messages."""
        ...

    def versions(self) -> list[RegisteredVersion]:
        """Every version that is complete, oldest first."""
        ...

    def aliases(self) -> dict[str, RegisteredVersion]:
        """The version that each alias points at."""
        ...

    def register(self, model_version: ModelVersion, tags: Mapping[str, str] | None = None) -> RegisteredVersion:
        """Store a version. If an identical one is already registered, only its tags are updated.

        The version becomes visible once every file has been read back and its digest matches. Resumes an interrupted
        call. Raises RegistryError if a file did not arrive intact.
        """
        ...

    def set_alias(self, alias: str, registered: RegisteredVersion) -> None:
        """Point an alias at a version, instead of the version it pointed at before."""
        ...

    def download_file(self, registered: RegisteredVersion, file: str, destination: Path) -> None:
        """Copy one file to a path without checking it: the caller compares its digest."""
        ...


def file_digests(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of every file of a version, except names that start with a dot, which are incomplete."""
    return {
        path.name: digest(path) for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")
    }


def content_digest(files: Mapping[str, str]) -> str:
    """12 hex digits over the digests of a version's files."""
    return json_digest(dict(files))[:12]


def validate_files(values: object, where: str) -> dict[str, str]:
    """Check the file names and digests that a registry returned.

    Raises
    ------
    RegistryError
        If a name could lead out of its folder, or a digest is not a SHA-256.
    """
    if not isinstance(values, dict) or not all(
        isinstance(name, str) and _SAFE_NAME.fullmatch(name) and isinstance(value, str) and _SHA256.fullmatch(value)
        for name, value in values.items()
    ):
        raise RegistryError("the list of files was not written by bridge_assets", where=where)
    return dict(values)


def validate_version(version: str, where: str) -> str:
    """Check the version name that a registry returned. Raises RegistryError if it could lead out of its folder."""
    if not _SAFE_NAME.fullmatch(version):
        raise RegistryError(f"{version!r} is not a valid name of a model version", where=where)
    return version


def find_version(registry: Registry, version: str) -> RegisteredVersion:
    """Find a version by its name or by an alias; the newest one if it is registered more than once.

    Raises
    ------
    RegistryError
        If it does not exist; the message lists the known versions and aliases.
    """
    if found := find_alias(registry, version):
        return found
    versions = registry.versions()
    for registered in reversed(versions):
        if registered.version == version:
            return registered
    known = ", ".join(dict.fromkeys([*registry.aliases(), *(each.version for each in versions)])) or "none"
    raise RegistryError(
        f"there is no version or alias {version!r} of {registry.name}",
        where=registry.address,
        why=f"Known: {known}",
        do="use one of these",
    )


def find_alias(registry: Registry, alias: str) -> RegisteredVersion | None:
    """The version that an alias points at; None if the alias does not exist."""
    return registry.aliases().get(alias)


def download_version(
    registry: Registry, registered: RegisteredVersion, folder: Path, exclude: Collection[str] = ()
) -> ModelVersion:
    """Download a version's files into `<folder>/<version>` and check each digest.

    Intact files from an interrupted download are kept and not downloaded again.

    Parameters
    ----------
    registry : Registry
    registered : RegisteredVersion
        As the registry returned it.
    folder : Path
    exclude : collection of str
        Names of files that are not needed.

    Returns
    -------
    ModelVersion
        Its manifest has this version, and every downloaded stage has the digest in the manifest.

    Raises
    ------
    RegistryError
        If a file's digest is not the registered one, or the manifest belongs to another version. The folder is then
        incomplete.
    StorageError
        If the folder cannot be written.
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
                    f"{name} of model version {registered.version} is damaged",
                    where=registry.address,
                    why=f"Its SHA-256 is {found[:12]}, but {expected[:12]} was registered. The file was discarded",
                    do=RESTORE_HINT,
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
                f"it is registered as model version {registered.version}, but its manifest is for "
                f"{manifest['version']}",
                where=registered.uri,
                do=RESTORE_HINT,
            )
        for stage, file in STAGE_FILES.items():
            if file not in exclude:
                model_version.verify_stage(stage)
    except (ModelVersionError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise RegistryError(
            "the files do not belong to one model version", where=registered.uri, why=str(error), do=RESTORE_HINT
        ) from error
