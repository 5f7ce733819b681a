"""Jobs and schedules of what watches the platform. The schedules are stopped by default."""

import dagster as dg

from bridge_assets.orchestration.jobs.retention import retention

DAILY_METRICS = dg.define_asset_job(
    "daily_metrics",
    selection=dg.AssetSelection.assets("pipeline_metrics"),
    description="Adds the lines of metrics/pipeline.jsonl to the table pipeline_metrics.",
)

INSTANCE_HEALTH = dg.define_asset_job(
    "hourly_health",
    selection=dg.AssetSelection.assets("instance_health"),
    description="Looks for stuck runs, dead daemons, missed ticks and full disks.",
)

OPERATIONS_JOBS = [DAILY_METRICS, INSTANCE_HEALTH, retention]

OPERATIONS_SCHEDULES = [
    dg.ScheduleDefinition(
        name="daily_metrics",
        job=DAILY_METRICS,
        cron_schedule="40 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Every day at 03:40 UTC: update the table pipeline_metrics.",
    ),
    dg.ScheduleDefinition(
        name="hourly_health",
        job=INSTANCE_HEALTH,
        cron_schedule="50 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Every hour: check the health of the instance. What is wrong is told by the sensor alerts.",
    ),
    dg.ScheduleDefinition(
        name="weekly_retention",
        job=retention,
        cron_schedule="10 2 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Sundays at 02:10 UTC: remove old runs; only lists them until dry_run is false.",
    ),
]
