"""Records that a closed gate was overridden: in the log, as a tag of the run, and as a Slack alert."""

from __future__ import annotations

import dagster as dg

from bridge_assets.alerting.outbox import Message, Outbox
from bridge_assets.deployment.gate.decision import Override
from bridge_assets.orchestration.alerts.send_now import send_now
from bridge_assets.settings.alerts import AlertSettings

OVERRIDE_TAG = "bridge_assets/gate_override"

#: Longest reason in a tag, in characters; the metadata contains the full text.
_MAX_TAG_LENGTH = 200


def record_override(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    action: str,
    override: Override,
    outbox: Outbox,
    alerts: AlertSettings | None = None,
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
    alerts : AlertSettings, optional
        Where alerts go; the webhook in SLACK_WEBHOOK_URL by default.
    """
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, {OVERRIDE_TAG: override.reason[:_MAX_TAG_LENGTH]})
    message = f"The gate is closed and was overridden: {override.reason}\n{action}"
    context.log.warning(message)
    text = f"{message}\nrun {run_id}"
    summary = f"override of the gate: {override.reason}"
    for problem in send_now(Message(f"override:{run_id}:{action}", summary, text), outbox, alerts or AlertSettings()):
        context.log.warning(f"Alert of the override: {problem}")
