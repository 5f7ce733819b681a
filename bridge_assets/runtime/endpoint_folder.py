"""The folder of an endpoint on this machine: packages side by side, and a link to the one that answers.

    <root>/current                           link to the package that answers
    <root>/versions/<version>-<content>/     packages; the content tells two forms of one version apart
    <root>/history.json                      what `current` pointed to, in order
    <root>/.lock, <root>/.*.tmp              one writer at a time; what a killed one left, swept by the next

Belongs here: what lies where, and changing it in single steps. Does not belong here: when to (`local`), and what a
package is (`package`).
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
from bridge_assets.runtime.file_lock import exclusive_lock
from bridge_assets.runtime.package import fsync
from bridge_assets.storage import write_json

CURRENT, VERSIONS, HISTORY, LOCK = "current", "versions", "history.json", ".lock"

_HISTORY_LIMIT = 50


def version_of(name: str) -> str:
    """The model version in the name of a package."""
    return name.rpartition("-")[0]


@dataclass(frozen=True)
class EndpointFolder:
    """Packages by name. Whoever changes something holds `exclusive_lock`."""

    root: Path

    def package(self, name: str) -> Path:
        return self.root / VERSIONS / name

    def current(self) -> str | None:
        """The package that answers; None before the first deployment.

        Raises
        ------
        DeploymentError
            If `current` is something else than a link to a package.
        """
        link = self.root / CURRENT
        do = "move it away and deploy a version"
        try:
            target = link.readlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DeploymentError(
                "this is no link of an endpoint", where=link, why=error_summary(error), do=do
            ) from error
        if target.parent != Path(VERSIONS):
            why = f"It points to {target}, not into {VERSIONS}"
            raise DeploymentError("this is no link of an endpoint", where=link, why=why, do=do)
        return target.name

    def previous(self) -> str | None:
        """The package that answered before the current one."""
        current, existing = self.current(), self.on_disk()
        return next((name for name in reversed(self.active_history()) if name != current and name in existing), None)

    def on_disk(self) -> set[str]:
        return {path.name for path in (self.root / VERSIONS).glob("*") if path.is_dir()}

    def packages_newest_first(self) -> list[str]:
        """Packages on the disk: what answers, what answered before, what was rolled back, what never got to answer."""
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
                do="remove the file: the current version goes on answering, only what was before it is forgotten",
            ) from error
        return history

    def active_history(self) -> list[str]:
        """What answered up to now, in order, the current package last."""
        # The history is written before the link is swapped. So what stands after the last mention of the current one
        # has not happened (a kill in between) or was rolled back: either way it is not before the current one.
        current, history = self.current(), self.history()
        if current is None:
            return []
        if current not in history:
            return [current]
        return history[: len(history) - history[::-1].index(current)]

    def install(self, temporary: Path, name: str) -> None:
        """Put a finished package in its place."""
        folder = self.package(name)
        if folder.is_dir():
            # A damaged copy, perhaps the one that answers: mended file by file, so that `current` never hangs.
            for path in sorted(temporary.iterdir()):
                path.replace(folder / path.name)
            fsync(folder)
        else:
            folder.parent.mkdir(exist_ok=True)
            temporary.rename(folder)
            fsync(folder.parent)

    def promote(self, name: str) -> None:
        """Let a package answer from now on."""
        write_json([*self.active_history(), name][-_HISTORY_LIMIT:], self.root / HISTORY)
        self._switch_link(name)

    def rollback(self, name: str) -> None:
        """Let a package answer again; what was before it then is before it now."""
        if name in self.history():
            self._switch_link(name)
        else:
            self.promote(name)

    def _switch_link(self, name: str) -> None:
        temporary = self.temporary_path(CURRENT)
        temporary.symlink_to(Path(VERSIONS) / name)
        temporary.replace(self.root / CURRENT)
        fsync(self.root)

    def prune(self, keep: int) -> list[str]:
        """Remove packages beyond the newest; name what was removed."""
        retired = self.packages_newest_first()[keep:]
        for name in retired:
            temporary = self.temporary_path(name)
            self.package(name).rename(temporary)  # a package is there or gone, never half
            shutil.rmtree(temporary, ignore_errors=True)
        return retired

    def temporary_path(self, name: str) -> Path:
        """A place to make something that nobody looks at."""
        return self.root / f".{name}.{secrets.token_hex(4)}.tmp"

    def remove_leftovers(self) -> list[str]:
        """Remove what killed runs left; name what was removed."""
        leftovers = sorted(self.root.glob(".*.tmp"))
        for path in leftovers:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return [path.name for path in leftovers]

    @contextmanager
    def exclusive_lock(self, action: str, timeout: float) -> Iterator[None]:
        """Hold the folder for writing.

        Parameters
        ----------
        action : str
            What for, for the message.
        timeout : float
            Seconds to wait for another writer.

        Raises
        ------
        DeploymentError
            If another writer does not end in that time, or the disk refuses something inside the block.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with exclusive_lock(self.root / LOCK, action, self.root, timeout):
                yield
        except OSError as error:
            raise DeploymentError(
                f"{action} failed",
                where=self.root,
                why=f"{error}. What answered before goes on answering",
                do="free some space or correct the permissions, then run again",
            ) from error
