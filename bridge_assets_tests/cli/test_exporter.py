"""`bridge-assets exporter`: where it listens. What it answers is tested with Prometheus (`alerting`)."""

from __future__ import annotations

import socket
import sys

import pytest
from click.testing import CliRunner

from bridge_assets.cli import main


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    """Both errors come before the seconds that loading the definitions takes."""
    monkeypatch.setitem(sys.modules, "bridge_assets.definitions", None)
    monkeypatch.delenv("BRIDGE_ASSETS_TOKEN", raising=False)


def test_it_does_not_listen_elsewhere_than_on_loopback_without_a_token():
    result = CliRunner().invoke(main, ["exporter", "--host", "0.0.0.0", "--port", "0"])
    assert result.exit_code == 1
    assert "0.0.0.0: anybody who reaches this address could read how the platform is doing" in result.output
    assert "BRIDGE_ASSETS_TOKEN is not set" in result.output


def test_a_port_in_use_is_named_with_another_one():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(main, ["exporter", "--port", str(port)])
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}: the port is in use" in result.output
    assert "choose another port, such as --port" in result.output
