"""`bridge-assets`: the platform from a shell."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge_assets.errors import BridgeAssetsError, SourceError
from bridge_assets.settings import DataSettings, config_folder

if TYPE_CHECKING:
    from bridge_assets.registry.sync import RegistrySync, Transfer


class _UserErrorGroup(click.Group):
    """Our own errors are messages, not stack traces."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BridgeAssetsError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_UserErrorGroup)
@click.version_option(package_name="bridge-assets")
def main() -> None:
    """Bridge Assets: from the National Bridge Inventory to gated endpoints, yearly scores and drift reports."""


@main.command()
def sample() -> None:
    """Write the sample inventory, unless it is there already."""
    data = DataSettings.load()
    summary = _ensure_sample(data)
    click.echo(summary or f"The sample inventory is there already: {data.sample_folder}")


@main.command()
@click.option("--job", default="full_pipeline", show_default=True, help="Or: inventory, latest_year, scoring.")
@click.option("--years", help="A survey year or a range such as 2010-2020; by default all the source has.")
def run(job: str, years: str | None) -> None:
    """Run a job over survey years, in this process, and say what it made."""
    from bridge_assets.data.sources.acquire import known_years, remote_years
    from bridge_assets.data.sources.local_copies import redact_url

    data = DataSettings.load()
    if data.uses_sample and (sample_message := _ensure_sample(data)):
        click.echo(sample_message)
    shown_source = data.source_folder if data.source_kind in ("folder", "sample") else redact_url(data.source)
    source_years = known_years(data) or (list(remote_years(data)) if data.source_kind == "remote" else [])
    if not source_years:
        raise SourceError(
            "there is no survey file in the source",
            where=shown_source,
            why="No file there has a survey year in its name or inside",
            do="put files there under names such as NBI_2016.txt, or set source in configs/data_config.yaml",
        )
    from bridge_assets.definitions import defs
    from bridge_assets.orchestration.partitions import SURVEY_YEARS
    from bridge_assets.orchestration.runs.run_job import run_job
    from bridge_assets.orchestration.runs.summary import run_summary

    partition_years = [int(key) for key in SURVEY_YEARS.get_partition_keys()]
    if excluded_years := [year for year in source_years if year not in partition_years]:
        click.echo(f"Left out by survey_years in configs/data_config.yaml: {', '.join(map(str, excluded_years))}")
    available_years = [year for year in source_years if year in partition_years] or partition_years
    first, last = _parse_years(years) if years else (available_years[0], available_years[-1])
    if unknown := [year for year in (first, last) if year not in partition_years]:
        raise click.BadParameter(
            f"{unknown[0]} is no survey year here. There are: {partition_years[0]} to {partition_years[-1]}"
        )
    click.echo(f"Running {job} over survey years {first} to {last} from {shown_source} ...")
    terminal = sys.stdout
    result = run_job(defs, job, (first, last), on_progress=lambda line: click.echo(line, file=terminal))
    click.echo(run_summary(result, data))
    sys.exit(0 if result.success else 1)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True)
def dev(host: str, port: int) -> None:
    """Open the Dagster UI, with its daemon, on this machine."""
    from bridge_assets.orchestration.runs.dagster_home import ensure_dagster_home

    data = DataSettings.load()
    if data.uses_sample:
        _ensure_sample(data)
    ensure_dagster_home(data)
    workspace = config_folder().parent / "workspace.yaml"
    dagster = str(Path(sys.executable).parent / "dagster")
    os.execv(dagster, [dagster, "dev", "-w", str(workspace), "-h", host, "-p", str(port)])  # noqa: S606 # no shell is wanted


@main.command()
@click.argument("structure_key")
@click.option("--year", type=int, help="Survey year of the record; by default the latest that has features.")
def predict(structure_key: str, year: int | None) -> None:
    """Ask the local endpoint about one bridge, such as 01-1234."""
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
        raise SourceError(
            f"there is no bridge {structure_key} with a condition in survey year {survey_year}",
            where=lake.year_path("bridge_features", survey_year),
            why=f"It holds {features.height} bridges, such as {', '.join(features['structure_key'].head(3))}",
            do="give a structure key: two-digit state code, a dash, the structure number without padding",
        )
    click.echo(
        f"{structure_key}, survey year {survey_year}: condition {int(bridge['condition'][0])}, "
        f"inspected {bridge['inspection_date'][0] or 'on an unknown date'}\n"
        f"{served.task.describe_prediction(float(served.predict(bridge)[0]))} (model {served.version})"
    )


@main.command()
@click.argument(
    "endpoint",
    default="local",
    type=click.Choice(["local", "sagemaker", "azureml", "vertexai", "kubernetes"]),
)
@click.option("--to", "version", help="A version that answered there; by default the healthy one before.")
def rollback(endpoint: str, version: str | None) -> None:
    """Let an endpoint answer with the previous model version again, after a canary."""
    from bridge_assets.deployment.endpoints import open_endpoint
    from bridge_assets.settings.environment import EnvironmentSettings

    endpoint_target = open_endpoint(endpoint, EnvironmentSettings.load(), DataSettings.load())
    previous_version, deployment = endpoint_target.current(), endpoint_target.rollback(version)
    click.echo(
        f"The {endpoint} endpoint answers with {deployment.version} again (it answered with {previous_version})."
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, help="0 = any that is free; the log says which.")
def serve(host: str, port: int) -> None:
    """Answer predictions over HTTP from the local endpoint, and follow it when it takes another version."""
    from bridge_assets.serve.server import serve_endpoint

    serve_endpoint(DataSettings.load().endpoint_folder, host, port)


@main.command()
@click.option("--trees", default=60, show_default=True, help="Most trees of a forest tried.")
@click.option("--splits", default=3, show_default=True, help="Inner splits: each holds out its part of the structures.")
@click.option("--years", default=6, show_default=True, help="Last survey years that each inner split holds out.")
@click.option(
    "--try", "tried", multiple=True, help="Setting and values, such as leaf=20,40; by default the usual grid."
)
def search(trees: int, splits: int, years: int, grid_options: tuple[str, ...]) -> None:
    """Try settings of the forest on the training inspections. Changes nothing: it says which lines would."""
    from bridge_assets.data.lake import Lake
    from bridge_assets.models.tasks.tasks import task_of_table
    from bridge_assets.models.training import search as forests
    from bridge_assets.models.training import training_set
    from bridge_assets.settings import ModelSettings

    base = ModelSettings.load().forest
    grid = _parse_grid(grid_options) if grid_options else forests.GRID
    training_data = training_set.load_training_set(Lake(DataSettings.load().lake))
    options = {"trees": trees, "splits": splits, "years": years}
    trials = forests.search_forest(
        training_data.table, training_data.features, base, grid, **options, progress=click.echo
    )
    metrics = task_of_table(training_data.table).acceptance_metrics
    click.echo(f"\n{forests.search_markdown(trials, base, metrics, list(grid))}\n")
    lines = forests.config_changes(base, trials[0].settings)
    if not lines:
        click.echo("The present settings are the best of these: nothing to change.")
        return
    click.echo("The first of these would be had by (believe a gain that every inner split shows):")
    for line in lines:
        click.echo(f"  {line}")


def _parse_grid(options: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    from pydantic import ValidationError

    from bridge_assets.settings import ForestSettings

    grid = {}
    for each in options:
        name, _, values = each.partition("=")
        if name not in ForestSettings.model_fields:
            raise click.BadParameter(f"{name!r} is no setting of the forest: {', '.join(ForestSettings.model_fields)}")
        try:
            grid[name] = tuple(
                getattr(ForestSettings.model_validate({name: value.strip()}), name) for value in values.split(",")
            )
        except ValidationError as error:
            raise click.BadParameter(f"{each}: {error.errors()[0]['msg']}") from None
    return grid


@main.group()
def dvc() -> None:
    """Versions of survey files and models in DVC, as configs/dvc_config.yaml says."""


@dvc.command("version")
def dvc_version() -> None:
    """Add the survey files, and the model version made last, as they are now, and push them."""
    from bridge_assets.data.dvc.versions import version_model, version_raw_files
    from bridge_assets.registry.model_version import LATEST, latest_version
    from bridge_assets.settings import DvcSettings

    data, settings = DataSettings.load(), DvcSettings.load()
    if settings.raw_files:
        for folder, md5 in version_raw_files(data, settings).items():
            click.echo(f"{folder}: {md5}")
    if settings.models and (data.models_folder / LATEST).is_file():
        folder = latest_version(data.models_folder).folder
        click.echo(f"{folder}: {version_model(folder, settings)}")
    click.echo("The .dvc files beside them name these versions: commit them.")


@dvc.command("pull")
def dvc_pull() -> None:
    """Bring back what the .dvc files name; exits with DVC's own code."""
    from bridge_assets.data.dvc.versions import dvc_pull

    sys.exit(dvc_pull())


@main.group()
def registry() -> None:
    """Model versions between two registries: MLflow (sqlite:///file, http://host:port), a folder, or dvc:folder."""


_REGISTRY_OPTION = click.option("--registry", "here", help="The registry on this side; by default the platform's own.")
_PROMOTE_OPTION = click.option(
    "--promote", is_flag=True, help="Make it the champion there; it must be the champion here."
)


@registry.command("push")
@click.argument("version")
@click.option("--to", required=True, help="The address of the other registry.")
@_REGISTRY_OPTION
@_PROMOTE_OPTION
def registry_push(version: str, to: str, registry_address: str | None, promote: bool) -> None:
    """Copy a version, named or by an alias such as champion, to another registry."""
    click.echo(_transfer_message(_open_sync(registry_address).push(version, to, promote=promote)))


@registry.command("pull")
@click.argument("version")
@click.option("--from", "source", required=True, help="The address of the other registry.")
@_REGISTRY_OPTION
@_PROMOTE_OPTION
def registry_pull(version: str, source: str, registry_address: str | None, promote: bool) -> None:
    """Copy a version, named or by an alias such as champion, from another registry."""
    click.echo(_transfer_message(_open_sync(registry_address).pull(version, source, promote=promote)))


@registry.command("plan")
@click.option("--to", help="The address of the registry that would be pushed to.")
@click.option("--from", "source", help="The address of the registry that would be pulled from.")
@click.option("--version", help="A version or alias; by default every version.")
@_REGISTRY_OPTION
def registry_plan(to: str | None, source: str | None, version: str | None, registry_address: str | None) -> None:
    """Say what push or pull would do, and do nothing; exits with 1 where something would be refused."""
    other = to or source
    if other is None or (to and source):
        raise click.UsageError("give either --to or --from")
    steps = _open_sync(registry_address).plan(other, version=version, direction="push" if to else "pull")
    for step in steps:
        click.echo(step)
    if not steps:
        click.echo("There is no version to copy.")
    sys.exit(1 if any(step.action == "conflict" for step in steps) else 0)


def _open_sync(registry_address: str | None) -> RegistrySync:
    from bridge_assets.registry.register import configured_registry
    from bridge_assets.registry.sync import RegistrySync
    from bridge_assets.settings import DvcSettings, MlflowSettings, ModelSettings

    model = ModelSettings.load()
    settings = DvcSettings.load() if model.registry == "dvc" else MlflowSettings.load()
    return RegistrySync(
        registry_address or configured_registry(settings, DataSettings.load().home_folder, model.name), name=model.name
    )


def _transfer_message(transfer: Transfer) -> str:
    step, promoted = transfer.step, " It is the champion there now." if transfer.promoted else ""
    moved = "was there already" if step.action == "there" else f"was copied from {step.source}, every file compared"
    return f"Model version {step.version} in {step.target}: {transfer.registered.uri}. It {moved}.{promoted}"


def _ensure_sample(data: DataSettings) -> str | None:
    from bridge_assets.nbi.sample import SampleSpec, is_current, write_sample

    spec = SampleSpec(**data.sample.model_dump())
    if is_current(data.sample_folder, data.oracle_file, spec):
        return None
    summary = write_sample(data.sample_folder, data.oracle_file, spec)
    return (
        f"Wrote a sample inventory: {summary.rows:,} rows of {summary.structures:,} structures in "
        f"{len(summary.files)} files in {summary.folder}"
    )


def _parse_years(years: str) -> tuple[int, int]:
    first, _, last = years.partition("-")
    try:
        return int(first), int(last or first)
    except ValueError:
        raise click.BadParameter(f"{years!r} is no survey year and no range such as 2010-2020") from None
