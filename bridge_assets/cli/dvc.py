"""`bridge-assets dvc`: survey files and models under DVC's version control."""

from __future__ import annotations

import sys

import click

from bridge_assets.settings import DataSettings


@click.group()
def dvc() -> None:
    """Put survey files and models under DVC. Settings: configs/dvc_config.yaml."""


@dvc.command("version")
def version() -> None:
    """Add and push the current files. These are the survey files and the latest model version."""
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
    click.echo("The .dvc files next to these folders record the versions: commit them.")


@dvc.command("pull")
def pull() -> None:
    """Restore the files recorded in .dvc files. Exits with DVC's own code."""
    from bridge_assets.data.dvc.versions import dvc_pull

    sys.exit(dvc_pull())
