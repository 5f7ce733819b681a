"""`bridge-assets dashboard`: starts at once, on this machine only, sends nothing, and ends with Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge_assets.cli import main
from bridge_assets.dashboard.launch import streamlit_command
from bridge_assets.errors import MissingExtraError
from bridge_assets.settings import DashboardSettings

#: Seconds. It takes 3 on a quiet machine.
_START_SECONDS = 60


def options(command: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for argument in command:
        if argument.startswith("--"):
            name, _, value = argument.removeprefix("--").partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_it_listens_on_loopback_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    pytest.importorskip("streamlit", reason="the extra dashboard is not installed")
    environment = {**os.environ, "BRIDGE_ASSETS_DATA__HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", "from bridge_assets.cli import main; main()", "dashboard", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found and str(tmp_path) in line, line
        port, deadline = int(found[1]), time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                    assert answer.status == 200
                break
            except OSError:
                time.sleep(0.1)
        server.send_signal(signal.SIGINT)
        assert server.wait(20) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in server.stdout.read()


def test_nothing_is_sent_and_no_stack_trace_is_shown() -> None:
    found = options(streamlit_command(DashboardSettings(), "127.0.0.1", 8501))
    assert found["browser.gatherUsageStats"] == ["false"]
    assert found["server.headless"] == ["true"] and found["server.address"] == ["127.0.0.1"]
    assert found["client.showErrorDetails"] == ["none"]
    assert found["server.allowedHosts"] == ["127.0.0.1", "localhost", "::1"]
    own = DashboardSettings(address="https://bridges.example.org")
    assert "bridges.example.org" in options(streamlit_command(own, "127.0.0.1", 8501))["server.allowedHosts"]


def test_without_streamlit_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge_assets.dashboard.launch.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"Streamlit is not installed. What to do: run .*\[dashboard\]"):
        streamlit_command(DashboardSettings(), "127.0.0.1", 8501)


def test_another_address_is_refused_unless_it_is_meant() -> None:
    result = CliRunner().invoke(main, ["dashboard", "--host", "0.0.0.0"])
    assert result.exit_code == 1
    assert "It has no sign-in" in result.output and "--without-token" in result.output


def test_a_port_in_use_names_the_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["dashboard", "--port", str(port)])
    assert result.exit_code == 1 and "the port is in use" in result.output and str(os.getpid()) in result.output


def test_a_wrong_setting_names_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DASHBOARD__THEME__BASE", "pink")
    result = CliRunner().invoke(main, ["dashboard"])
    assert result.exit_code == 1 and "BRIDGE_ASSETS_DASHBOARD__THEME__BASE" in result.output
