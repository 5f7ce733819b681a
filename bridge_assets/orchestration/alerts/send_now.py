"""Sends an alert from within a run, such as that of an override. Never breaks the run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from bridge_assets.alerting.blocks import slack_blocks
from bridge_assets.alerting.message import Message
from bridge_assets.alerting.outbox import Outbox
from bridge_assets.alerting.quiet import is_quiet
from bridge_assets.alerting.text import slack_text
from bridge_assets.file_lock import LockHeldError
from bridge_assets.orchestration.alerts.routing import default_destination, open_destinations
from bridge_assets.settings.alerts import AlertSettings


def send_now(message: Message, outbox: Outbox, settings: AlertSettings) -> Sequence[str]:
    """Keep a message for the default destination on disk, and send it unless its kind waits for quiet hours to end.

    Parameters
    ----------
    message : Message
        Its destination is replaced.
    outbox : Outbox
        Keeps it if Slack does not take it now; the sensor `alerts` sends it later.
    settings : AlertSettings

    Returns
    -------
    sequence of str
        What went wrong. Nothing is done, and nothing is wrong, if no destination is set.
    """
    destinations = open_destinations(settings)
    name = default_destination(destinations)
    if not name:
        return ()
    quiet = is_quiet(settings.quiet_hours, time.time())
    held = quiet and message.key.partition(":")[0] not in settings.quiet_hours.urgent_kinds
    message = replace(message, variable=name, held=held)
    try:
        outbox.add([message])
        return outbox.flush({name: destinations[name]}, settings.digest_above, quiet).problems
    except (OSError, LockHeldError) as error:
        delivery = destinations[name].post(slack_text(message.text), slack_blocks(message.text, message.links))
        sent = "sent" if delivery.delivered else "not sent"
        return (f"the alert was {sent} and is not kept on disk: {error}",)
