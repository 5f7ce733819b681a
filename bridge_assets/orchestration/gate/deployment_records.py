"""Writes what happens to an endpoint into the log that the dashboard reads (`deployment.core.deployment_log`).

A log that cannot be written is a warning: the deployment itself, and Dagster's own record of it, are not touched.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.deployment.core.deployment_log import DeploymentRecord, Outcome, log_deployment

if TYPE_CHECKING:
    from bridge_assets.deployment.gate.decision import Decision


def record_deployment(
    context: dg.AssetExecutionContext,
    home: Path,
    decision: "Decision",
    outcome: Outcome,
    *,
    previous: str = "",
    reason: str = "",
) -> None:
    """Log a deployment, or that the gate refused one, with every finding."""
    record = DeploymentRecord(
        endpoint=context.asset_key.to_user_string(),
        outcome=outcome,
        version=decision.version,
        previous=previous,
        gate="closed" if outcome == "refused" else "open" if decision.is_open else "overridden",
        findings=[
            {
                "check": str(finding.requirement),
                "state": finding.state,
                "message": ". ".join(filter(None, (finding.reason, finding.message, finding.next_step))),
            }
            for finding in decision.findings
        ],
        objections=decision.objections,
        reason=reason,
        run=context.run.run_id,
    )
    _write(context, home, record)


def record_rollback(
    context: dg.OpExecutionContext, home: Path, endpoint: str, version: str, left_version: str, reason: str
) -> None:
    """Log a rollback."""
    record = DeploymentRecord(
        endpoint, "rolled back", version, previous=left_version, reason=reason, run=context.run.run_id
    )
    _write(context, home, record)


def _write(context: Any, home: Path, record: DeploymentRecord) -> None:
    try:
        log_deployment(home, record)
    except OSError as error:
        context.log.warning(f"The dashboard will not show this: {error}")
