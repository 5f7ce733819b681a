"""Records that a closed gate was overridden: in the log, as a tag of the run, and as a Slack alert."""

from __future__ import annotations

import os

import dagster as dg

from bridge_assets.alerting.outbox import Message, Outbox
from bridge_assets.alerting.slack import WEBHOOK_VARIABLE, alert
from bridge_assets.deployment.gate.decision import Override
from bridge_assets.file_lock import LockHeldError

OVERRIDE_TAG = "bridge_assets/gate_override"

#: Longest reason in a tag, in characters; the metadata contains the full text.
_MAX_TAG_LENGTH = 200


def record_override(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, action: str, override: Override, outbox: Outbox
) -> None:
    """Record an override.

    Parameters
    ----------
    context : AssetExecutionContext or OpExecutionContext
    action : str
        What was done although the gate was closed, and which checks had not passed.
    override : Override
    outbox : Outbox
        Keeps the alert if Slack does not take it now; the sensor `alerts` sends it later.
    """
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, {OVERRIDE_TAG: override.reason[:_MAX_TAG_LENGTH]})
    message = f"The gate is closed and was overridden: {override.reason}\n{action}"
    context.log.warning(message)
    webhook = os.environ.get(WEBHOOK_VARIABLE, "")
    if not webhook:
        return
    text = f"{message}\nrun {run_id}"
    try:
        outbox.add([Message(f"override:{run_id}:{action}", f"override of the gate: {override.reason}", text)])
        problems = outbox.flush({WEBHOOK_VARIABLE: webhook}).problems
    except (OSError, LockHeldError) as error:
        sent = "sent" if alert(text) else "not sent"
        problems = (f"the alert was {sent} and is not kept on disk: {error}",)
    for problem in problems:
        context.log.warning(f"Alert of the override: {problem}")
