"""Jobs and schedules of what watches the platform. The schedules are stopped by default."""

import dagster as dg

DAILY_METRICS = dg.define_asset_job(
    "daily_metrics",
    selection=dg.AssetSelection.assets("pipeline_metrics"),
    description="Adds the lines of metrics/pipeline.jsonl to the table pipeline_metrics.",
)

OPERATIONS_JOBS = [DAILY_METRICS]

OPERATIONS_SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_metrics",
        job=DAILY_METRICS,
        cron_schedule="40 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Every day at 03:40 UTC: update the table pipeline_metrics.",
    ),
]
