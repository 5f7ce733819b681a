"""`bridge-assets exporter`: what Prometheus scrapes of the Dagster instance."""

from __future__ import annotations

import os

import click

#: Connections at the same time; further ones get 503. A chosen limit: a few Prometheus servers and whoever looks.
_MAX_CONNECTIONS = 32


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Any other address than loopback needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=9469, show_default=True, help="0: any free port.")
@click.option("--without-token", is_flag=True, help="Listen elsewhere than on loopback although no token is set.")
def exporter(host: str, port: int, without_token: bool) -> None:
    """Serve metrics of the Dagster instance: jobs, checks, drift, freshness, queue, daemons, disk.

    Read anew at each scrape of /metrics, and nothing is written. BRIDGE_ASSETS_TOKEN in the environment is the bearer
    token that a scrape has to send.
    """
    import uvicorn

    from bridge_assets.cli.ports import listen, port_error
    from bridge_assets.serve.border.access import WITHOUT_TOKEN, AccessRules, Guard

    environ = {**os.environ, **({WITHOUT_TOKEN: "1"} if without_token else {})}
    access = AccessRules.for_host(host, environ, "read how the platform is doing")
    try:
        listener = listen(host, port)
    except OSError as error:
        raise port_error(host, port, "--port", error) from error
    # Imported only now: it takes seconds.
    from bridge_assets.definitions import defs
    from bridge_assets.metrics.exporter import Exporter, make_exporter_app
    from bridge_assets.orchestration.exporter.parts import exporter_parts
    from bridge_assets.settings import DataSettings

    reader = Exporter(exporter_parts(defs, DataSettings.load()))
    reader.collect(seconds=0)  # begins to read, so that the first scrape finds everything imported
    app = make_exporter_app(reader)
    app.add_middleware(Guard, rules=access, health_paths=frozenset(("/health",)))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
    )
    click.echo(f"Metrics: http://{host}:{listener.getsockname()[1]}/metrics")
    uvicorn.Server(config).run([listener])
