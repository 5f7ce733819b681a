"""Push and pull complete, verified versions between two registries.

A version is downloaded into a staging folder, every file is compared with its registered digest, stored in the other
registry and read back there. Files that arrived before an interruption are not transferred again. A version that the
other registry has with other bytes is rejected. Aliases are not copied, except `champion` with `promote`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge_assets.data.sources.local_copies import redact_url
from bridge_assets.errors import RegistryError
from bridge_assets.file_lock import file_lock
from bridge_assets.registry.base import (
    CHAMPION,
    RegisteredVersion,
    Registry,
    download_version,
    find_alias,
    find_version,
    validate_version,
)
from bridge_assets.registry.open_registry import EmptyRegistry, RegistryNotFoundError, open_registry
from bridge_assets.settings import DataSettings, DvcSettings, ModelSettings
from bridge_assets.storage import digest, private_folder

Action = Literal["copy", "resume", "there", "conflict"]


class RegistryConflictError(RegistryError):
    """The other registry has this version with other bytes. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class SyncStep:
    """The planned or completed sync of one version.

    Attributes
    ----------
    version : str
    action : {"copy", "resume", "there", "conflict"}
        `resume`: continues an interrupted transfer. `there`: already in the target. `conflict`: rejected.
    source, target : str
        Addresses, without credentials.
    files : tuple of str
        Files to transfer; for a conflict, files that differ.
    aliases : tuple of str
        Aliases that point at the version in the source.
    """

    version: str
    action: Action
    source: str
    target: str
    files: tuple[str, ...]
    aliases: tuple[str, ...]

    def __str__(self) -> str:
        named = f" ({', '.join(self.aliases)})" if self.aliases else ""
        detail = f": {', '.join(self.files)}" if self.files else ""
        return f"{self.action} {self.version}{named}{detail}"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A completed transfer.

    Attributes
    ----------
    step : SyncStep
    registered : RegisteredVersion
        The version in the other registry.
    promoted : bool
        Whether it became the champion there.
    """

    step: SyncStep
    registered: RegisteredVersion
    promoted: bool


class RegistrySync:
    """Push versions from a registry to others, and pull from them.

    Parameters
    ----------
    registry : str or Registry
        An address: `sqlite:///file`, `http(s)://host:port`, a folder, or `dvc:folder` (see `open_registry`).
    name : str, optional
        Name of the registered model; default: `name` in configs/model_config.yaml.
    staging : Path, optional
        Folder for versions in transfer; default: `registry_sync` in the platform's home.
    dvc : DvcSettings, optional
        For `dvc:`; default: configs/dvc_config.yaml.

    Examples
    --------
    >>> sync = RegistrySync("sqlite:///var/mlflow.db")
    >>> sync.push("champion", "https://mlflow.example.org", promote=True)
    >>> sync.pull("3f2a9c1b7d4e", "dvc:models")
    """

    def __init__(
        self,
        registry: str | Registry,
        *,
        name: str | None = None,
        staging: Path | None = None,
        dvc: DvcSettings | None = None,
    ) -> None:
        self._name = name or (ModelSettings.load().name if isinstance(registry, str) else registry.name)
        self._dvc = dvc
        self._registry = registry
        self._staging = staging or DataSettings.load().home_folder / "registry_sync"

    def push(self, version: str, to: str | Registry, *, promote: bool = False) -> Transfer:
        """Copy a version from this registry to another.

        Parameters
        ----------
        version : str
            Its name, or an alias that points at it.
        to : str or Registry
        promote : bool
            Make it the champion there as well; it must be the champion here.

        Raises
        ------
        RegistryConflictError
            If the other registry has the version with other bytes.
        RegistryError
            If the version does not exist, a file is damaged on either side, or `promote` is set for a version that is
            not the champion. The other registry is then unchanged.
        DvcError, StorageError
            If DVC fails or the disk cannot be written.
        """
        return self._transfer(version, self._open(self._registry, must_exist=True), self._open(to), promote)

    def pull(self, version: str, source: str | Registry, *, promote: bool = False) -> Transfer:
        """Copy a version from another registry to this one; parameters and errors as for `push`."""
        return self._transfer(version, self._open(source, must_exist=True), self._open(self._registry), promote)

    def plan(
        self, other: str | Registry, *, version: str | None = None, direction: Literal["push", "pull"] = "push"
    ) -> list[SyncStep]:
        """The steps of a `push` to, or `pull` from, another registry. Transfers nothing and reads no file.

        Parameters
        ----------
        other : str or Registry
        version : str, optional
            A version or alias; default: every version of the source, oldest first.
        direction : {"push", "pull"}

        Raises
        ------
        RegistryError
            If the version or the registry does not exist.
        """
        source_address, target_address = (self._registry, other) if direction == "push" else (other, self._registry)
        source = self._open(source_address, must_exist=True)
        try:
            target = self._open(target_address, must_exist=True)
        except RegistryNotFoundError:  # a sync would create it
            target = EmptyRegistry(self._name, redact_url(str(target_address)))
        if version is not None:
            return [self._plan_step(find_version(source, version), source, target)]
        newest = {registered.version: registered for registered in source.versions()}
        return [self._plan_step(registered, source, target) for registered in newest.values()]

    def _transfer(self, version: str, source: Registry, target: Registry, promote: bool) -> Transfer:
        registered = find_version(source, version)
        if promote and find_alias(source, CHAMPION) != registered:
            raise RegistryError(
                f"model version {registered.version} is not the {CHAMPION} there",
                where=source.address,
                why=f"Only the {CHAMPION} of one registry can become the {CHAMPION} of the other ({target.address})",
                do="copy it without promoting it",
            )
        with self._locked_staging(registered) as staging:
            step = self._plan_step(registered, source, target)
            if step.action == "conflict":
                raise RegistryConflictError(
                    f"{target.address} has model version {registered.version} with other bytes than "
                    f"{source.address}: {', '.join(step.files)}",
                    why="A stage was rebuilt with other libraries, or a file was tampered with. Nothing was changed",
                    do="find out which copy is right, remove the other one, then try again",
                )
            stored = self._find_identical(registered, target)
            if stored is None:
                stored = target.register(download_version(source, registered, staging), registered.portable_tags)
            if promote:
                target.set_alias(CHAMPION, stored)
            shutil.rmtree(staging, ignore_errors=True)
        return Transfer(step, stored, promote)

    def _plan_step(self, registered: RegisteredVersion, source: Registry, target: Registry | EmptyRegistry) -> SyncStep:
        action, files = self._choose_action(registered, target)
        aliases = tuple(sorted(alias for alias, target_of in source.aliases().items() if target_of == registered))
        return SyncStep(registered.version, action, source.address, target.address, files, aliases)

    def _choose_action(
        self, registered: RegisteredVersion, target: Registry | EmptyRegistry
    ) -> tuple[Action, tuple[str, ...]]:
        if self._find_identical(registered, target):
            return "there", ()
        stored_files = [each.files for each in target.versions() if each.version == registered.version]
        if stored_files:
            names = {*registered.files, *stored_files[-1]}
            return "conflict", tuple(sorted(n for n in names if registered.files.get(n) != stored_files[-1].get(n)))
        folder = self._staging_folder(registered) / registered.version
        missing = tuple(
            name
            for name, expected in registered.files.items()
            if not (folder / name).is_file() or digest(folder / name) != expected
        )
        return ("resume" if folder.is_dir() else "copy"), missing

    @staticmethod
    def _find_identical(registered: RegisteredVersion, target: Registry | EmptyRegistry) -> RegisteredVersion | None:
        return next(
            (
                each
                for each in target.versions()
                if (each.version, each.files) == (registered.version, registered.files)
            ),
            None,
        )

    def _staging_folder(self, registered: RegisteredVersion) -> Path:
        validate_version(registered.version, registered.uri)
        return self._staging / registered.content_digest

    @contextmanager
    def _locked_staging(self, registered: RegisteredVersion) -> Iterator[Path]:
        """The staging folder of a version; a second sync of the same version waits for the first."""
        folder = self._staging_folder(registered)
        private_folder(self._staging)
        with file_lock(self._staging / f".{folder.name}.lock"):
            yield folder

    def _open(self, registry: str | Registry, *, must_exist: bool = False) -> Registry:
        if not isinstance(registry, str):
            return registry
        return open_registry(registry, self._name, dvc=self._dvc, must_exist=must_exist)
