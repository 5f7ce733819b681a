"""`bridge-assets lake`: remove a survey year from the lake."""

from __future__ import annotations

import click

from bridge_assets.cli.run_lock import no_run_in_progress, only_run
from bridge_assets.settings import DataSettings


@click.group()
def lake() -> None:
    """Look after the tables of the lake."""


@lake.command("drop-year")
@click.argument("year", type=int)
def drop_year(year: int) -> None:
    """Remove survey year YEAR from every table, and its own pages.

    For a year that the source no longer has: its records would stay in every result. Survey files, downloads and model
    versions are left alone. Prints what to run, so that the results are made again without the year.
    """
    from bridge_assets.data.lake import Lake
    from bridge_assets.data.withdrawn import drop_survey_year

    data = DataSettings.load()
    with only_run(data):
        no_run_in_progress(data)
        tables = Lake(data.lake)
        names = drop_survey_year(tables, year, data.reports_folder)
    click.echo(f"Dropped survey year {year} from {tables.folder}: {len(names)} files of {_tables(names)}.")
    known = _years_in_source(data)
    if year in known:
        click.echo(f"The source still has a file of {year}: the next run over it loads the year again.")
    remaining = tables.available_years("raw_bridges")
    job = "latest_year" if tables.available_years("bridge_predictions") else "inventory"
    for line in _remaining_steps(job, remaining, [each for each in remaining if each in known] or remaining, year):
        click.echo(line)


def _tables(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(name.partition("/")[0] for name in names))


def _years_in_source(data: DataSettings) -> list[int]:
    """The survey years that the source is known to have without a network request; none if it cannot be listed."""
    from bridge_assets.data.sources.acquire import known_years
    from bridge_assets.errors import SourceError

    try:
        return known_years(data)
    except SourceError:
        return []


def _remaining_steps(job: str, remaining: list[int], readable: list[int], year: int) -> list[str]:
    """What to run, so that nothing that was computed from the year stays."""
    if not remaining:
        return ["The lake has no survey year left. `bridge-assets run` builds it again from the source."]
    later = [each for each in readable if each > year] or readable[-1:]
    years = f"{later[0]}-{later[-1]}" if len(later) > 1 else f"{later[0]}"
    command = f"  bridge-assets run --job {job} --years {years}"
    if job == "inventory":
        return ["Tables over all years, and the reports, still hold it. To make them again without it:", command]
    return [
        "Tables over all years, the reports, and features and scores of later years still hold it. To make them again:",
        f"{command}    with the model that is being served",
        f"{'  bridge-assets run':<{len(command)}}    also trains: the served model may have learned from the year",
    ]
