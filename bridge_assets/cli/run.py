"""`bridge-assets run` and `dev`: run a job in this process, or open the Dagster UI."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bridge_assets.cli.project import ensure_sample
from bridge_assets.cli.run_lock import only_run
from bridge_assets.errors import SourceError
from bridge_assets.settings import DataSettings, workspace_file

#: The jobs of `orchestration.jobs.pipelines`. Listed here because importing Dagster would slow down every `--help`.
JOB_NAMES = ("full_pipeline", "inventory", "latest_year", "scoring", "retraining", "promotion", "smoke_checks")

#: Those of them that read no survey file.
_JOBS_WITHOUT_FILES = ("scoring", "retraining", "promotion", "smoke_checks")

#: The check that fails if a survey year could not be read; the run goes on without the year.
YEARS_READ = "raw_bridges:every_year_readable"

#: Exit code of a command that Ctrl-C ended: 128 + SIGINT.
_CANCELED = 130


@click.command()
@click.option("--job", type=click.Choice(JOB_NAMES), default=JOB_NAMES[0], show_default=True)
@click.option("--years", help="A survey year or a range such as 2010-2020; default: every year of the source.")
def run(job: str, years: str | None) -> None:
    """Run a job and print a summary. It runs in this process."""
    data = DataSettings.load()
    with only_run(data):
        try:
            _run(job, years, data)
        except KeyboardInterrupt:  # later on, Dagster ends the run as canceled
            again = shlex.join([_program(), *sys.argv[1:]])
            click.echo(f"\nCanceled before the run started: nothing was changed. To go on, run `{again}` again.")
            sys.exit(_CANCELED)


def _run(job: str, years: str | None, data: DataSettings) -> None:
    from bridge_assets.data.lake import Lake
    from bridge_assets.data.origin import refuse_mix_with_source
    from bridge_assets.data.sources.local_copies import redact_url

    if job not in _JOBS_WITHOUT_FILES:
        refuse_mix_with_source(Lake(data.lake), data)
    if data.uses_sample and (sample_message := ensure_sample(data)):
        click.echo(sample_message)
    shown_source = str(data.source_folder) if data.source_kind in ("folder", "sample") else redact_url(data.source)
    source_years = _source_years(data, shown_source)
    # Imported only now: the partitions are the survey years of the source, and the sample may have just been written.
    from bridge_assets.orchestration.partitions import survey_year_partitions
    from bridge_assets.orchestration.runs.run_job import run_job
    from bridge_assets.orchestration.runs.summary import canceled_message, run_summary

    partition_years = [int(key) for key in survey_year_partitions(data).get_partition_keys()]
    loaded = Lake(data.lake).available_years("raw_bridges")
    first, last = _selected_years(years, source_years, partition_years, loaded)
    if job not in _JOBS_WITHOUT_FILES:
        first, last = _with_files((first, last), source_years, loaded)
    for line in _announcement(job, (first, last), source_years, partition_years, loaded, shown_source, bool(years)):
        click.echo(line)
    result = run_job(job, (first, last), terminal=sys.stdout)
    if result.canceled:
        click.echo(canceled_message(result, shlex.join([_program(), *sys.argv[1:]])))
        sys.exit(_CANCELED)
    click.echo(run_summary(result, data, _program()))
    all_years_read = result.checks.get(YEARS_READ, (True, "", ""))[:2] != (False, "ERROR")
    sys.exit(0 if result.success and all_years_read else 1)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
def dev(host: str, port: int) -> None:
    """Open the Dagster UI, with its daemon, on this machine, and serve the reports that it links to."""
    from bridge_assets.cli.ports import require_free_port
    from bridge_assets.orchestration.runs.dagster_home import ensure_dagster_home

    require_free_port(host, port)  # before anything takes time
    data = DataSettings.load()
    if data.uses_sample:
        ensure_sample(data)
    ensure_dagster_home(data)
    _serve_reports(data)
    dagster = str(Path(sys.executable).parent / "dagster")
    arguments = [dagster, "dev", "-w", str(workspace_file()), "-h", host, "-p", str(port)]
    os.execv(dagster, arguments)  # noqa: S606 # a shell would add nothing but quoting


def _serve_reports(data: DataSettings) -> None:
    """Serve the reports until this process, which becomes `dagster dev`, ends."""
    from bridge_assets.cli.ports import listen_from
    from bridge_assets.reporting import report_server

    listener = listen_from(report_server.HOST, data.reports_port)
    if listener is None:
        click.echo(f"No free port from {data.reports_port} on: the reports are only in {data.reports_folder}", err=True)
        return
    port = listener.getsockname()[1]
    if port != data.reports_port:
        click.echo(
            f"Port {data.reports_port} (reports_port in data_config.yaml) is in use: links to reports of earlier runs "
            "lead there.",
            err=True,
        )
    # The runs that are started in this UI link to the port that is in use now.
    os.environ["BRIDGE_ASSETS_DATA__REPORTS_PORT"] = str(port)
    report_server.start_report_server(data.reports_folder, listener)
    click.echo(f"Reports: http://{report_server.HOST}:{port}/ shows {data.reports_folder}")


def _program() -> str:
    """How this command was called, such as `.venv/bin/bridge-assets`; its name alone if the shell finds it."""
    name = Path(sys.argv[0]).name
    found = shutil.which(name)
    return name if found and Path(found).samefile(sys.argv[0]) else sys.argv[0]


def _source_years(data: DataSettings, shown_source: str) -> list[int]:
    """The survey years in the source, sorted; a remote folder is listed over the network."""
    from bridge_assets.data.sources.acquire import known_years, remote_years, unused_files
    from bridge_assets.data.sources.left_alone import left_alone_sentence, looks_like_data

    source_years = known_years(data) or (list(remote_years(data)) if data.source_kind == "remote" else [])
    unused = unused_files(data)
    if source_years and (meant := {name: reason for name, reason in unused.items() if looks_like_data(name)}):
        click.echo(f"{shown_source}: {left_alone_sentence(meant)}", err=True)
    if not source_years:
        if data.source_kind == "fhwa":
            raise SourceError(
                "no survey year is listed",
                where="fhwa.catalogue in configs/data_config.yaml",
                why="It lists the survey years that FHWA has published",
                do="add a line such as `2025: {}` there",
            )
        raise SourceError(
            "the source has no survey files",
            where=shown_source,
            why=left_alone_sentence(unused) or "It is empty",
            do="put files there with names such as NBI_2016.txt, or set source in configs/data_config.yaml or in "
            "BRIDGE_ASSETS_DATA__SOURCE",
        )
    return source_years


def _selected_years(
    years: str | None, source_years: list[int], partition_years: list[int], loaded: Sequence[int] = ()
) -> tuple[int, int]:
    """First and last survey year to run: those given, otherwise all that the source and the settings allow.

    `loaded` are the years in the lake.
    """
    from bridge_assets.data.origin import format_years

    available_years = [year for year in source_years if year in partition_years] or partition_years
    first, last = _parse_years(years) if years else (available_years[0], available_years[-1])
    if unknown := [year for year in (first, last) if year not in partition_years]:
        year, available = unknown[0], format_years(available_years)
        if year in source_years:
            raise click.BadParameter(f"{year} is excluded by survey_years in data_config.yaml. Available: {available}")
        raise click.BadParameter(
            f"{year} is not a survey year of this source. Available: {available}{_withdrawn_hint(year, loaded)}"
        )
    return first, last


def _with_files(selected: tuple[int, int], source_years: list[int], loaded: Sequence[int]) -> tuple[int, int]:
    """The years of a range from the first to the last of which the source has a file. Prints which it has not.

    A year may have a partition before its file arrives.
    """
    from bridge_assets.data.origin import format_years

    first, last = selected
    present = [year for year in source_years if first <= year <= last]
    if not present:
        raise click.BadParameter(
            f"the source has no file of {_survey_years(list(range(first, last + 1)))}. It has "
            f"{format_years(source_years)}{_withdrawn_hint(first, loaded)}"
        )
    if missing := [year for year in range(first, last + 1) if year < present[0] or year > present[-1]]:
        click.echo(f"The source has no file of {_survey_years(missing)}")
    return present[0], present[-1]


def _withdrawn_hint(year: int, loaded: Sequence[int]) -> str:
    hint = f". The lake has its records from an earlier file: `bridge-assets lake drop-year {year}` removes them"
    return hint if year in loaded else ""


def _announcement(
    job: str,
    selected: tuple[int, int],
    source_years: list[int],
    partition_years: list[int],
    loaded: list[int],
    shown_source: str,
    were_given: bool,
) -> list[str]:
    """Which years a run loads, and which other ones its results hold."""
    first, last = selected
    running = [year for year in partition_years if first <= year <= last]
    skipped = [year for year in source_years if year not in partition_years]
    skipped = [year for year in skipped if not were_given or first <= year <= last]
    others = [year for year in loaded if year not in running]
    lines = [f"Running {job} over {_survey_years(running)} from {shown_source} ..."]
    if skipped:
        lines.insert(0, f"Skipping what survey_years in data_config.yaml excludes: {_survey_years(skipped)}")
    if others:
        lines.append(
            f"Tables over all years, and the reports, also hold what was loaded before: {_survey_years(others)}"
        )
    return lines


def _survey_years(years: list[int]) -> str:
    from bridge_assets.data.origin import format_years

    return f"survey year{'s' if len(years) > 1 else ''} {format_years(years)}"


def _parse_years(years: str) -> tuple[int, int]:
    first, _, last = years.partition("-")
    try:
        selected = int(first), int(last or first)
    except ValueError:
        raise click.BadParameter(f"{years!r} is not a survey year or a range such as 2010-2020") from None
    if selected[0] > selected[1]:
        raise click.BadParameter(f"{years}: the first year is later than the last. Try {selected[1]}-{selected[0]}")
    return selected
