"""Jobs that roll an endpoint back to an earlier model version, one per endpoint.

A rollback is possible only to a version that the endpoint has served before, because that version passed the gate then.
Any other version is a deployment: materialise the endpoint with its name, which checks the gate.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from bridge_assets.deployment.gate.decision import MIN_REASON_LENGTH
from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.errors import DeploymentError
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.gate.deployment_records import record_rollback
from bridge_assets.orchestration.gate.rollbacks import (
    LEFT_VERSION_KEY,
    REASON_KEY,
    ROLLBACK_KEY,
    left_versions,
)
from bridge_assets.orchestration.model_chain import MODEL_VERSION_KEY
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    from bridge_assets.deployment.core.target import Deployment


class RollbackConfig(dg.Config):
    """Which version to roll back to, and why."""

    model_version: str = Field(
        default="",
        description="Name of a version that was served there before; empty = the last healthy one.",
    )
    reason: str = Field(
        default="",
        description=(
            "Why. Stored with the rollback, and shown to whoever deploys the version that is left now. Required (at "
            "least ten characters) to return to a version that was itself rolled back."
        ),
    )


def _rollback_job(key: str, title: str) -> dg.JobDefinition:
    asset = f"{key}_endpoint"

    @dg.op(name=f"rollback_{key}_endpoint", out=dg.Out(dg.Nothing))
    def rollback_endpoint(context: dg.OpExecutionContext, config: RollbackConfig, platform: Platform) -> None:
        with user_errors_as_failures():
            _require_reason(context.instance, asset, config)
            left_version, deployment = _roll_back(key, platform, config.model_version or None)
        context.log.info(f"{asset} serves {deployment.version} again, in place of {left_version}")
        home, reason = platform.data.home_folder, config.reason.strip()
        record_rollback(context, home, asset, deployment.version, left_version, reason)
        context.log_event(
            dg.AssetMaterialization(
                asset_key=asset,
                description=f"Rolled back to {deployment.version}.",
                metadata={
                    ROLLBACK_KEY: True,
                    MODEL_VERSION_KEY: deployment.version,
                    LEFT_VERSION_KEY: left_version,
                    REASON_KEY: reason,
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


def _require_reason(instance: dg.DagsterInstance, asset: str, config: RollbackConfig) -> None:
    """Refuse to return to a version that was itself rolled back, unless there is a reason."""
    described = left_versions(instance, asset).get(config.model_version)
    if described is not None and len(config.reason.strip()) < MIN_REASON_LENGTH:
        raise DeploymentError(
            f"{asset} was itself rolled back from version {config.model_version} {described}",
            do=f"give a reason of at least {MIN_REASON_LENGTH} characters to serve it again, or name another version",
        )


def _roll_back(key: str, platform: Platform, version: str | None) -> tuple[str, "Deployment"]:
    """Returns the version that stopped serving, and the result. With the local endpoint, the alias `champion` moves."""
    from bridge_assets.deployment.endpoints import open_endpoint
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.registry.model_version import declared_digests
    from bridge_assets.registry.register import prepare_promotion

    endpoint = open_endpoint(key, platform.environment, platform.data)
    left_version = endpoint.current() or ""
    if not isinstance(endpoint, LocalEndpoint):
        return left_version, endpoint.rollback(version)

    def prepare(manifest: Mapping[str, Any]) -> Callable[[], object]:
        files, home = declared_digests(manifest), platform.data.home_folder
        return prepare_promotion(manifest["version"], files, platform.registry, home, platform.model.name)

    return left_version, endpoint.rollback(version, prepare)


ROLLBACK_JOBS = [
    _rollback_job("local", "the local endpoint"),
    *(_rollback_job(target.key, target.title) for target in REMOTE_TARGETS),
]
