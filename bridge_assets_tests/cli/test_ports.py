"""A taken port is reported before anything else happens, with the process that has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge_assets.cli import main
from bridge_assets.cli.ports import listen_from, port_holder, require_free_port
from bridge_assets.errors import PortError


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_a_free_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    require_free_port("127.0.0.1", port)


def test_a_port_of_another_process_is_reported_with_that_process() -> None:
    code = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert port_holder(port).startswith(f"process {other.pid} ({sys.executable} -c import socket")
        with pytest.raises(PortError) as error:
            require_free_port("127.0.0.1", port)
        other.kill()
    assert str(error.value).startswith(f"127.0.0.1:{port}: the port is in use. Used by process {other.pid} (")
    assert "What to do: stop that process, or choose another port, such as --port " in str(error.value)


def test_dev_says_at_once_that_its_port_is_taken(taken: socket.socket, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    port = taken.getsockname()[1]
    outcome = CliRunner().invoke(main, ["dev", "--port", str(port)])
    assert outcome.exit_code == 1
    assert f"127.0.0.1:{port}: the port is in use. Used by process {os.getpid()} (" in outcome.output
    assert not (tmp_path / "home").exists()


def test_an_address_of_another_machine_is_reported() -> None:
    with pytest.raises(PortError, match=r"192\.0\.2\.1:4000: cannot listen at this address.*--host"):
        require_free_port("192.0.2.1", 4000)


def test_a_server_takes_the_next_free_port(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    found = listen_from("127.0.0.1", port)
    assert found is not None
    with found:
        assert port < found.getsockname()[1] < port + 20
    assert listen_from("127.0.0.1", port, attempts=1) is None
