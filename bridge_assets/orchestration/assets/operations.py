"""What watches the platform itself. Not part of the pipeline: each has a job and a schedule of its own."""

import time
from collections.abc import Callable
from contextlib import suppress

import dagster as dg

from bridge_assets.metrics.pipeline_table import COLUMNS
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.health.findings import Findings
from bridge_assets.orchestration.metadata import display
from bridge_assets.orchestration.metadata.table_schemas import SCHEMA_KEY
from bridge_assets.orchestration.resources import Platform


@dg.asset(
    group_name=groups.OPERATIONS,
    owners=display.DATA_OWNERS,
    kinds={"polars", "parquet"},
    metadata={
        SCHEMA_KEY: dg.TableSchema(
            columns=[dg.TableColumn(name, kind, meaning) for name, (kind, meaning) in COLUMNS.items()]
        )
    },
    description=(
        "One row for each run, step and materialized asset: when, how long, how many rows and bytes, peak memory, how "
        "it ended. Made from the JSON lines that every run writes to metrics/pipeline.jsonl, and kept when those are "
        "rotated away. Lines that cannot be read are counted and named."
    ),
)
def pipeline_metrics(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.metrics.pipeline_metrics import METRICS_FILE
    from bridge_assets.metrics.pipeline_table import update_pipeline_table

    with user_errors_as_failures():
        path = platform.lake.table_path("pipeline_metrics")
        with platform.lake.writing():
            table, update = update_pipeline_table(platform.data.home_folder / METRICS_FILE, path)
    for place in update.named:
        context.log.warning(f"Not a line of pipeline metrics: {place}")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": update.rows,
            "added": update.added,
            "torn_lines": update.torn,
            "foreign_lines": update.foreign,
            "not_read": dg.MetadataValue.text("\n".join(update.named) or "none"),
            "file": display.path_metadata(path),
            "query": dg.MetadataValue.text(
                f"select step, avg(seconds) from '{path}' where kind = 'step' group by all order by 2 desc"
            ),
            "preview": display.preview(table.tail(6)),
        }
    )


HEALTH_CHECKS = {
    "no_stuck_runs": "No run is without an event for long, takes much longer than usual, or waits long to start.",
    "daemons_alive": "Every daemon that the instance needs has reported lately, without an error.",
    "no_missed_ticks": "Every sensor and schedule that is on had its last tick.",
    "enough_disk": "The disks of the platform and of Dagster's storage have free space.",
    "storage_size": "Dagster's event log and runs, with SQLite, are below the limit.",
}


@dg.asset(
    group_name=groups.OPERATIONS,
    owners=display.DATA_OWNERS,
    kinds={"dagster"},
    check_specs=[
        dg.AssetCheckSpec(name, asset="instance_health", description=f"{meaning} Limits: `health` in environment.yaml.")
        for name, meaning in HEALTH_CHECKS.items()
    ],
    description=(
        "The health of the Dagster instance as numbers: runs that are stuck, daemons, missed ticks, free disk, size of "
        "the storage. Its checks fail with what to do, and the sensor `alerts` tells it. If no daemon runs at all, "
        "nothing runs this: the exporter's metrics tell that."
    ),
)
def instance_health(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.orchestration.health.daemons import dead_daemons, missed_ticks, time_zones_of
    from bridge_assets.orchestration.health.disks import full_disks, large_storage, sqlite_folder
    from bridge_assets.orchestration.health.runs import stuck_runs

    instance, settings, now = context.instance, platform.environment.health, time.time()
    repository = None
    with suppress(Exception):  # outside a code location, as in a test or a notebook, there is none
        repository = context.repository_def
    zones = time_zones_of(repository)
    storage = sqlite_folder(instance)
    folders = {"home": platform.data.home_folder, **({"dagster": storage} if storage else {})}
    readings: dict[str, Callable[[], Findings]] = {
        "no_stuck_runs": lambda: stuck_runs(instance, settings, now, context.run.run_id),
        "daemons_alive": lambda: dead_daemons(instance, settings, now),
        "no_missed_ticks": lambda: missed_ticks(instance, settings, now, zones),
        "enough_disk": lambda: full_disks(folders, settings),
        "storage_size": lambda: large_storage(instance, settings),
    }
    found = {name: _read(reading) for name, reading in readings.items()}
    return dg.MaterializeResult(
        metadata={key: value for findings in found.values() for key, value in findings.numbers.items()},
        check_results=[
            dg.AssetCheckResult(
                check_name=name,
                passed=not findings.problems,
                description=findings.description,
                metadata={"problems": len(findings.problems), **findings.numbers},
            )
            for name, findings in found.items()
        ],
    )


def _read(reading: Callable[[], Findings]) -> Findings:
    """A reading; one that fails is a problem of its own, and the others are still told."""
    try:
        return reading()
    except Exception as error:  # whatever the storage raises
        return Findings([f"it could not be read: {type(error).__name__}: {error}"[:500]], {}, "see the log of this run")
