"""`bridge-assets`: the platform from a shell.

Belongs here: one module per group of commands, and how errors are printed. Does not belong here: what the commands do.
Library modules are imported inside each command, so that `--help` and `--version` respond at once.
"""

from __future__ import annotations

import click

from bridge_assets.cli import dashboard, dvc, endpoint, exporter, lake, project, registry, run, training
from bridge_assets.cli.errors import UserErrorGroup


@click.group(cls=UserErrorGroup)
@click.version_option(package_name="bridge-assets")
def main() -> None:
    """Bridge Assets: from the National Bridge Inventory to gated endpoints, yearly scores and drift reports."""


for command in (
    project.init,
    project.sample,
    run.run,
    run.dev,
    endpoint.predict,
    endpoint.serve,
    endpoint.gradio,
    endpoint.rollback,
    endpoint.acknowledge,
    exporter.exporter,
    dashboard.dashboard,
    training.search,
    registry.registry,
    dvc.dvc,
    lake.lake,
):
    main.add_command(command)
