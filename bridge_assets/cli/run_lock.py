"""One `bridge-assets run` at a time in a home: two would replace each other's outputs between steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from bridge_assets.errors import RunInProgressError, StorageError
from bridge_assets.file_lock import LockHeldError, file_lock
from bridge_assets.settings import DataSettings

LOCK_FILE = "run.lock"


@contextmanager
def only_run(data: DataSettings) -> Iterator[None]:
    """Hold the lock of the home folder while a run writes to it.

    Raises
    ------
    RunInProgressError
        If another process holds it. Nothing was changed.
    StorageError
        If the home folder cannot be written.
    """
    path = data.home_folder / LOCK_FILE
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(path, timeout=0))
        except LockHeldError as held:
            raise RunInProgressError(
                f"another run has been in progress since {_since(path)} (process {held.holder})",
                where=data.home_folder,
                why="Two runs in the same folder would replace each other's outputs; this one changed nothing",
                do=f"wait until it ends, stop it with Ctrl-C in its terminal or `kill -INT {held.holder}`, or use "
                "another folder with BRIDGE_ASSETS_DATA__HOME",
            ) from None
        except OSError as error:
            raise StorageError(
                f"the output folder cannot be written: {error.strerror}",
                where=data.home_folder,
                why="Every output goes there",
                do="correct its permissions, or set `home` in configs/data_config.yaml or BRIDGE_ASSETS_DATA__HOME "
                "to a folder that you can write",
            ) from None
        yield


def _since(path: Path) -> str:
    """When the lock was taken: the holder writes its process id into the file then, and never again."""
    started = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return (
        f"{started:%H:%M:%S}" if started.date() == datetime.now().astimezone().date() else f"{started:%Y-%m-%d %H:%M}"
    )
