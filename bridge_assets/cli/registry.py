"""`bridge-assets registry`: copy model versions between registries."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bridge_assets.settings import DataSettings

if TYPE_CHECKING:
    from bridge_assets.registry.sync import RegistrySync, Transfer

_REGISTRY_OPTION = click.option(
    "--registry", "registry_address", help="Address of this registry; default: the configured one."
)
_PROMOTE_OPTION = click.option(
    "--promote",
    is_flag=True,
    help="Also make it the champion at the destination; it must be the champion at the source.",
)


@click.group()
def registry() -> None:
    """Copy model versions between registries.

    A registry is MLflow (sqlite:///file, http://host:port), a folder, or dvc:folder.
    """


@registry.command("push")
@click.argument("version")
@click.option("--to", required=True, help="Address of the other registry.")
@_REGISTRY_OPTION
@_PROMOTE_OPTION
def push(version: str, to: str, registry_address: str | None, promote: bool) -> None:
    """Copy VERSION to another registry. VERSION is a name or an alias such as champion."""
    click.echo(_transfer_message(_open_sync(registry_address).push(version, to, promote=promote)))


@registry.command("pull")
@click.argument("version")
@click.option("--from", "source", required=True, help="Address of the other registry.")
@_REGISTRY_OPTION
@_PROMOTE_OPTION
def pull(version: str, source: str, registry_address: str | None, promote: bool) -> None:
    """Copy VERSION from another registry. VERSION is a name or an alias such as champion."""
    click.echo(_transfer_message(_open_sync(registry_address).pull(version, source, promote=promote)))


@registry.command("plan")
@click.option("--to", help="Address of the registry to push to.")
@click.option("--from", "source", help="Address of the registry to pull from.")
@click.option("--version", help="A version or alias; default: every version.")
@_REGISTRY_OPTION
def plan(to: str | None, source: str | None, version: str | None, registry_address: str | None) -> None:
    """Dry run: print what push or pull would do. Exits with 1 if a version conflicts."""
    other = to or source
    if other is None or (to and source):
        raise click.UsageError("give either --to or --from")
    steps = _open_sync(registry_address).plan(other, version=version, direction="push" if to else "pull")
    for step in steps:
        click.echo(step)
    if not steps:
        click.echo("No versions to copy.")
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
    step, promoted = transfer.step, " It is now the champion there." if transfer.promoted else ""
    outcome = "It was already there" if step.action == "there" else "It was copied, every file compared"
    # Each address at the end of its line, so that nothing sticks to it when it is pasted.
    return (
        f"Model version {step.version}\n  from      {step.source}\n  registry  {step.target}\n"
        f"  address   {transfer.registered.uri}\n{outcome}.{promoted}"
    )
