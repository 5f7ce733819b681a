"""The served app as a real process on loopback, started as in a container."""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.serve import container

#: Prefixes of variables that configure a server. They are not inherited from the shell of a test.
_SERVER_VARIABLES = ("BRIDGE_ASSETS_", "AIP_", "AZUREML_", "SAGEMAKER_")

_START_TIMEOUT_SECONDS = 60


class ServerProcess:
    """A server process. `url` is set once it serves; `log` has one object per line. A variable of None is not set."""

    def __init__(
        self, command: list[str], start_timeout: float = _START_TIMEOUT_SECONDS, /, **environ: str | None
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_SERVER_VARIABLES)}
        defaults = {"BRIDGE_ASSETS_HOST": "127.0.0.1", "BRIDGE_ASSETS_PORT": "0", "BRIDGE_ASSETS_CLOSING_SECONDS": "0"}
        env = {name: value for name, value in {**inherited, **defaults, **environ}.items() if value is not None}
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log: list[dict] = []
        self.errors: list[str] = []
        self._ready: queue.Queue[dict | None] = queue.Queue()
        # Both pipes are read continuously, so that the server never blocks on its log.
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_log, self._read_errors)]
        for reader in self._readers:
            reader.start()
        started = self._ready.get(timeout=start_timeout)
        if started is None:
            self.stop()
            raise RuntimeError(f"the server ended with {self.process.returncode}: {''.join(self.errors)}")
        self.url = f"http://127.0.0.1:{started['port']}"

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Shut it down gracefully; returns its exit code."""
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for reader in self._readers:
            reader.join()
        return code

    def memory_peak(self) -> float:
        """The largest resident set of the process so far, in MB (2**20 bytes)."""
        return self._status("VmHWM")

    def memory(self) -> float:
        """The resident set of the process, in MB (2**20 bytes)."""
        return self._status("VmRSS")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.log.append(event := json.loads(line))
                if event["event"] == "serving":
                    self._ready.put(event)
        self._ready.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.errors.extend(lines)


def start_container(**environ: str) -> ServerProcess:
    """Start what a container runs, with these variables."""
    return ServerProcess([sys.executable, str(Path(container.__file__))], **environ)


#: Number of servers kept for later tests; each takes about 120 MB.
_MAX_IDLE_SERVERS = 6

_servers: dict[tuple[str, ...], ServerProcess] = {}
_use_counts: Counter[tuple[str, ...]] = Counter()
_lock = threading.RLock()


@contextmanager
def serving(bundle: Bundle | Path, **environ: str) -> Iterator[str]:
    """The address of a server for a bundle, an archive, or a folder that contains one.

    The same bytes and variables are served by the same process, which is kept for the next test.

    Parameters
    ----------
    bundle : Bundle or Path
    environ : str
        Variables of the container, such as AIP_PREDICT_ROUTE.
    """
    key = (bundle.digest if isinstance(bundle, Bundle) else str(bundle), *map(str, sorted(environ.items())))
    with _lock:
        server = _servers.pop(key, None)
        if server is None or server.process.poll() is not None:
            with tempfile.TemporaryDirectory() as folder:
                where = bundle.write(Path(folder) / container.ARCHIVE_NAME) if isinstance(bundle, Bundle) else bundle
                server = start_container(BRIDGE_ASSETS_PACKAGE=str(where), **environ)
        _servers[key] = server  # the most recently used one is last
        _use_counts[key] += 1
        for idle in [each for each in _servers if not _use_counts[each]][: max(0, len(_servers) - _MAX_IDLE_SERVERS)]:
            _servers.pop(idle).stop()
    try:
        yield server.url
    finally:
        _use_counts[key] -= 1


@atexit.register
def end_servers() -> None:
    """Stop the servers that `serving` started."""
    while _servers:
        _servers.popitem()[1].stop()
