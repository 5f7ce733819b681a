"""Debian's Prometheus, Alertmanager and Pushgateway as real processes on loopback.

With `BRIDGE_ASSETS_REQUIRE_SERVERS=1` (set by `.ci/run`, which installs them) a missing program fails a test, which
otherwise skips.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

#: Program -> names under which it is installed: Debian's first, then that of Prometheus' own archives.
_PROGRAMS = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "pushgateway": ("prometheus-pushgateway", "pushgateway"),
}

_START_TIMEOUT_SECONDS = 90

Answer = TypeVar("Answer")


def program(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    for candidate in _PROGRAMS[name]:
        if found := shutil.which(candidate):
            return found
    reason = (
        f"{name} is not installed: apt-get install prometheus prometheus-alertmanager prometheus-pushgateway, or "
        "put the programs of https://prometheus.io/download on the PATH"
    )
    if os.environ.get("BRIDGE_ASSETS_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return unused.getsockname()[1]


@contextmanager
def running(
    command: list[str],
    ready: str,
    log: Path,
    environ: dict[str, str] | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """A server process, from the moment at which `ready` answers with success. `meanwhile` is called as it starts."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent, env=environ)
    try:
        meanwhile()
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """The address of a Pushgateway."""
    address = f"127.0.0.1:{free_port()}"
    # Debian's would keep what was pushed in /var/lib, for the next test.
    command = [program("pushgateway"), f"--web.listen-address={address}", "--persistence.file="]
    with running(command, f"http://{address}/-/ready", folder / "pushgateway.log"):
        yield f"http://{address}"


@contextmanager
def alertmanager(folder: Path, config: Path) -> Iterator[str]:
    """`host:port` of an Alertmanager without a cluster."""
    address = f"127.0.0.1:{free_port()}"
    command = [program("alertmanager"), f"--config.file={config}", f"--storage.path={folder / 'alertmanager'}"]
    command += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with running(command, f"http://{address}/-/ready", folder / "alertmanager.log"):
        yield address


@contextmanager
def prometheus(folder: Path, config: Path) -> Iterator[str]:
    """The address of a Prometheus with an empty database."""
    address = f"127.0.0.1:{free_port()}"
    command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    command += [f"--web.listen-address={address}"]
    with running(command, f"http://{address}/-/ready", folder / "prometheus.log"):
        yield f"http://{address}"


def query(address: str, expression: str) -> list[dict[str, Any]]:
    """The series that an expression has now."""
    reply = httpx.get(f"{address}/api/v1/query", params={"query": expression}, timeout=10)
    body = reply.json()
    assert body["status"] == "success", f"{expression}: {body}"
    return body["data"]["result"]


def until(found: Callable[[], Answer], seconds: float = 60, every: float = 0.1) -> Answer:
    """What `found` returns as soon as that is true; at the end, whatever it is."""
    deadline = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(every)
    return answer
