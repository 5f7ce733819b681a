"""Registries for sync tests: MLflow databases, an MLflow server on loopback, a DVC repository with a remote."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.dvc_program import require_dvc
from support.registry_fixtures import empty_database, model_versions, project

from bridge_assets.settings import DvcSettings

__all__ = ["empty_database", "model_versions", "project"]


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Callable[[str], str]:
    """Creates an MLflow database in a separate folder and returns its address."""

    def make(name: str) -> str:
        path = tmp_path / name / "mlflow.db"
        path.parent.mkdir()
        shutil.copyfile(empty_database, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """An MLflow server on loopback, which stores the artifacts itself."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copyfile(empty_database, folder / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    options = {
        "--backend-store-uri": f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination": str(folder / "artifacts"),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
    }
    quiet = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # workers that a registry does not need
    }
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *(part for each in options.items() for part in each)],
            cwd=folder,
            env=quiet,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_server(f"{address}/health", running, folder / "log")
        yield address
    finally:
        os.killpg(running.pid, signal.SIGKILL)  # the whole process group; nothing has to be saved
        running.wait(20)


@pytest.fixture
def dvc(project: Path) -> DvcSettings:
    """A DVC repository in the project, with a remote folder."""
    require_dvc()
    return DvcSettings(remote="remote")


def _wait_for_server(address: str, running: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start: {log.read_text()[-2000:]}")
