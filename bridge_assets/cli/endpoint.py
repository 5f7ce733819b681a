"""`bridge-assets predict`, `serve`, `gradio`, `rollback` and `acknowledge`: the endpoints that serve predictions."""

from __future__ import annotations

import os
import sys

import click

from bridge_assets.cli.ports import listen, port_error, require_free_port
from bridge_assets.deployment.targets import ENDPOINT_KEYS
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings


@click.command()
@click.argument("structure_key")
@click.option("--year", type=int, help="Survey year of the record; default: the latest year with features.")
def predict(structure_key: str, year: int | None) -> None:
    """Predict one bridge, such as 01-1234, with the model that the local endpoint serves."""
    from bridge_assets.data.lake import Lake
    from bridge_assets.deployment.local import LocalEndpoint

    data = DataSettings.load()
    lake = Lake(data.lake)
    served = LocalEndpoint(data.endpoint_folder).load_model()
    feature_years = lake.available_years("bridge_features")
    survey_year = year if year is not None else feature_years[-1] if feature_years else 0
    features = lake.read_year("bridge_features", survey_year)
    bridge = features.filter(features["structure_key"] == structure_key)
    if bridge.is_empty():
        raise _unknown_key(structure_key, features["structure_key"].to_list(), survey_year, data)
    click.echo(
        f"{structure_key}, survey year {survey_year}: condition {int(bridge['condition'][0])}, "
        f"inspected {bridge['inspection_date'][0] or 'on an unknown date'}\n"
        f"{served.task.describe_prediction(float(served.predict(bridge)[0]))} (model {served.version})"
    )


def _unknown_key(wanted: str, keys: list[str], survey_year: int, data: DataSettings) -> SourceError:
    from bridge_assets.data.records.near_keys import near_keys, why_unknown

    near = near_keys(wanted, keys)
    meant = f"try {' or '.join(near)}, or " if near else ""
    return SourceError(
        f"there is no bridge {wanted} with a condition rating in survey year {survey_year}",
        why=why_unknown(wanted, keys),
        do=f"{meant}take a key from the column structure_key of {data.sheet_path}, such as "
        f"{keys[0]}: two-digit state code, a dash, the structure number (item 8) without padding",
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Any other address than loopback needs a token.")
@click.option("--port", default=8080, show_default=True, help="0: any free port; the log names it.")
@click.option("--without-token", is_flag=True, help="Listen elsewhere than on loopback although no token is set.")
@click.option("--requests-per-second", type=float, help="From one address; default: any number on loopback, else 100.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Server processes, for several processors; each takes some 130 MB and counts requests per second by itself.",
)
@click.option("--ray", "on_ray", is_flag=True, help="On replicas of Ray Serve, which grow with the load.")
@click.option("--haproxy", is_flag=True, help="With --ray: through HAProxy, several times as many requests.")
@click.option("--min-replicas", default=1, show_default=True, type=click.IntRange(1), help="With --ray.")
@click.option("--max-replicas", default=4, show_default=True, type=click.IntRange(1), help="With --ray.")
def serve(
    host: str,
    port: int,
    without_token: bool,
    requests_per_second: float | None,
    workers: int,
    on_ray: bool,
    haproxy: bool,
    min_replicas: int,
    max_replicas: int,
) -> None:
    """Serve the local endpoint over HTTP. Switches when another version is promoted.

    BRIDGE_ASSETS_TOKEN in the environment is the bearer token that requests have to send; health checks need none.
    """
    from bridge_assets.serve.border.access import REQUESTS_PER_SECOND, WITHOUT_TOKEN
    from bridge_assets.serve.endpoint_follower import serve_endpoint

    environ = dict(os.environ)
    if without_token:
        environ[WITHOUT_TOKEN] = "1"
    if requests_per_second is not None:
        environ[REQUESTS_PER_SECOND] = f"{requests_per_second:g}"
    endpoint = DataSettings.load().endpoint_folder
    if haproxy and not on_ray:
        raise click.UsageError("--haproxy is for --ray")
    if min_replicas > max_replicas:
        raise click.UsageError(f"--min-replicas {min_replicas} is more than --max-replicas {max_replicas}")
    if on_ray and workers > 1:
        raise click.UsageError("--workers is for a server without --ray, which has --min-replicas and --max-replicas")
    if on_ray:
        from bridge_assets.serve.ray_app import RayServeArgs, serve_on_ray

        os.environ.update(environ)
        args = RayServeArgs(endpoint=endpoint, min_replicas=min_replicas, max_replicas=max_replicas, host=host)
        # A HAProxy outlives a command that was killed, and would be found only after a minute of starting Ray.
        for variable, usual in {"RAY_SERVE_HAPROXY_STATS_PORT": 8404, "RAY_SERVE_HAPROXY_METRICS_PORT": 9101}.items():
            if haproxy:
                require_free_port("0.0.0.0", int(os.environ.get(variable, usual)), variable)  # noqa: S104 # as HAProxy
        try:
            with listen(host, port) as free:  # Ray takes no port 0, and fails late on one that is in use
                port = free.getsockname()[1]
        except OSError as error:
            raise port_error(host, port, "--port", error) from error
        serve_on_ray(args, port, with_haproxy=haproxy)
    elif workers > 1:
        from bridge_assets.serve.workers import serve_with_workers

        serve_with_workers(endpoint, host, port, workers, environ)
    else:
        serve_endpoint(endpoint, host, port, environ)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Any other address than loopback needs a token.")
@click.option("--port", type=click.IntRange(1, 65535), default=7860, show_default=True)
def gradio(host: str, port: int) -> None:
    """Open one bridge in the browser: its risk, what drives it, its history, and what if.

    Works on the local endpoint and the lake; needs the extra `gradio`. BRIDGE_ASSETS_TOKEN in the environment is the
    password of every user.
    """
    from bridge_assets.serve.gradio_interface import launch_interface

    require_free_port(host, port)
    click.echo(f"Bridges: http://{host}:{port}/ (Ctrl-C ends it)")
    launch_interface(DataSettings.load(), host, port)


@click.command()
@click.argument(
    "endpoint",
    default="local",
    type=click.Choice(ENDPOINT_KEYS),
)
@click.option("--to", "version", help="A version that was served there before; default: the last healthy one.")
@click.option("--reason", default="", help="Why; shown to whoever deploys the version that is left now.")
def rollback(endpoint: str, version: str | None, reason: str) -> None:
    """Roll an endpoint back. The previous model version takes the traffic after a canary.

    Runs the job that the Dagster UI offers, so that the rollback is recorded there.
    """
    from bridge_assets.orchestration.runs.run_job import run_job

    config = {"model_version": version or "", "reason": reason}
    result = run_job(f"rollback_{endpoint}", run_config={"ops": {f"rollback_{endpoint}_endpoint": {"config": config}}})
    if not result.success:
        for _, message in result.errors:
            click.echo(message, err=True)
        sys.exit(1)
    recorded = result.materializations[f"{endpoint}_endpoint"]
    click.echo(
        f"The {endpoint} endpoint serves model {recorded['model_version']} again, in place of "
        f"{recorded['left_version']}. Recorded in run {result.run_id[:8]}."
    )


@click.command()
@click.argument("asset", type=click.Choice(["drift_report", "realised_quality"]))
@click.option("--reason", required=True, help="Why models that were trained before may be deployed nevertheless.")
def acknowledge(asset: str, reason: str) -> None:
    """Acknowledge a check that closes the gate for every model that was trained before it failed.

    Runs the job that the Dagster UI offers, so that the reason is recorded there.
    """
    from bridge_assets.orchestration.runs.run_job import run_job

    config = {"asset": asset, "reason": reason}
    result = run_job("acknowledge_alarm", run_config={"ops": {"acknowledge": {"config": config}}})
    if not result.success:
        for _, message in result.errors:
            click.echo(message, err=True)
        sys.exit(1)
    click.echo(f"Acknowledged for {asset}. Recorded in run {result.run_id[:8]}.")
