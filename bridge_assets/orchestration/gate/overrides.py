"""A closed gate that was passed on purpose: logged, tagged on the run, and told to whoever watches."""

from __future__ import annotations

import dagster as dg

from bridge_assets.alerting.slack import alert
from bridge_assets.deployment.gate.decision import Override
from bridge_assets.errors import AlertError

OVERRIDE_TAG = "bridge_assets/gate_override"

#: Most characters of a reason that a tag holds; the whole of it stands in the metadata.
_MAX_TAG_LENGTH = 200


def record_override(context: dg.AssetExecutionContext | dg.OpExecutionContext, action: str, override: Override) -> None:
    """Record an override.

    Parameters
    ----------
    context : AssetExecutionContext or OpExecutionContext
    action : str
        What was done although the gate was closed, and what stood in the way.
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
