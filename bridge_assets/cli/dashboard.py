"""`bridge-assets dashboard`: the dashboard in a browser."""

from __future__ import annotations

import os

import click

from bridge_assets.errors import PortError
from bridge_assets.settings import DashboardSettings, DataSettings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Any other address than loopback: see below.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: port in dashboard_assets.yaml. 0: any free port.")
@click.option("--without-token", is_flag=True, help="Listen elsewhere than on loopback although anyone can read there.")
def dashboard(host: str, port: int | None, without_token: bool) -> None:
    """Open the dashboard: overview, map, inspection list, a page for every bridge, model, drift, runs, endpoints.

    It reads the tables of the platform and changes nothing. It has no sign-in of its own: put a proxy with one in front
    of it before it listens elsewhere than on this machine.
    """
    from bridge_assets.cli.ports import listen, port_error
    from bridge_assets.dashboard.launch import LOOPBACK, streamlit_command

    if host not in LOOPBACK and not without_token:
        raise PortError(
            f"the dashboard does not listen on {host}",
            why="It has no sign-in, so anyone who reaches this address could read every table",
            do="keep --host 127.0.0.1 and put a proxy with a sign-in in front, or add --without-token",
        )
    settings, data = DashboardSettings.load(), DataSettings.load()
    wanted = settings.port if port is None else port
    try:
        with listen(host, wanted) as listener:
            chosen = listener.getsockname()[1]
    except OSError as error:
        raise port_error(host, wanted, "--port", error) from error
    command = streamlit_command(settings, host, chosen)
    name = f"[{host}]" if ":" in host else host
    click.echo(f"Dashboard of {data.home_folder}: http://{name}:{chosen} (Ctrl-C ends it)")
    os.execv(command[0], command)  # noqa: S606 # a shell would add nothing but quoting
