"""The home folder during a run: one `bridge-assets run` at a time, and what is printed when its disk is full."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from bridge_assets.errors import BridgeAssetsError, RunInProgressError, StorageError
from bridge_assets.file_lock import LockHeldError, file_lock
from bridge_assets.settings import DataSettings

LOCK_FILE = "run.lock"

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

_SQLITE_DISK_ERRORS = ("disk is full", "readonly database", "unable to open database file", "disk I/O error")


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
        with _disk_errors(data.home_folder):
            yield


def no_run_in_progress(data: DataSettings) -> None:
    """Raise RunInProgressError while a run that was started elsewhere, such as in the UI, is in progress."""
    import dagster as dg

    from bridge_assets.orchestration.runs.dagster_home import ensure_dagster_home
    from bridge_assets.orchestration.runs.liveness import fail_orphaned_runs

    ensure_dagster_home(data)
    writing = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    )
    with dg.DagsterInstance.get() as instance:
        fail_orphaned_runs(instance, Path(instance.root_directory) / "alive")
        runs = instance.get_runs(writing, limit=1)
    if runs:
        raise RunInProgressError(
            f"run {runs[0].run_id[:8]} of {runs[0].job_name} is in progress",
            where=data.home_folder,
            why="It may read or write what this command would remove; nothing was changed",
            do="wait until it ends, or terminate it on the page Runs of the UI (`bridge-assets dev`)",
        )


@contextmanager
def _disk_errors(home: Path) -> Iterator[None]:
    """Report a full or read-only disk as one sentence. Outputs go through `storage.atomic_write`, which does so itself;
    this is for everything else: Dagster's SQLite files and log files.
    """
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except BridgeAssetsError:
        raise
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise _disk_error(home, str(error.strerror), error.filename) from error
    except OperationalError as error:
        if not any(text in str(error.orig) for text in _SQLITE_DISK_ERRORS):
            raise
        raise _disk_error(home, str(error.orig), None) from error


def _disk_error(home: Path, reason: str, file: str | None) -> StorageError:
    usage = shutil.disk_usage(home)
    return StorageError(
        f"the run stopped: {reason}{f' ({file})' if file else ''}; {usage.free / 1e6:,.1f} of "
        f"{usage.total / 1e6:,.1f} MB are free there",
        where=home,
        why="Outputs are replaced only when they are complete, so those of earlier runs are unchanged",
        do="free some space, correct the permissions, or set BRIDGE_ASSETS_DATA__HOME to another folder; then rerun",
    )


def _since(path: Path) -> str:
    """When the lock was taken: the holder writes its process id into the file then, and never again."""
    started = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return (
        f"{started:%H:%M:%S}" if started.date() == datetime.now().astimezone().date() else f"{started:%Y-%m-%d %H:%M}"
    )
