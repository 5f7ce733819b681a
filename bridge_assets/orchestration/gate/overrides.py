"""Records that a closed gate was overridden: in the log, as a tag of the run, and as a Slack alert."""

from __future__ import annotations

import dagster as dg

from bridge_assets.alerting.slack import alert
from bridge_assets.deployment.gate.decision import Override
from bridge_assets.errors import AlertError

OVERRIDE_TAG = "bridge_assets/gate_override"

#: Longest reason in a tag, in characters; the metadata contains the full text.
_MAX_TAG_LENGTH = 200


def record_override(context: dg.AssetExecutionContext | dg.OpExecutionContext, action: str, override: Override) -> None:
    """Record an override.

    Parameters
    ----------
    context : AssetExecutionContext or OpExecutionContext
    action : str
        What was done although the gate was closed, and which checks had not passed.
    override : Override
    """
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, {OVERRIDE_TAG: override.reason[:_MAX_TAG_LENGTH]})
    message = f"The gate is closed and was overridden: {override.reason}\n{action}"
    context.log.warning(message)
    try:
        alert(f"{message}\nrun {run_id}")
    except AlertError as error:
        context.log.warning(str(error))
