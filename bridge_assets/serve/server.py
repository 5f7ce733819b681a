"""The server process: binds a port, runs the app, and shuts down without dropping a request.

On SIGTERM it reports that it is not ready and keeps serving for a few seconds, since load balancers notice late. Then
it stops accepting requests, and exits once the last response is sent.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette

from bridge_assets.errors import DeploymentError
from bridge_assets.runtime.package import Package
from bridge_assets.serve.app import make_app
from bridge_assets.serve.border.access import AccessRules
from bridge_assets.serve.border.access_log import log_event
from bridge_assets.serve.border.connections import Bounded, throttle_accept_errors
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.state import AppState

if TYPE_CHECKING:
    from bridge_assets.metrics.prometheus_metrics import PrometheusMetrics

#: Seconds for which the server accepts requests after SIGTERM. Kubernetes sends it before all proxies are updated.
DRAIN_SECONDS = 5.0

#: Seconds for the requests in progress after that. In total less than the 30 s after which Kubernetes kills it.
_GRACEFUL_SHUTDOWN_SECONDS = 20

#: Seconds between two checks for a new version.
_POLL_SECONDS = 0.2

#: Longer than load balancers keep an idle connection (60 s is common), so that the load balancer closes it first.
_KEEP_ALIVE_SECONDS = 75

#: Connections that wait in the kernel until they are accepted. asyncio accepts half the bound at a time, so that those
#: are counted before the next ones take descriptors.
_BACKLOG = 2048

#: The variable that says that several processes listen on the port (`workers`).
SHARED_PORT = "BRIDGE_ASSETS_SHARED_PORT"

#: Parameters of mallopt, from glibc's malloc.h.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def serve_package(folder: Path, slot: str, host: str, port: int) -> None:
    """Serve one package until SIGTERM.

    Raises
    ------
    DeploymentError
        If it cannot be loaded, fails its probe, the port is in use, or anybody could call it (`access`).
    """
    AccessRules.for_host(host, os.environ)  # before loading takes seconds
    model = LoadedModel.load(Package(folder), slot)
    run_server(AppState(lambda: model), host, port)


def run_server(
    state: AppState,
    host: str,
    port: int,
    refresh: Callable[[], bool] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Run the app until the process receives SIGTERM or SIGINT.

    Parameters
    ----------
    state : AppState
    host : str
    port : int
        0 = any free port.
    refresh : callable, optional
        Called every `_POLL_SECONDS` in a thread; loads a new version and returns whether there was one.
    environ : mapping
        Variables that configure access (`access`), the app (`app.make_app`) and the shutdown.

    Raises
    ------
    DeploymentError
        If the port is in use, or anybody could call it (`access`).
    """
    access = AccessRules.for_host(host, environ)
    _return_freed_memory()
    # What has been loaded stays: looking through it for circles again and again would stop requests for milliseconds.
    gc.collect()
    gc.freeze()
    state.metrics = state.metrics or make_metrics()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(poll_for_new_version(state, refresh)) if refresh else None
        yield
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    config = uvicorn.Config(
        make_app(state, environ, lifespan, access),
        # Set explicitly, so that the server does not depend on which other packages are installed.
        # Not uvloop: without a free descriptor it closes connections that the kernel has accepted, instead of waiting.
        loop="asyncio",
        http=_protocol(),
        backlog=max(1, Bounded.bound // 2),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_SECONDS,
    )
    with bind_socket(host, port, is_shared=environ.get(SHARED_PORT) == "1") as listening:
        drain_seconds = float(environ.get("BRIDGE_ASSETS_CLOSING_SECONDS", DRAIN_SECONDS))
        _DrainingServer(config, state, drain_seconds).run([listening])


def _protocol() -> type[asyncio.Protocol]:
    """The protocol of the connections: with httptools where it is installed."""
    try:
        from bridge_assets.serve.border.httptools_protocol import BoundedHttpTools
    except ImportError:
        from bridge_assets.serve.border.h11_protocol import BoundedH11

        return BoundedH11
    return BoundedHttpTools


async def poll_for_new_version(state: AppState, refresh: Callable[[], bool]) -> None:
    """Serve every later version as soon as it is loaded, until cancelled."""
    last_error = ""
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        try:
            if await asyncio.to_thread(refresh):
                state.record_model()
                log_event("version", version=state.current_model().version, slot=state.current_model().slot)
            last_error = ""
        except Exception as error:  # the current version stays active; the next check may succeed
            if last_error != (last_error := f"{type(error).__name__}: {error}"):
                log_event("not taken", why=last_error, version=state.current_model().version)


def make_metrics() -> PrometheusMetrics | None:
    """The metrics of this process; None where prometheus-client is missing, as in an image that was built before it."""
    from bridge_assets.metrics.prometheus_metrics import MULTIPROCESS_FOLDER, PrometheusMetrics

    try:
        return PrometheusMetrics()
    except ImportError as error:
        log_event("no metrics", why=str(error))
        return None
    except OSError as error:
        raise DeploymentError(
            "the metrics of the server processes cannot be shared",
            where=os.environ.get(MULTIPROCESS_FOLDER, ""),
            why=str(error),
            do=f"set {MULTIPROCESS_FOLDER} to a folder that this user can write, or unset it",
        ) from error


def _return_freed_memory() -> None:
    """Let glibc return large blocks to the system when they are freed.

    Otherwise it would keep them for later after the first few large requests, and its heaps, one for each thread, would
    hold several times what is in use.
    """
    with suppress(AttributeError, OSError):  # a C library other than glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        libc.mallopt(_M_ARENA_MAX, 2)


def bind_socket(host: str, port: int, *, is_shared: bool = False, listens: bool = True) -> socket.socket:
    """A socket on a port.

    Parameters
    ----------
    host : str
    port : int
        0 = any free one.
    is_shared : bool
        Other processes of the same user may listen on the port as well: the kernel distributes the connections.
    listens : bool

    Raises
    ------
    DeploymentError
        If the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # IPPROTO_TCP is explicit because asyncio sets TCP_NODELAY, which sends small responses at once, only if it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        if listens:
            listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        do = "choose another port, or stop the process that uses it"
        raise DeploymentError("the port cannot be used", where=f"{host}:{port}", why=str(error), do=do) from error
    return listener


class _DrainingServer(uvicorn.Server):
    """A server that reports that it is not ready for a while before it stops."""

    def __init__(self, config: uvicorn.Config, state: AppState, drain_seconds: float) -> None:
        super().__init__(config)
        self._state, self._drain_seconds, self._drain_deadline = state, drain_seconds, float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        throttle_accept_errors(asyncio.get_running_loop())
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(_BACKLOG)  # asyncio has set it to `backlog`
        model, listening = self._state.current_model(), (sockets or [])[0].getsockname()
        log_event("serving", version=model.version, slot=model.slot, host=listening[0], port=listening[1])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The base class would raise the signal again at the end, and an orderly shutdown would look like a kill.
        if self._state.draining or sig == signal.SIGINT:
            self.should_exit = True
        self._state.draining = True
        self._drain_deadline = min(self._drain_deadline, time.monotonic() + self._drain_seconds)

    async def on_tick(self, counter: int) -> bool:
        now = time.monotonic()
        if counter % 10 == 0:  # of ten ticks per second
            for connection in list(self.server_state.connections):
                if isinstance(connection, Bounded):
                    connection.close_if_late(now)
        return now >= self._drain_deadline or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log_event("closing")
        await super().shutdown(sockets)
        self._state.executor.shutdown()
