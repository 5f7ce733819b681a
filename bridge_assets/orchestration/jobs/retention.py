"""The job that removes old runs from Dagster's storage. It only lists them unless the settings say otherwise."""

import time

import dagster as dg
from pydantic import Field

from bridge_assets import markdown
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.resources import Platform


class RetentionConfig(dg.Config):
    """Overrides `retention` in environment.yaml for one run."""

    days: int | None = Field(default=None, ge=1, description="Age in days. Empty = the setting (400 by default).")
    dry_run: bool | None = Field(default=None, description="Only list. Empty = the setting (true by default).")


@dg.op(out=dg.Out(dg.Nothing))
def remove_old_runs(context: dg.OpExecutionContext, config: RetentionConfig, platform: Platform) -> None:
    from bridge_assets.orchestration.retention.evidence import evidence
    from bridge_assets.orchestration.retention.removal import remove_old_runs as remove
    from bridge_assets.orchestration.retention.versions import protected_digests, protected_versions

    settings = platform.environment.retention
    days = settings.days if config.days is None else config.days
    dry_run = settings.dry_run if config.dry_run is None else config.dry_run
    with user_errors_as_failures():
        versions, digests = protected_versions(platform), protected_digests(platform)
        kept = evidence(context.instance, versions, digests)
    before = time.time() - days * 86400
    removal = remove(context.instance, before, kept.runs, dry_run, context.log.info)
    verb = "would be removed" if dry_run else "removed"
    context.log.info(
        f"{removal.removed:,} runs that ended more than {days} days ago {verb}; {sum(removal.kept.values()):,} stay "
        f"because they are needed. {'Nothing was removed (dry_run).' if dry_run else ''}".strip()
    )
    context.add_output_metadata(
        {
            "dry_run": dry_run,
            "days": days,
            "runs": removal.removed,
            "kept": sum(removal.kept.values()),
            "instigators_with_old_ticks": removal.ticks,
            "model_versions": len(versions),
            "by_job": dg.MetadataValue.md(markdown.table(("job", f"runs that {verb}"), list(removal.by_job.items()))),
            "why_kept": dg.MetadataValue.md(markdown.table(("reason", "runs that stay"), list(removal.kept.items()))),
        }
    )


@dg.job(
    name="retention",
    description=(
        "Remove runs that ended more than 400 days ago (`retention` in environment.yaml) from Dagster's storage, with "
        "their events, output and ticks. Only lists them until dry_run is false. What the gate, a rollback or the UI "
        "needs stays: the latest materialization and check results, all that is about a model version that exists, "
        "deployments, rollbacks, overrides and acknowledgements."
    ),
)
def retention() -> None:
    remove_old_runs()
