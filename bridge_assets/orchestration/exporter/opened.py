"""The Dagster instance that is watched: opened when it is first needed, and again after an error."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import dagster as dg

from bridge_assets.errors import SourceError
from bridge_assets.metrics.exporter import Reading
from bridge_assets.settings import DataSettings

ReadInstance = Callable[[dg.DagsterInstance], Iterable[Reading]]


def watched_home(data: DataSettings) -> Path:
    """The folder of the instance, which is not created: DAGSTER_HOME, else `<home>/dagster`."""
    return Path(os.environ.get("DAGSTER_HOME") or data.home_folder / "dagster")


class WatchedInstance:
    """The instance in a folder, shared by the threads of all parts."""

    def __init__(self, home: Path) -> None:
        self._home, self._lock = home, threading.Lock()
        self._instance: dg.DagsterInstance | None = None

    def reader(self, read: ReadInstance) -> Callable[[], list[Reading]]:
        """A part of an exporter that reads this instance.

        It raises SourceError if there is no instance. After an error the instance is opened anew, since its storage may
        have been replaced.
        """

        def read_part() -> list[Reading]:
            instance = self._open()
            try:
                return list(read(instance))
            except Exception:
                with self._lock:
                    self._instance = None
                raise

        return read_part

    def _open(self) -> dg.DagsterInstance:
        with self._lock:
            if not self._home.is_dir():  # Dagster would create it
                self._instance = None
                raise SourceError(
                    "there is no Dagster instance",
                    where=self._home,
                    why="The folder does not exist",
                    do="run `bridge-assets run` or `bridge-assets dev` with the same settings first, or correct "
                    "DAGSTER_HOME",
                )
            if self._instance is None:
                self._instance = dg.DagsterInstance.from_config(str(self._home))
            return self._instance
