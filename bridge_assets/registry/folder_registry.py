"""The registry in a folder, of one model; with DVC the versions are tracked and lie in its remote, too.

    <folder>/registry.json     every version with the digest of each file, and the aliases
    <folder>/<version>/        its files as they stand
    <folder>/<version>.dvc     DVC's pointer to it; it and registry.json are yours to commit

A version is there when registry.json lists it; that is written last, in one step.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import RegistryError, StorageError
from bridge_assets.registry.base import Registered, checked_files, checked_version, file_digests
from bridge_assets.registry.model_version import STAGE_FILES, Candidate
from bridge_assets.storage import digest, replacing, write_json

if TYPE_CHECKING:
    from bridge_assets.settings import DvcSettings

LEDGER = "registry.json"

#: What gives the answers: a version in this very folder may get another card, but not another model.
_ANSWERS = STAGE_FILES["onnx_model"]


class FolderRegistry:
    """Versions of one model in a folder.

    Parameters
    ----------
    folder : Path
    name : str
        Of the registered model.
    dvc : DvcSettings, optional
        Track each version with DVC and push it; one that is not in the folder is pulled. The folder must lie in the
        repository that they describe.
    """

    def __init__(self, folder: Path, name: str, dvc: DvcSettings | None = None) -> None:
        self.name = name
        self.folder = folder.absolute()
        self._dvc = dvc

    @property
    def address(self) -> str:
        return f"dvc:{self.folder}" if self._dvc else str(self.folder)

    def versions(self) -> list[Registered]:
        """Every version that is listed, oldest first."""
        listed = self._read()["versions"]
        return sorted(
            (self._registered(version, entry) for version, entry in listed.items()),
            key=lambda each: each.version_number,
        )

    def aliases(self) -> dict[str, Registered]:
        """What each alias points at."""
        ledger = self._read()
        return {
            alias: self._registered(version, ledger["versions"][version])
            for alias, version in ledger["aliases"].items()
            if version in ledger["versions"]
        }

    def store(self, candidate: Candidate, notes: Mapping[str, str] | None = None) -> Registered:
        """See `registered.Registry.store`; another form of a version that is listed or lies there is refused.

        A version that was made in this folder is listed anew where only what is beside its model changed.
        """
        files = file_digests(candidate.folder)
        version = checked_version(candidate.version, str(candidate.folder))
        with self._alone():
            entry = self._read()["versions"].get(version)
            if entry is None:
                self._copy(candidate, files)
                entry = {"files": files, "notes": {}, "number": self._next_number()} | self._track(version)
            elif (there := checked_files(entry["files"], self.address)) != files:
                in_place = candidate.folder.absolute() == self.folder / version
                if not (in_place and files.get(_ANSWERS) == there.get(_ANSWERS)):
                    raise self._other_bytes(version, files, there, "It is registered with other bytes")
                entry = {**entry, "files": files} | self._track(version)
            entry["notes"] = {**entry["notes"], **(notes or {})}
            self._change("versions", version, entry)
        return self._registered(version, entry)

    def point(self, alias: str, registered: Registered) -> None:
        """See `registered.Registry.point`."""
        with self._alone():
            if self._read()["aliases"].get(alias) != registered.version:
                self._change("aliases", alias, registered.version)

    def read(self, registered: Registered, file: str, to: Path) -> None:
        """See `registered.Registry.read`. With DVC, a version that is not in the folder is pulled first."""
        place = self.folder / registered.version
        if self._dvc and not (place / file).is_file():
            from bridge_assets.data.dvc.versions import restored

            restored(place)
        try:
            shutil.copyfile(place / file, to)
        except FileNotFoundError:
            raise RegistryError(
                f"{self.address}: {file} of model version {registered.version} is gone. Nothing was taken over. "
                f"What to do: restore it there, or register the version again from where it was made"
            ) from None

    def _copy(self, candidate: Candidate, files: Mapping[str, str]) -> None:
        place = self.folder / candidate.version
        if candidate.folder.absolute() == place:
            return
        there = file_digests(place) if place.is_dir() else {}
        # What a killed call left is whole files of this content: each is written aside and renamed.
        if not there.items() <= files.items():
            raise self._other_bytes(candidate.version, files, there, "A folder of that name lies there, not registered")
        for leftover in place.glob(".*.tmp"):
            leftover.unlink()
        for name, expected in files.items():
            if name in there:
                continue
            with replacing(place / name) as aside:
                shutil.copyfile(candidate.file(name), aside)
                if (found := digest(aside)) != expected:
                    raise RegistryError(
                        f"{place / name} did not arrive as it is: its SHA-256 is {found[:12]}, it should be "
                        f"{expected[:12]}. Nothing was registered. What to do: see to the disk, then try again"
                    )

    def _track(self, version: str) -> dict[str, Any]:
        if not self._dvc:
            return {}
        from bridge_assets.data.dvc.versions import version_model

        return {"dvc_md5": version_model(self.folder / version, self._dvc)}

    def _read(self) -> dict[str, Any]:
        path = self.folder / LEDGER
        try:
            ledger = json.loads(path.read_text(encoding="utf-8"))
            if not all(isinstance(ledger[key], dict) for key in ("versions", "aliases")):
                raise ValueError("expected versions and aliases")
            name = ledger["name"]
        except FileNotFoundError:
            return {"name": self.name, "versions": {}, "aliases": {}}
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(
                f"{path} cannot be read as a registry: {' '.join(str(error).split())}. What to do: restore it from "
                f"version control; the versions beside it are what they were"
            ) from error
        if name != self.name:
            raise RegistryError(
                f"{path} holds versions of {name}, not of {self.name}. What to do: give each model a folder of its own"
            )
        return ledger

    def _change(self, what: str, key: str, value: Any) -> None:
        ledger = self._read()
        ledger[what] = {**ledger[what], key: value}
        write_json(ledger, self.folder / LEDGER)

    def _next_number(self) -> int:
        return 1 + max((each.version_number for each in self.versions()), default=0)

    def _registered(self, version: str, entry: Any) -> Registered:
        where = f"{self.address}/{LEDGER}"
        try:
            number, notes = int(entry["number"]), {str(key): str(value) for key, value in entry["notes"].items()}
            files, md5 = entry["files"], entry.get("dvc_md5")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RegistryError(f"{where}: what it says of {version!r} cannot be read: {error}") from error
        place = self.folder / checked_version(version, where)
        notes |= {"dvc_md5": str(md5)} if md5 else {}
        return Registered(self.name, number, "", str(place), version, checked_files(files, where), notes)

    def _other_bytes(self, version: str, here: Mapping[str, str], there: Mapping[str, str], why: str) -> RegistryError:
        differing = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        return RegistryError(
            f"{self.address}: model version {version} was not stored. {why}: {', '.join(differing)}. "
            f"What to do: move the folder and its line in {LEDGER} away if they are not wanted any more"
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / f".{LEDGER}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel drops it when the process ends, however it ends
                yield
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be written: {error}") from error
