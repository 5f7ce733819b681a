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

from bridge_assets.errors import DeploymentError, in_one_line
from bridge_assets.runtime.file_lock import held
from bridge_assets.runtime.package import flush
from bridge_assets.storage import write_json

CURRENT, VERSIONS, HISTORY, LOCK = "current", "versions", "history.json", ".lock"

_HISTORY_KEPT = 50


def version_of(name: str) -> str:
    """The model version in the name of a package."""
    return name.rpartition("-")[0]


@dataclass(frozen=True)
class EndpointFolder:
    """Packages by name. Whoever changes something holds `alone`."""

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
                "this is no link of an endpoint", where=link, why=in_one_line(error), do=do
            ) from error
        if target.parent != Path(VERSIONS):
            why = f"It points to {target}, not into {VERSIONS}"
            raise DeploymentError("this is no link of an endpoint", where=link, why=why, do=do)
        return target.name

    def previous(self) -> str | None:
        """The package that answered before the current one."""
        current, there = self.current(), self.on_disk()
        return next((name for name in reversed(self.trail()) if name != current and name in there), None)

    def on_disk(self) -> set[str]:
        return {path.name for path in (self.root / VERSIONS).glob("*") if path.is_dir()}

    def newest_first(self) -> list[str]:
        """Packages on the disk: what answers, what answered before, what was rolled back, what never got to answer."""
        there = self.on_disk()
        order = [*reversed(self.trail()), *reversed(self.history()), *sorted(there)]
        return [name for name in dict.fromkeys(order) if name in there]

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
                why=in_one_line(error),
                do="remove the file: the current version goes on answering, only what was before it is forgotten",
            ) from error
        return history

    def trail(self) -> list[str]:
        """What answered up to now, in order, the current package last."""
        # The history is written before the link is swapped. So what stands after the last mention of the current one
        # has not happened (a kill in between) or was rolled back: either way it is not before the current one.
        current, history = self.current(), self.history()
        if current is None:
            return []
        if current not in history:
            return [current]
        return history[: len(history) - history[::-1].index(current)]

    def add(self, aside: Path, name: str) -> None:
        """Put a finished package in its place."""
        place = self.package(name)
        if place.is_dir():
            # A damaged copy, perhaps the one that answers: mended file by file, so that `current` never hangs.
            for path in sorted(aside.iterdir()):
                path.replace(place / path.name)
            flush(place)
        else:
            place.parent.mkdir(exist_ok=True)
            aside.rename(place)
            flush(place.parent)

    def promote(self, name: str) -> None:
        """Let a package answer from now on."""
        write_json([*self.trail(), name][-_HISTORY_KEPT:], self.root / HISTORY)
        self._point_to(name)

    def go_back(self, name: str) -> None:
        """Let a package answer again; what was before it then is before it now."""
        if name in self.history():
            self._point_to(name)
        else:
            self.promote(name)

    def _point_to(self, name: str) -> None:
        aside = self.aside(CURRENT)
        aside.symlink_to(Path(VERSIONS) / name)
        aside.replace(self.root / CURRENT)
        flush(self.root)

    def retire(self, keep: int) -> list[str]:
        """Remove packages beyond the newest; name what was removed."""
        retired = self.newest_first()[keep:]
        for name in retired:
            aside = self.aside(name)
            self.package(name).rename(aside)  # a package is there or gone, never half
            shutil.rmtree(aside, ignore_errors=True)
        return retired

    def aside(self, name: str) -> Path:
        """A place to make something that nobody looks at."""
        return self.root / f".{name}.{secrets.token_hex(4)}.tmp"

    def sweep(self) -> list[str]:
        """Remove what killed runs left; name what was removed."""
        leftovers = sorted(self.root.glob(".*.tmp"))
        for path in leftovers:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        return [path.name for path in leftovers]

    @contextmanager
    def alone(self, doing: str, wait: float) -> Iterator[None]:
        """Hold the folder for writing.

        Parameters
        ----------
        doing : str
            What for, for the message.
        wait : float
            Seconds to wait for another writer.

        Raises
        ------
        DeploymentError
            If another writer does not end in that time, or the disk refuses something inside the block.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with held(self.root / LOCK, doing, self.root, wait):
                yield
        except OSError as error:
            raise DeploymentError(
                f"{doing} failed",
                where=self.root,
                why=f"{error}. What answered before goes on answering",
                do="free some space or correct the permissions, then run again",
            ) from error
