"""`bridge-assets search`: tune the forest on the training inspections."""

from __future__ import annotations

from typing import Any

import click

from bridge_assets.settings import DataSettings


@click.command()
@click.option("--trees", default=60, show_default=True, help="Maximum number of trees in a forest.")
@click.option("--splits", default=3, show_default=True, help="Inner splits; each holds out different structures.")
@click.option("--years", default=6, show_default=True, help="How many of the last survey years each split holds out.")
@click.option(
    "--try",
    "grid_options",
    multiple=True,
    help="A setting and its values, such as leaf=20,40; default: a built-in grid.",
)
def search(trees: int, splits: int, years: int, grid_options: tuple[str, ...]) -> None:
    """Tune random-forest settings on the training inspections. Read-only; prints suggested config changes."""
    from bridge_assets.data.lake import Lake
    from bridge_assets.markdown import for_terminal
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
    click.echo(f"\n{for_terminal(forests.search_markdown(trials, base, metrics, list(grid)))}\n")
    changes = forests.config_changes(base, trials[0].settings)
    if not changes:
        click.echo("The current settings are the best of these: nothing to change.")
        return
    click.echo("To use the settings in the first row (trust a gain only if every inner split shows it):")
    for change in changes:
        click.echo(f"  {change}")


def _parse_grid(options: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    from pydantic import ValidationError

    from bridge_assets.settings import ForestSettings

    grid = {}
    for option in options:
        name, _, values = option.partition("=")
        if name not in ForestSettings.model_fields:
            raise click.BadParameter(
                f"{name!r} is not a setting of the forest: {', '.join(ForestSettings.model_fields)}"
            )
        try:
            grid[name] = tuple(
                getattr(ForestSettings.model_validate({name: value.strip()}), name) for value in values.split(",")
            )
        except ValidationError as error:
            raise click.BadParameter(f"{option}: {error.errors()[0]['msg']}") from None
    return grid
