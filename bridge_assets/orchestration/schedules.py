"""Schedules. They are stopped by default, because they write scores that people act on."""

import dagster as dg

from bridge_assets.orchestration.resources import Platform


@dg.schedule(
    job_name="scoring",
    cron_schedule="0 5 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description=(
        "Mondays at 05:00 UTC: score the latest survey year with the model that is being served, and report. Skips, "
        "with the reason, if there are no features to score or no model to score them with."
    ),
)
def weekly_scoring(context: dg.ScheduleEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
    years = platform.lake.available_years("bridge_features")
    if not years:
        return dg.SkipReason("No survey year has features yet: run full_pipeline first.")
    if not (platform.data.endpoint_folder / "current").exists():
        return dg.SkipReason("No model is being served yet: materialise local_endpoint first.")
    return dg.RunRequest(partition_key=str(years[-1]))


@dg.schedule(
    job_name="smoke_checks",
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description=(
        "Every hour: send the canary to the local endpoint and to every enabled one. Skips, with the reason, while "
        "nothing is deployed."
    ),
)
def smoke_checks(context: dg.ScheduleEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
    if not (platform.data.endpoint_folder / "current").exists():
        return dg.SkipReason("No model is being served yet: materialise local_endpoint first.")
    return dg.RunRequest()
