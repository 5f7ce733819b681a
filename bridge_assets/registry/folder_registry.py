"""The registry of one model in a folder; with DVC, the versions are also tracked and pushed to the remote.

    <folder>/registry.json     every version with the digest of each file, and the aliases
    <folder>/<version>/        the files of a version
    <folder>/<version>.dvc     DVC's pointer to them; commit it together with registry.json

A version exists once registry.json lists it. That file is written last and atomically.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import RegistryError, StorageError
from bridge_assets.file_lock import file_lock
from bridge_assets.registry.base import RESTORE_HINT, RegisteredVersion, file_digests, validate_files, validate_version
from bridge_assets.registry.model_version import STAGE_FILES, ModelVersion
from bridge_assets.storage import atomic_write, digest, write_json

if TYPE_CHECKING:
    from bridge_assets.settings import DvcSettings

REGISTRY_FILE = "registry.json"

#: The file that determines the predictions: a version in this folder may get a new model card, but not a new model.
_SERVED_FILE = STAGE_FILES["onnx_model"]


class FolderRegistry:
    """Versions of one model in a folder.

    Parameters
    ----------
    folder : Path
    name : str
        Name of the registered model.
    dvc : DvcSettings, optional
        Track each version with DVC and push it; a version missing from the folder is pulled. The folder must be inside
        the repository that these settings describe.
    """

    def __init__(self, folder: Path, name: str, dvc: DvcSettings | None = None) -> None:
        self.name = name
        self.folder = folder.absolute()
        self._dvc = dvc

    @property
    def address(self) -> str:
        return f"dvc:{self.folder}" if self._dvc else str(self.folder)

    def versions(self) -> list[RegisteredVersion]:
        """Every version that is listed, oldest first."""
        listed = self._read_registry()["versions"]
        return sorted(
            (self._to_registered_version(version, entry) for version, entry in listed.items()),
            key=lambda each: each.version_number,
        )

    def aliases(self) -> dict[str, RegisteredVersion]:
        """The version that each alias points at."""
        ledger = self._read_registry()
        return {
            alias: self._to_registered_version(version, ledger["versions"][version])
            for alias, version in ledger["aliases"].items()
            if version in ledger["versions"]
        }

    def register(self, model_version: ModelVersion, tags: Mapping[str, str] | None = None) -> RegisteredVersion:
        """See `base.Registry.register`. Rejects a version that exists with other bytes, listed or not.

        A version that was trained in this folder may be registered again if its model is unchanged, for example with a
        new model card.
        """
        files = file_digests(model_version.folder)
        version = validate_version(model_version.version, str(model_version.folder))
        with self._exclusive_lock():
            entry = self._read_registry()["versions"].get(version)
            if entry is None:
                self._copy_files(model_version, files)
                entry = {"files": files, "notes": {}, "number": self._next_number()} | self._track_with_dvc(version)
            elif (existing_files := validate_files(entry["files"], self.address)) != files:
                in_place = model_version.folder.absolute() == self.folder / version
                if not (in_place and files.get(_SERVED_FILE) == existing_files.get(_SERVED_FILE)):
                    raise self._content_mismatch_error(
                        version, files, existing_files, "It is already registered with other bytes"
                    )
                entry = {**entry, "files": files} | self._track_with_dvc(version)
            entry["notes"] = {**entry["notes"], **(tags or {})}
            self._update("versions", version, entry)
        return self._to_registered_version(version, entry)

    def set_alias(self, alias: str, registered: RegisteredVersion) -> None:
        """See `base.Registry.set_alias`."""
        with self._exclusive_lock():
            if self._read_registry()["aliases"].get(alias) != registered.version:
                self._update("aliases", alias, registered.version)

    def download_file(self, registered: RegisteredVersion, file: str, destination: Path) -> None:
        """See `base.Registry.download_file`. With DVC, a version missing from the folder is pulled first."""
        place = self.folder / registered.version
        if self._dvc and not (place / file).is_file():
            from bridge_assets.data.dvc.versions import restore

            restore(place)
        try:
            shutil.copyfile(place / file, destination)
        except FileNotFoundError:
            raise RegistryError(
                f"{file} of model version {registered.version} is missing", where=self.address, do=RESTORE_HINT
            ) from None

    def _copy_files(self, model_version: ModelVersion, files: Mapping[str, str]) -> None:
        place = self.folder / model_version.version
        if model_version.folder.absolute() == place:
            return
        existing_files = file_digests(place) if place.is_dir() else {}
        # An interrupted call leaves only complete files of this content, because each is renamed when it is complete.
        if not existing_files.items() <= files.items():
            raise self._content_mismatch_error(
                model_version.version, files, existing_files, "A folder of that name exists, but is not registered"
            )
        for leftover in place.glob(".*.tmp"):
            leftover.unlink()
        for name, expected in files.items():
            if name in existing_files:
                continue
            with atomic_write(place / name) as temp_path:
                shutil.copyfile(model_version.file(name), temp_path)
                if (found := digest(temp_path)) != expected:
                    raise RegistryError(
                        "the file was changed while it was copied",
                        where=place / name,
                        why=f"Its SHA-256 is {found[:12]} instead of {expected[:12]}. Nothing was registered",
                        do="check the disk, then try again",
                    )

    def _track_with_dvc(self, version: str) -> dict[str, Any]:
        if not self._dvc:
            return {}
        from bridge_assets.data.dvc.versions import version_model

        return {"dvc_md5": version_model(self.folder / version, self._dvc)}

    def _read_registry(self) -> dict[str, Any]:
        path = self.folder / REGISTRY_FILE
        try:
            ledger = json.loads(path.read_text(encoding="utf-8"))
            if not all(isinstance(ledger[key], dict) for key in ("versions", "aliases")):
                raise ValueError("expected versions and aliases")
            name = ledger["name"]
        except FileNotFoundError:
            return {"name": self.name, "versions": {}, "aliases": {}}
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(
                "it cannot be read as a registry",
                where=path,
                why=" ".join(str(error).split()),
                do="restore it from version control; the folders of the versions are unchanged",
            ) from error
        if name != self.name:
            raise RegistryError(
                f"it holds versions of {name}, not of {self.name}",
                where=path,
                do="use a separate folder for each model",
            )
        return ledger

    def _update(self, section: str, key: str, value: Any) -> None:
        ledger = self._read_registry()
        ledger[section] = {**ledger[section], key: value}
        write_json(ledger, self.folder / REGISTRY_FILE)

    def _next_number(self) -> int:
        return 1 + max((each.version_number for each in self.versions()), default=0)

    def _to_registered_version(self, version: str, entry: Any) -> RegisteredVersion:
        where = f"{self.address}/{REGISTRY_FILE}"
        try:
            number, tags = int(entry["number"]), {str(key): str(value) for key, value in entry["notes"].items()}
            files, md5 = entry["files"], entry.get("dvc_md5")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RegistryError(
                f"the entry of version {version!r} cannot be read",
                where=where,
                why=str(error),
                do="restore the file from version control",
            ) from error
        place = self.folder / validate_version(version, where)
        tags |= {"dvc_md5": str(md5)} if md5 else {}
        return RegisteredVersion(self.name, number, "", str(place), version, validate_files(files, where), tags)

    def _content_mismatch_error(
        self, version: str, local_files: Mapping[str, str], existing_files: Mapping[str, str], why: str
    ) -> RegistryError:
        differing = sorted(
            name for name in {*local_files, *existing_files} if local_files.get(name) != existing_files.get(name)
        )
        return RegistryError(
            f"model version {version} was not stored",
            where=self.address,
            why=f"{why}: {', '.join(differing)}",
            do=f"if the existing version is no longer needed, remove its folder and its entry in {REGISTRY_FILE}",
        )

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        try:
            with file_lock(self.folder / f".{REGISTRY_FILE}.lock"):
                yield
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                "the registry cannot be written",
                where=self.folder,
                why=str(error),
                do="make the folder writable, then try again",
            ) from error
