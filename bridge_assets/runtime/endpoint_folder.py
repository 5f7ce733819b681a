"""The folder of the local endpoint: its packages, and a link to the current one.

    <root>/current                           link to the active package
    <root>/versions/<version>-<content>/     packages; the content distinguishes two exports of one version, and, after
                                             a point, two packings of one export with tables of other years
    <root>/history.json                      targets that `current` has had, oldest first
    <root>/.lock, <root>/.*.tmp              lock of the writer; leftovers of a killed one, removed by the next

Belongs here: the layout of the folder and atomic changes to it. Does not belong here: deployments (`deployment.local`)
and the content of a package (`package`).
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge_assets.errors import DeploymentError, error_summary
from bridge_assets.file_lock import exclusive_lock
from bridge_assets.runtime.package import fsync
from bridge_assets.storage import make_folder, private_folder, write_json

CURRENT, VERSIONS, HISTORY, LOCK = "current", "versions", "history.json", ".lock"

_HISTORY_LIMIT = 50


def version_of(name: str) -> str:
    """The model version in the name of a package."""
    return name.rpartition("-")[0]


def model_of(name: str) -> str:
    """The part of a package's name that is the same for one export with older and with newer tables of structures."""
    version, dash, content = name.rpartition("-")
    return version + dash + content.partition(".")[0]


@dataclass(frozen=True)
class EndpointFolder:
    """The folder of an endpoint, with packages by name. Hold `exclusive_lock` while changing anything."""

    root: Path

    def package(self, name: str) -> Path:
        return self.root / VERSIONS / name

    def current(self) -> str | None:
        """The active package; None before the first deployment.

        Raises
        ------
        DeploymentError
            If `current` is not a link to a package.
        """
        link = self.root / CURRENT
        do = "move it away and deploy a version"
        try:
            target = link.readlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DeploymentError(
                "this is not the link of an endpoint", where=link, why=error_summary(error), do=do
            ) from error
        if target.parent != Path(VERSIONS):
            why = f"It points to {target}, not into {VERSIONS}"
            raise DeploymentError("this is not the link of an endpoint", where=link, why=why, do=do)
        return target.name

    def previous(self) -> str | None:
        """The package with another model that was active before the current one; None if there is none on disk."""
        current, existing = self.current() or "", self.on_disk()
        others = (name for name in reversed(self.active_history()) if model_of(name) != model_of(current))
        return next((name for name in others if name in existing), None)

    def on_disk(self) -> set[str]:
        return {path.name for path in (self.root / VERSIONS).glob("*") if path.is_dir()}

    def served_newest_first(self) -> list[str]:
        """Packages on disk that were the current one before: the current one, earlier ones, and those rolled back."""
        served = {*self.history(), self.current()}
        return [name for name in self.packages_newest_first() if name in served]

    def packages_newest_first(self) -> list[str]:
        """Packages on disk: the current one, earlier ones, those rolled back, and those that were never active."""
        existing = self.on_disk()
        order = [*reversed(self.active_history()), *reversed(self.history()), *sorted(existing)]
        return [name for name in dict.fromkeys(order) if name in existing]

    def history(self) -> list[str]:
        path = self.root / HISTORY
        try:
            history = json.loads(path.read_text(encoding="utf-8"))
            if not (isinstance(history, list) and all(isinstance(name, str) for name in history)):
                raise ValueError("expected a list of names")
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise DeploymentError(
                "the history of deployments cannot be read",
                where=path,
                why=error_summary(error),
                do="remove the file: the current version stays active, only the history of earlier ones is lost",
            ) from error
        return history

    def active_history(self) -> list[str]:
        """Packages that were active, oldest first, the current one last."""
        # Entries after the last mention of the current package were rolled back: they do not precede the current one.
        current, history = self.current(), self.history()
        if current is None:
            return []
        if current not in history:  # the run was killed after it had switched the link
            return [*history, current]
        return history[: len(history) - history[::-1].index(current)]

    def install(self, temporary: Path, name: str) -> None:
        """Move a finished package to its final path."""
        folder = self.package(name)
        if folder.is_dir():
            # A damaged copy, perhaps the current one: it is replaced file by file, so that `current` never dangles.
            for path in sorted(temporary.iterdir()):
                path.replace(folder / path.name)
            fsync(folder)
        else:
            make_folder(folder.parent)
            temporary.rename(folder)
            fsync(folder.parent)

    def promote(self, name: str) -> None:
        """Make a package the current one; nothing changes if it is."""
        before = self.active_history()
        # The link is switched between the two, so that the history only ever contains packages that were served.
        self._write_history(before)
        if name != self.current():
            self._switch_link(name)
            self._write_history([*before, name])

    def undo(self, previous: str | None, history: list[str]) -> None:
        """Restore what `current()` and `history()` were before `promote` or `rollback`."""
        if previous is None:
            (self.root / CURRENT).unlink(missing_ok=True)
            fsync(self.root)
        else:
            self._switch_link(previous)
        self._write_history(history)

    def rollback(self, name: str) -> None:
        """Make an earlier package the current one; the package before it becomes the previous one again."""
        self._switch_link(name)

    def _write_history(self, names: list[str]) -> None:
        if (kept := names[-_HISTORY_LIMIT:]) != self.history():
            write_json(kept, self.root / HISTORY)

    def _switch_link(self, name: str) -> None:
        temporary = self.temporary_path(CURRENT)
        temporary.symlink_to(Path(VERSIONS) / name)
        temporary.replace(self.root / CURRENT)
        fsync(self.root)

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest packages, one for each model; return the names of those removed."""
        newest_first, newest = self.packages_newest_first(), dict[str, str]()
        for name in newest_first:
            newest.setdefault(model_of(name), name)
        kept = list(newest.values())[:keep]
        retired = [name for name in newest_first if name not in kept]
        for name in retired:
            temporary = self.temporary_path(name)
            self.package(name).rename(temporary)  # so that a package is never half removed
            shutil.rmtree(temporary, ignore_errors=True)
        return retired

    def temporary_path(self, name: str) -> Path:
        """A path for unfinished content, which readers ignore."""
        return self.root / f".{name}.{secrets.token_hex(4)}.tmp"

    def remove_leftovers(self) -> list[str]:
        """Remove leftovers of killed runs; return their names."""
        leftovers = sorted(self.root.glob(".*.tmp"))
        for path in leftovers:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return [path.name for path in leftovers]

    @contextmanager
    def exclusive_lock(self, action: str, timeout: float) -> Iterator[None]:
        """Lock the folder for writing.

        Parameters
        ----------
        action : str
            Purpose of the lock, for the error message.
        timeout : float
            Seconds to wait for another writer.

        Raises
        ------
        DeploymentError
            If another writer does not finish in time, or the disk fails inside the block.
        """
        try:
            if not self.root.is_dir():
                private_folder(self.root)
            with exclusive_lock(self.root / LOCK, action, self.root, timeout):
                yield
        except OSError as error:
            raise DeploymentError(
                f"{action} failed",
                where=self.root,
                why=f"{error}. The current version stays active",
                do="free some space or correct the permissions, then run again",
            ) from error
