"""Ray Serve: the same app on several replicas, which grow with the load.

    serve run bridge_assets.serve.ray_app:app endpoint=var/endpoints/local

Every replica follows the local endpoint and serves a newly promoted version as soon as it has loaded it; an answer is
always that of one version. Requests that arrive together are predicted in one call. Not shipped in a bundle
(`deployment.core.code_archive`); needs the extra `ray`.

Belongs here: the deployment of the app on Ray. Does not belong here: the app (`serve.app`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, Field, model_validator

from bridge_assets.errors import DeploymentError, error_summary
from bridge_assets.extras import install_command
from bridge_assets.metrics.prometheus_metrics import MULTIPROCESS_FOLDER
from bridge_assets.serve.app import make_app
from bridge_assets.serve.border.access import AccessRules
from bridge_assets.serve.border.access_log import log_event
from bridge_assets.serve.endpoint_follower import EndpointFollower, nothing_deployed
from bridge_assets.serve.server import DRAIN_SECONDS, make_metrics, poll_for_new_version
from bridge_assets.serve.state import AppState

if TYPE_CHECKING:
    from ray.serve import Application
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


#: Name of the application on the Ray cluster.
APPLICATION = "bridge-assets"

#: Requests in progress on a replica before another one is given them; more wait. A chosen limit, that of the app.
_ONGOING_REQUESTS = 128

#: Requests waiting for a replica on each proxy; further ones get 503. A chosen limit.
_QUEUED_REQUESTS = 1024

#: Requests in progress on a replica, on average, from which another one is started. A chosen target.
_REQUESTS_PER_REPLICA = 16

#: Seconds for the requests in progress when a replica is stopped.
_GRACEFUL_SHUTDOWN_SECONDS = 20.0


def _default_endpoint() -> Path:
    from bridge_assets.settings import DataSettings

    return DataSettings.load().endpoint_folder


class RayServeArgs(BaseModel, extra="forbid"):
    """Arguments of `serve run`, a Serve config file and `bridge-assets serve --ray`.

    Attributes
    ----------
    endpoint : Path
        Folder of the local endpoint, on a disk that all replicas see.
    min_replicas, max_replicas : int
        Bounds of the autoscaling.
    host : str
        Address that the proxy listens on; any but loopback needs a token (`border.access`).
    """

    endpoint: Path = Field(default_factory=_default_endpoint)
    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=4, ge=1)
    host: str = "127.0.0.1"

    @model_validator(mode="after")
    def _bounds(self) -> RayServeArgs:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is more than max_replicas {self.max_replicas}")
        return self


def app(args: RayServeArgs | dict[str, Any]) -> Application:
    """Build the application.

    Parameters
    ----------
    args : RayServeArgs or dict
        `serve run` gives the words of its command line.

    Raises
    ------
    DeploymentError
        If the extra `ray` is missing, nothing is deployed to the endpoint, or anybody could call it.
    pydantic.ValidationError
        If an argument is unknown or invalid.
    """
    args = RayServeArgs.model_validate(args)
    try:
        from ray import serve
    except ImportError as error:
        raise DeploymentError("Ray is not installed", why=str(error), do=f"run `{install_command('ray')}`") from error

    from bridge_assets.runtime.endpoint_folder import EndpointFolder

    access = AccessRules.for_host(args.host, os.environ)
    # Said here, before replicas start, fail and are started again.
    if EndpointFolder(args.endpoint).current() is None:
        raise nothing_deployed(args.endpoint)
    deployment = serve.deployment(
        serve.ingress()(Replica),
        name="predict",
        max_ongoing_requests=_ONGOING_REQUESTS,
        max_queued_requests=_QUEUED_REQUESTS,
        autoscaling_config={
            "min_replicas": args.min_replicas,
            "max_replicas": args.max_replicas,
            "target_ongoing_requests": _REQUESTS_PER_REPLICA,
        },
        # One replica saturates about half a processor before the proxy does the other half.
        ray_actor_options={"num_cpus": 0.5},
        graceful_shutdown_timeout_s=_GRACEFUL_SHUTDOWN_SECONDS,
        health_check_period_s=5,
    )
    return cast(Any, deployment).bind(args.endpoint.absolute(), access)


class Replica:
    """A replica: follows the endpoint and answers with the app of `serve.app`."""

    def __init__(self, endpoint: Path, access: AccessRules) -> None:
        self._follower = EndpointFollower(endpoint)
        self._access = access
        self._state = AppState(lambda: self._follower.current, metrics=make_metrics())
        self._following: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> Starlette:
        answered = make_app(self._state, os.environ, self._lifespan, self._access)
        answered.add_middleware(_WithoutRequestId)
        return answered

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._following = asyncio.create_task(poll_for_new_version(self._state, self._follower.refresh))
        model = self._follower.current
        log_event("replica started", version=model.version, slot=model.slot)
        yield
        self._following.cancel()
        with suppress(asyncio.CancelledError):
            await self._following

    def check_health(self) -> None:
        """Called by Ray every few seconds: a replica that raises is replaced."""
        if self._following is not None and self._following.done():
            raise RuntimeError("the replica no longer follows the endpoint")


class _WithoutRequestId:
    """Leaves the header X-Request-ID to Ray, which adds it to every answer; the app has taken the same id from Ray."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [each for each in message["headers"] if each[0] != b"x-request-id"]
            await send(message)

        await self._app(scope, receive, send_without)


def serve_on_ray(args: RayServeArgs, port: int, *, with_haproxy: bool = False) -> None:
    """Start Ray on this machine and serve the endpoint until SIGTERM or Ctrl-C.

    Parameters
    ----------
    args : RayServeArgs
    port : int
    with_haproxy : bool
        Put the HAProxy that comes with Ray in front of the replicas in place of Ray's own proxy, which is in Python.
        It answers several times as many requests (`benchmarks/request_path.py`). Its statistics, on the ports 8404 and
        9101, can be read by whoever reaches this machine.

    Raises
    ------
    DeploymentError
        As `app`; or if Ray Serve does not start.
    """
    with tempfile.TemporaryDirectory(prefix="bridge-assets-ray-") as folder:
        # Read by Ray when it is imported.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # On a busy machine the proxy takes more than Ray's 5 seconds to start.
        os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
        if with_haproxy:
            os.environ |= {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
            # Half a minute unless it is said, as for a load balancer that notices late.
            draining = os.environ.get("BRIDGE_ASSETS_CLOSING_SECONDS", f"{DRAIN_SECONDS:g}")
            os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", draining)
        # One place for the metrics of all replicas, whichever of them is scraped.
        os.environ.setdefault(MULTIPROCESS_FOLDER, f"{folder}/metrics")
        application = app(args)
        import ray
        from ray import serve
        from ray.exceptions import RayError

        try:
            # Ray prints what it has to say to stdout, where the log of this process is.
            with redirect_stdout(sys.stderr):
                ray.init(address="local", include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
                serve.start(http_options={"host": args.host, "port": port}, proxy_location="HeadOnly")
                serve.run(application, name=APPLICATION, route_prefix="/")
            log_event("serving", on="ray", host=args.host, port=port, replicas=args.min_replicas)
            with redirect_stdout(sys.stderr):
                _wait_for_signal()
            log_event("closing")
        except RayError as error:
            raise DeploymentError(
                "Ray Serve did not start",
                where=f"{args.host}:{port}",
                why=error_summary(error),
                do="see the logs in /tmp/ray/session_latest/logs/serve, and start it again",
            ) from error
        finally:
            with redirect_stdout(sys.stderr):
                serve.shutdown()
                ray.shutdown()


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
