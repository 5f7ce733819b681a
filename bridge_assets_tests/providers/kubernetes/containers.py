"""Containers of pods: the served app, started by `serve/container.py` with the variables of a manifest.

`ProcessContainer` is a separate process with its own address; `SharedContainer` is shared between equal pods and starts
at once.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from support.deployment.server_process import serving

from bridge_assets.serve import container

#: Copies of archives for shared containers, one per content, so that `serving` reuses the process for equal archives.
_ARCHIVES = tempfile.TemporaryDirectory(prefix="archives-")

_addresses = itertools.count(1)


class ContainerError(Exception):
    """A container is not running: the reason, and the end of its log."""

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(reason)
        self.reason, self.log = reason, log


@dataclass
class SharedContainer:
    """A container that equal pods share."""

    environ: dict[str, str]
    _open: ExitStack = field(default_factory=ExitStack)
    address: tuple[str, int] = ("", 0)

    def start(self) -> None:
        archive = Path(self.environ["BRIDGE_ASSETS_PACKAGE"])
        copy = Path(_ARCHIVES.name) / f"{hashlib.sha256(archive.read_bytes()).hexdigest()}.tar.gz"
        if not copy.exists():
            shutil.copyfile(archive, copy)
        try:
            url = self._open.enter_context(serving(copy))
        except RuntimeError as error:
            raise ContainerError("Error", str(error)) from None
        host, _, port = url.removeprefix("http://").partition(":")
        self.address = host, int(port)

    def is_running(self) -> bool:
        return True

    def stop(self) -> None:
        self._open.close()


@dataclass
class ProcessContainer:
    """A container that is a process, with its own loopback address and the port of the manifest."""

    environ: dict[str, str]
    grace_seconds: float
    port: int
    address: tuple[str, int] = ("", 0)
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        number = next(_addresses)
        self.address = f"127.9.{number // 250}.{number % 250 + 1}", self.port
        environ = {**os.environ, **self.environ, "BRIDGE_ASSETS_HOST": self.address[0]}
        command = [sys.executable, str(Path(container.__file__))]
        self._process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def is_running(self) -> bool:
        if self._process is None or self._process.poll() is None:
            return True
        assert self._process.stderr is not None
        raise ContainerError("Error", self._process.stderr.read().decode())

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self.grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
