"""The sensor that sends alerts. Without a destination it sends nothing and keeps nothing."""

import os
import time
from collections.abc import Sequence

import dagster as dg

from bridge_assets.alerting.slack import WEBHOOK_VARIABLE
from bridge_assets.orchestration.alerts.events import AlertEvent, Cursor, FailedRun, read_events
from bridge_assets.orchestration.alerts.ticks import TickEvent, read_ticks
from bridge_assets.orchestration.resources import Platform
from bridge_assets.settings.environment import AlertSettings

SENSOR_NAME = "alerts"


def alerts_sensor(settings: AlertSettings) -> dg.SensorDefinition:
    """The sensor `alerts`, which starts with the daemon if a destination is configured.

    Parameters
    ----------
    settings : AlertSettings
        `alerts` in environment.yaml.
    """
    running = bool(destinations(settings))
    return dg.SensorDefinition(
        name=SENSOR_NAME,
        evaluation_fn=send_alerts,
        minimum_interval_seconds=30,
        required_resource_keys={"platform"},
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=(
            "Sends to Slack: checks that fail with severity ERROR, also in a run that succeeds; runs that fail, once "
            "and not once a retry, with the error; sensors and schedules that fail; checks that pass again. Runs if "
            "SLACK_WEBHOOK_URL, or a variable that environment.yaml names for an owner, is set. What Slack does not "
            "take waits in the home folder."
        ),
    )


def send_alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Read what happened, keep the messages on disk, send what waits, and only then save the cursor.

    A kill at any point repeats the tick from the old cursor: the events get the same keys, which the outbox knows.
    """
    platform: Platform = context.resources.platform
    settings = platform.environment.alerts
    addresses = destinations(settings)
    now = time.time()
    read, cursor = read_events(context.instance, Cursor.parse(context.cursor), now)
    events = [*read, *read_ticks(context.instance, cursor.failing, SENSOR_NAME, now)]
    if not addresses:
        context.update_cursor(str(cursor))
        return dg.SkipReason(f"Nothing is sent: {WEBHOOK_VARIABLE} is not set.")
    outbox = platform.outbox
    if events:
        from bridge_assets.orchestration.alerts.messages import message_of

        messages = []
        for event in events:
            owners = _owners(context, event)
            if variable := _variable(owners, settings, addresses):
                messages.append(message_of(event, owners, variable, settings.ui_address.rstrip("/")))
        outbox.add(messages)
    flush = outbox.flush(addresses, settings.digest_above)
    context.update_cursor(str(cursor))
    for problem in flush.problems:
        context.log.warning(problem)
    reason = "; ".join(flush.problems)
    return dg.SkipReason(f"{flush.delivered} alerts delivered, {flush.waiting} waiting. {reason}".strip())


def destinations(settings: AlertSettings) -> dict[str, str]:
    """Environment variable -> address, of those that are set."""
    variables = dict.fromkeys([WEBHOOK_VARIABLE, *settings.owners.values()])
    return {variable: address for variable in variables if (address := os.environ.get(variable, "").strip())}


def _variable(owners: Sequence[str], settings: AlertSettings, addresses: dict[str, str]) -> str:
    """The first owner's destination that is set, else the general one; empty = there is none."""
    wanted = [settings.owners[owner] for owner in owners if owner in settings.owners]
    return next((variable for variable in [*wanted, WEBHOOK_VARIABLE] if variable in addresses), "")


def _owners(context: dg.SensorEvaluationContext, event: AlertEvent | TickEvent) -> Sequence[str]:
    """The owners of the asset that an event is about: of a failed run, of the first asset of the step that failed."""
    repository = context.repository_def
    if repository is None or isinstance(event, TickEvent):
        return []
    graph = repository.asset_graph
    if isinstance(event, FailedRun):
        keys = event.run.asset_selection or ()
        named = [key for key in graph.get_all_asset_keys() if event.step == "__".join(key.path)]
        keys = named or sorted(keys)[:1]
    else:
        keys = [event.evaluation.asset_key]
    return next((graph.get(key).owners for key in keys if graph.has(key)), [])
