"""Runs, steps and assets from the JSON lines that runs write (`metrics.pipeline_metrics`), without Dagster."""

from __future__ import annotations

from pathlib import Path

from bridge_assets.dashboard.queries.tables import MissingTableError, Row, Tables

#: As in `metrics.pipeline_metrics`, which is not imported here, because it knows Dagster.
METRICS_FILE = Path("metrics", "pipeline.jsonl")

#: Columns of the lines, with their types in DuckDB.
_COLUMNS = {
    "kind": "varchar",
    "at": "double",
    "run": "varchar",
    "job": "varchar",
    "partition": "varchar",
    "step": "varchar",
    "outcome": "varchar",
    "seconds": "double",
    "asset": "varchar",
    "rows": "bigint",
    "bytes": "bigint",
    "peak_memory_mb": "double",
}

#: Steps of a run that are listed, the slowest first.
MAX_STEPS = 40


def recent_runs(tables: Tables, home: Path, count: int) -> list[Row]:
    """The last runs: run, job, partition, outcome, seconds, peak_memory_mb, at (Unix seconds), steps, failed (names).

    Raises
    ------
    MissingTableError
        If no run has been logged yet.
    """
    lines = _lines(home)
    return tables.rows(
        f"""
        with lines as (select * from {lines}),
        steps as (
            select run, count(*) as steps, list(distinct step) filter (outcome = 'failure') as failed
            from lines where kind = 'step' group by run
        )
        select lines.*, coalesce(steps.steps, 0) as steps, coalesce(steps.failed, []) as failed
        from lines left join steps using (run) where kind = 'run' order by "at" desc limit ?
        """,
        [count],
    )


def steps_of(tables: Tables, home: Path, run: str) -> list[Row]:
    """The steps of a run, the slowest first."""
    return tables.rows(
        f"select * from {_lines(home)} where kind = 'step' and run = ? order by seconds desc nulls last limit ?",
        [run, MAX_STEPS],
    )


def last_assets(tables: Tables, home: Path) -> list[Row]:
    """The last materialization of each asset: asset, at, partition, rows, bytes, run, and how many there were."""
    return tables.rows(
        f"""
        with lines as (select asset, "at" as moment, "partition" as part, "rows" as height, bytes, run
                       from {_lines(home)} where kind = 'asset' and asset is not null)
        select asset, max(moment) as "at", arg_max(part, moment) as "partition", arg_max(height, moment) as "rows",
            arg_max(bytes, moment) as bytes, arg_max(run, moment) as run, count(*) as times
        from lines group by asset order by "at" desc, asset
        """
    )


def log_stamp(home: Path) -> tuple[object, ...]:
    """Changes whenever a run writes a line."""
    found = []
    for path in log_files(home):
        status = path.stat()
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)


def log_files(home: Path) -> list[Path]:
    """The files of the lines."""
    file = home / METRICS_FILE
    return sorted(path for path in file.parent.glob(f"{file.stem}*{file.suffix}") if path.is_file())


def _lines(home: Path) -> str:
    files = log_files(home)
    if not files:
        raise MissingTableError(
            "no run has been logged yet",
            where=home / METRICS_FILE,
            why="The file does not exist",
            do="run the pipeline",
        )
    names = ", ".join("'{}'".format(str(path).replace("'", "''")) for path in files)
    columns = ", ".join(f"\"{name}\": '{kind}'" for name, kind in _COLUMNS.items())
    # A line that a full disk or a crash left half-written is skipped.
    return f"read_json([{names}], format = 'newline_delimited', columns = {{{columns}}}, ignore_errors = true)"
