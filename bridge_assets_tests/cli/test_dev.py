"""`bridge-assets dev` opens the UI and serves the reports, and both end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).parent / "bridge-assets"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def read(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as response:
        return response.read()


def wait_for(port: int, path: str, seconds: int = 200) -> bytes:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return read(port, path)
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"nothing answers on port {port}")


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_reports_are_there_as_long_as_the_ui(tmp_path: Path, end: signal.Signals) -> None:
    home, ui, reports = tmp_path / "home", free_port(), free_port()
    (home / "reports").mkdir(parents=True)
    (home / "reports" / "condition_report.html").write_bytes(b"<!doctype html><p>612 bridges")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_ASSETS", "DAGSTER"))}
    settings = {
        "BRIDGE_ASSETS_DATA__HOME": str(home),
        "BRIDGE_ASSETS_DATA__REPORTS_PORT": str(reports),
        "BRIDGE_ASSETS_DATA__SAMPLE__STRUCTURES": "100",
    }
    command = [PROGRAM, "dev", "--port", str(ui)]
    # A session of its own: Ctrl-C reaches every process of a terminal.
    running = subprocess.Popen(
        command, env={**ours, **settings}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert b"612 bridges" in wait_for(reports, "condition_report.html")
        if end is signal.SIGINT:
            assert b"dagster" in wait_for(ui, "server_info")
            os.killpg(running.pid, signal.SIGINT)
        else:
            running.kill()
        output, _ = running.communicate(timeout=100)
        assert f"Reports: http://127.0.0.1:{reports}/ shows {home / 'reports'}" in output.decode()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                read(reports, "condition_report.html")
            except OSError:
                return
            time.sleep(0.2)
        pytest.fail("the reports are still served")
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
