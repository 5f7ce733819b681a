"""What watches the platform itself. Not part of the pipeline: each has a job and a schedule of its own."""

import dagster as dg

from bridge_assets.metrics.pipeline_table import COLUMNS
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
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
