"""Records what was decided about the gate, and by whom: in the log, as a tag of the run, and as a Slack alert."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg

from bridge_assets.alerting.outbox import Message, Outbox
from bridge_assets.deployment.gate.decision import Override
from bridge_assets.orchestration.alerts.send_now import send_now
from bridge_assets.orchestration.tags import RETRAINING_TAG
from bridge_assets.settings.alerts import AlertSettings

OVERRIDE_TAG, ACKNOWLEDGED_TAG = "bridge_assets/gate_override", "bridge_assets/acknowledged"

#: Longest reason in a tag, in characters; the metadata contains the full text.
_MAX_TAG_LENGTH = 200

Context = dg.AssetExecutionContext | dg.OpExecutionContext


def record_override(
    context: Context, action: str, override: Override, outbox: Outbox, alerts: AlertSettings | None = None
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
    run_id, reason = context.run.run_id, override.reason
    context.instance.add_run_tags(run_id, {OVERRIDE_TAG: reason[:_MAX_TAG_LENGTH]})
    text = f"The gate is closed and was overridden: {reason}\n{action}"
    _tell(context, Message(f"override:{run_id}:{action}", f"override of the gate: {reason}", text), outbox, alerts)


def record_acknowledgement(
    context: Context, alarms: str, reason: str, outbox: Outbox, alerts: AlertSettings | None = None
) -> None:
    """Record that somebody acknowledged what the watch found.

    Parameters
    ----------
    context : AssetExecutionContext or OpExecutionContext
    alarms : str
        What was acknowledged, one line each.
    reason : str
    outbox, alerts
        As for `record_override`.
    """
    run_id = context.run.run_id
    context.instance.add_run_tags(run_id, {ACKNOWLEDGED_TAG: reason[:_MAX_TAG_LENGTH]})
    text = f"What had closed the gate was acknowledged: {reason}\n{alarms}"
    _tell(context, Message(f"acknowledgement:{run_id}", f"acknowledged: {reason}", text), outbox, alerts)


def record_promotion(
    context: dg.AssetExecutionContext, version: str, previous: str, outbox: Outbox, alerts: AlertSettings
) -> None:
    """Record that the retraining loop promoted a version.

    Parameters
    ----------
    context : AssetExecutionContext
        Of the endpoint.
    version, previous : str
        What serves now, and what served before; empty = nothing did.
    outbox, alerts
        As for `record_override`.
    """
    asset, run = context.asset_key.to_user_string(), context.run
    reason = run.tags.get(RETRAINING_TAG, "")
    text = (
        f"{asset} serves model {version} in place of {previous or 'none'}: promoted by the sensor `promotion`, through "
        f"the gate.\nWhy it was trained: {reason}\nTo return: bridge-assets rollback "
        f'{asset.removesuffix("_endpoint")} --reason "..."'
    )
    _tell(context, Message(f"promotion:{run.run_id}:{asset}", f"{asset} serves model {version}", text), outbox, alerts)


def _tell(context: Context, message: Message, outbox: Outbox, alerts: AlertSettings | None) -> None:
    """Log a message, and send it with the run."""
    context.log.warning(message.text)
    sent = replace(message, text=f"{message.text}\nrun {context.run.run_id}")
    for problem in send_now(sent, outbox, alerts or AlertSettings()):
        context.log.warning(f"The alert: {problem}")
