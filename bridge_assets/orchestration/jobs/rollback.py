"""Jobs that roll an endpoint back to an earlier model version, one per endpoint.

A rollback is possible only to a version that the endpoint has served before, because that version passed the gate then.
Any other version is a deployment: materialise the endpoint with its name, which checks the gate.
"""

import dagster as dg
from pydantic import Field

from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.resources import Platform


class RollbackConfig(dg.Config):
    """Which version to roll back to."""

    model_version: str = Field(
        default="",
        description="Name of a version that was deployed there before; empty = the last healthy one.",
    )


def _rollback_job(key: str, title: str) -> dg.JobDefinition:
    asset = f"{key}_endpoint"

    @dg.op(name=f"rollback_{key}_endpoint", out=dg.Out(dg.Nothing))
    def rollback_endpoint(context: dg.OpExecutionContext, config: RollbackConfig, platform: Platform) -> None:
        from bridge_assets.deployment.endpoints import open_endpoint

        with user_errors_as_failures():
            endpoint = open_endpoint(key, platform.environment, platform.data)
            deployment = endpoint.rollback(config.model_version or None)
        context.log.info(f"{asset} serves {deployment.version} again")
        context.log_event(
            dg.AssetMaterialization(
                asset_key=asset,
                description=f"Rolled back to {deployment.version}.",
                metadata={
                    "rollback": True,
                    "model_version": deployment.version,
                    "previous_version": deployment.previous or "",
                    "address": deployment.address,
                    "canary_rows": deployment.canary.rows,
                    "canary_largest_difference": deployment.canary.largest_difference,
                    "removed": ", ".join(deployment.removed),
                },
                tags={"dagster/data_version": deployment.version},
            )
        )

    @dg.job(
        name=f"rollback_{key}",
        description=(
            f"Roll {title} back to the last healthy model version, or to a named one that was deployed there before, "
            "after a canary."
        ),
    )
    def rollback() -> None:
        rollback_endpoint()

    return rollback


ROLLBACK_JOBS = [
    _rollback_job("local", "the local endpoint"),
    *(_rollback_job(target.key, target.title) for target in REMOTE_TARGETS),
]
