"""Several server processes on one port, each of which follows the local endpoint by itself.

    bridge-assets serve --workers 4      starts, watches and ends them
        python -m bridge_assets.serve.workers ROOT HOST PORT      one of them

The kernel distributes the connections among the processes (SO_REUSEPORT). They share a folder of metrics, so whichever
answers `/metrics` answers for all. A process that ends is started again. Limits of connections, memory and requests per
second are each process's own. A promoted version is served by one process a moment before another; an answer is always
that of one version, which it names.

Not shipped in a bundle (`deployment.core.code_archive`): a container has one process, and a provider starts several.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from bridge_assets.errors import DeploymentError
from bridge_assets.metrics.prometheus_metrics import MULTIPROCESS_FOLDER
from bridge_assets.serve.border.access import AccessRules
from bridge_assets.serve.border.access_log import log_event
from bridge_assets.serve.endpoint_follower import EndpointFollower, serve_endpoint
from bridge_assets.serve.server import SHARED_PORT, bind_socket

#: Seconds after which a process that ended is started again, and for which it has to run so that its end is no failure
#: to start. Chosen limits.
_RESTART_SECONDS = 1.0
_STARTED_SECONDS = 10.0

#: From linux/prctl.h: which signal a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


def serve_with_workers(root: Path, host: str, port: int, workers: int, environ: Mapping[str, str]) -> None:
    """Serve the local endpoint from several processes until SIGTERM.

    Parameters
    ----------
    root : Path
        Folder of the endpoint.
    host : str
    port : int
        0 = any free port.
    workers : int
        Number of processes; each takes the memory of a server.
    environ : mapping
        As for `serve_endpoint`, which one process calls.

    Raises
    ------
    DeploymentError
        As `serve_endpoint`; also if a process fails to start.
    """
    AccessRules.for_host(host, environ)
    EndpointFollower(root)  # an endpoint that cannot be served is an error here, not of each process
    bind_socket(host, port).close()  # another server's port is an error, also one that it shares with its own processes
    with (
        bind_socket(host, port, is_shared=True, listens=False) as reserved,
        tempfile.TemporaryDirectory(prefix="bridge_assets_metrics_") as metrics,
    ):
        port = reserved.getsockname()[1]
        shared = {SHARED_PORT: "1", MULTIPROCESS_FOLDER: environ.get(MULTIPROCESS_FOLDER) or metrics}
        command = [sys.executable, "-m", "bridge_assets.serve.workers", str(root), host, str(port)]
        _Workers(command, {**environ, **shared}, workers).run()


class _Workers:
    """The processes: starts them, starts one again that ended, and ends them."""

    def __init__(self, command: list[str], environ: dict[str, str], count: int) -> None:
        self._command, self._environ, self._count = command, environ, count
        self._started: dict[subprocess.Popen[bytes], float] = {}
        self._signals: list[int] = []
        self._forwarded = 0

    def run(self) -> None:
        before = {sig: signal.signal(sig, self._receive) for sig in (signal.SIGTERM, signal.SIGINT)}
        try:
            for _ in range(self._count):
                self._start()
            while self._started:
                self._forward()
                self._look()
                time.sleep(0.1)
        finally:
            for process in self._started:
                process.kill()
                process.wait()
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def _start(self) -> None:
        self._started[subprocess.Popen(self._command, env=self._environ)] = time.monotonic()

    def _receive(self, sig: int, frame: FrameType | None) -> None:
        self._signals.append(sig)

    def _forward(self) -> None:
        """Send the processes each signal that came: a second one ends their wait for load balancers."""
        while self._forwarded < len(self._signals):
            for process in self._started:
                process.send_signal(self._signals[self._forwarded])
            self._forwarded += 1

    def _look(self) -> None:
        """Start each process again that ended although nobody asked it to."""
        for process in [process for process in self._started if process.poll() is not None]:
            ran = time.monotonic() - self._started.pop(process)
            if self._signals:
                continue
            if process.returncode > 0 and ran < _STARTED_SECONDS:  # by itself, not by a signal
                raise DeploymentError(
                    "a server process ended while it started",
                    where=f"process {process.pid}",
                    why=f"Its exit code is {process.returncode}; its own message is above",
                    do="correct the cause, or start a single server (without --workers)",
                )
            log_event("worker ended", process=process.pid, code=process.returncode)
            time.sleep(_RESTART_SECONDS)
            self._start()


def main(root: str, host: str, port: str) -> None:
    """One of the processes; ends if the one that started it does."""
    with suppress(AttributeError, OSError):  # a C library other than glibc
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        serve_endpoint(Path(root), host, int(port))
    except DeploymentError as error:
        print(error, file=sys.stderr, flush=True)  # noqa: T201 # of a process of its own
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
