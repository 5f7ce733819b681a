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
    if _source_has(data, year):
        click.echo(f"The source still has a file of {year}: the next run over it loads the year again.")
    for line in _remaining_steps(tables.available_years("raw_bridges"), year):
        click.echo(line)


def _tables(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(name.partition("/")[0] for name in names))


def _source_has(data: DataSettings, year: int) -> bool:
    from bridge_assets.data.sources.acquire import known_years
    from bridge_assets.errors import SourceError

    try:
        return year in known_years(data)
    except SourceError:
        return False


def _remaining_steps(remaining: list[int], year: int) -> list[str]:
    """What to run, so that nothing that was computed from the year stays."""
    if not remaining:
        return ["The lake has no survey year left. `bridge-assets run` builds it again from the source."]
    later = [each for each in remaining if each > year] or remaining[-1:]
    years = f"{later[0]}-{later[-1]}" if len(later) > 1 else f"{later[0]}"
    return [
        f"Tables over all years, reports, and features of later years still hold it. To make them again from "
        f"{len(remaining)} remaining years:",
        f"  bridge-assets run --job latest_year --years {years}    with the model that is being served",
        "  bridge-assets run                                    also trains: the served model has seen the year",
    ]
