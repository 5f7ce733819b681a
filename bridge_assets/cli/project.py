"""`bridge-assets init` and `sample`: set up a folder to work in, and generate a sample inventory."""

from __future__ import annotations

from pathlib import Path

import click

from bridge_assets.settings import DataSettings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Write the configuration files to FOLDER. Edit them there; existing files are never overwritten."""
    from bridge_assets.settings.new_project import write_project

    written = write_project(folder)
    click.echo(f"Wrote {len(written)} files to {folder.absolute()}:")
    for path in written:
        click.echo(f"  {path}")
    click.echo("\nNext:")
    if folder.absolute() != Path.cwd():
        click.echo(f"  cd {folder}")
    click.echo("  bridge-assets run     runs everything on a generated sample inventory")
    click.echo("  bridge-assets dev     opens the Dagster UI on http://127.0.0.1:3000")
    click.echo("\nSet `source` in configs/data_config.yaml to use your own survey files.")


@click.command()
def sample() -> None:
    """Write the sample inventory, unless an up-to-date one exists."""
    data = DataSettings.load()
    click.echo(ensure_sample(data) or f"The sample inventory is up to date: {data.sample_folder}")


def ensure_sample(data: DataSettings) -> str | None:
    """Write the sample inventory if it is missing or its settings have changed.

    Returns
    -------
    str or None
        A summary of what was written; None if the sample was up to date.
    """
    from bridge_assets.nbi.sample import SampleSpec, is_current, write_sample

    spec = SampleSpec(**data.sample.model_dump())
    if is_current(data.sample_folder, data.oracle_file, spec):
        return None
    summary = write_sample(data.sample_folder, data.oracle_file, spec)
    return (
        f"Wrote a sample inventory: {summary.rows:,} rows of {summary.structures:,} structures in "
        f"{len(summary.files)} files in {summary.folder}"
    )
