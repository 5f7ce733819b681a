"""File locks: one holder at a time, and none after its process was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge_assets.errors import DeploymentError
from bridge_assets.file_lock import LockHeldError, exclusive_lock, file_lock

HOLD = """
import sys, time
from pathlib import Path
from bridge_assets.file_lock import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        try:
            yield holder
        finally:
            holder.kill()


def test_a_second_holder_waits_and_learns_who_holds_the_lock(tmp_path: Path) -> None:
    path, waits = tmp_path / "folder" / ".lock", []
    with (
        held_by_another_process(path) as holder,
        pytest.raises(LockHeldError, match=str(holder.pid)),
        file_lock(path, timeout=0.2, on_wait=waits.append),
    ):
        pass
    assert waits == [str(holder.pid)]


def test_a_killed_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with held_by_another_process(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with file_lock(path, timeout=0):
            assert path.read_text() == f"{os.getpid()}\n"


def test_the_lock_is_free_after_an_error_and_excludes_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with pytest.raises(ZeroDivisionError), file_lock(path):
        with pytest.raises(LockHeldError), file_lock(path, timeout=0):
            pass
        raise ZeroDivisionError
    with file_lock(path, timeout=0):
        pass


def test_a_deployment_in_progress_is_an_error_that_names_its_process(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with (
        file_lock(path),
        pytest.raises(DeploymentError, match=rf"there: rolling back was refused.*process {os.getpid()}\) did not"),
        exclusive_lock(path, "rolling back", "there", timeout=0),
    ):
        pass
