"""The sensor that sends alerts. Without a destination it sends nothing and keeps nothing."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import dagster as dg

from bridge_assets.alerting.message import Message
from bridge_assets.alerting.outbox import Outbox
from bridge_assets.alerting.quiet import is_quiet
from bridge_assets.orchestration.alerts.events import AlertEvent, CheckEvent, Cursor, FailedRun, read_events
from bridge_assets.orchestration.alerts.overdue import OverdueEvent, read_overdue
from bridge_assets.orchestration.alerts.routing import (
    Routes,
    default_destination,
    missing_variable,
    open_destinations,
    usable_destinations,
)
from bridge_assets.orchestration.alerts.ticks import TickEvent, read_ticks
from bridge_assets.orchestration.resources import Platform
from bridge_assets.settings.alerts import AlertSettings

SENSOR_NAME = "alerts"

Event = AlertEvent | TickEvent | OverdueEvent


def alerts_sensor(settings: AlertSettings) -> dg.SensorDefinition:
    """The sensor `alerts`, which starts with the daemon if a destination is configured.

    Parameters
    ----------
    settings : AlertSettings
        `alerts` in environment.yaml.
    """
    running = bool(usable_destinations(settings))
    return dg.SensorDefinition(
        name=SENSOR_NAME,
        evaluation_fn=send_alerts,
        minimum_interval_seconds=30,
        required_resource_keys={"platform"},
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=(
            "Sends to Slack: checks that fail with severity ERROR, also in a run that succeeds, and warnings of drift "
            "and realised quality; runs that fail, once and not once a retry, with the error; sensors and schedules "
            "that fail; a survey year that is late; endpoints that are not probed; recoveries. Runs if "
            "SLACK_WEBHOOK_URL, or the token or webhook of a destination in environment.yaml, is set. What Slack does "
            "not take waits in the home folder."
        ),
    )


def send_alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Read what happened, keep the messages on disk, send what waits, and only then save the cursor.

    A kill at any point repeats the tick from the old cursor: the events get the same keys, which the outbox knows.
    """
    platform: Platform = context.resources.platform
    environment = platform.environment  # read from disk on each access
    settings = environment.alerts
    destinations = open_destinations(settings)
    now = time.time()
    read, cursor = read_events(context.instance, Cursor.parse(context.cursor), now, settings.warnings)
    events: list[Event] = [*read, *read_ticks(context.instance, cursor.failing, SENSOR_NAME, now)]
    if not destinations:
        context.update_cursor(str(cursor))
        return dg.SkipReason(f"Nothing is sent: {missing_variable(settings)} is not set.")
    data = platform.data
    try:
        events += read_overdue(context.instance, data, environment, cursor.failing, now)
    except (OSError, ValueError) as error:  # the lake cannot be read: what failed is told nevertheless
        context.log.warning(f"What is overdue could not be read: {error}")
    outbox, quiet = Outbox(data.alerts_folder), is_quiet(settings.quiet_hours, now)
    if events:
        outbox.add(_messages(context, events, settings, list(destinations), quiet))
    flush = outbox.flush(destinations, settings.digest_above, quiet, default_destination(destinations))
    context.update_cursor(str(cursor))
    for problem in flush.problems:
        context.log.warning(problem)
    reason = "; ".join([*(["quiet hours"] if quiet else []), *flush.problems])
    return dg.SkipReason(f"{flush.delivered} alerts delivered, {flush.waiting} waiting. {reason}".strip())


def _messages(
    context: dg.SensorEvaluationContext,
    events: Sequence[Event],
    settings: AlertSettings,
    usable: Sequence[str],
    quiet: bool,
) -> list[Message]:
    """The messages about events that have a destination; in quiet hours, those that are not urgent are held."""
    from bridge_assets.orchestration.alerts.messages import message_of

    repository = context.repository_def
    graph = repository.asset_graph if repository else None
    routes = Routes(settings, graph, usable)
    for problem in routes.problems:
        context.log.warning(problem)
    pages = cache(partial(_asset_pages, context.instance))
    messages = []
    for event in events:
        assets = _assets(event, graph.get_all_asset_keys() if graph else ())
        owners = routes.owners(assets)
        if not (name := routes.destination(assets, owners)):
            continue
        message = message_of(event, owners, name, settings.ui_address.rstrip("/"), _pages(event, pages))
        messages.append(replace(message, held=quiet and not _is_urgent(event, message, routes, settings)))
    return messages


def _assets(event: Event, known: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
    """The assets that an event is about: of a failed run, those of the step that failed."""
    if isinstance(event, FailedRun):
        named = [key for key in known if event.step == "__".join(key.path)]
        return named or sorted(event.run.asset_selection or ())[:1]
    if isinstance(event, CheckEvent):
        return [event.evaluation.asset_key]
    return [event.asset] if isinstance(event, OverdueEvent) else []


def _is_urgent(event: Event, message: Message, routes: Routes, settings: AlertSettings) -> bool:
    if message.key.partition(":")[0] in settings.quiet_hours.urgent_kinds:
        return True
    if not isinstance(event, CheckEvent):
        return False
    evaluation = event.evaluation  # a recovery too: whoever was called at night wants to know
    return evaluation.severity is dg.AssetCheckSeverity.ERROR and routes.is_urgent(evaluation.asset_key)


_Pages = tuple[tuple[str, str], ...]


def _pages(event: Event, of_asset: Callable[[dg.AssetKey], _Pages]) -> _Pages:
    """Links in the metadata of a check that failed, and of what was last made of its asset: label and address."""
    if not isinstance(event, CheckEvent) or event.evaluation.passed:
        return ()
    return tuple(dict([*of_asset(event.evaluation.asset_key), *_links(event.evaluation.metadata)]).items())


def _asset_pages(instance: dg.DagsterInstance, asset: dg.AssetKey) -> _Pages:
    latest = instance.get_latest_materialization_event(asset)
    made = latest.asset_materialization if latest else None
    return _links(made.metadata) if made else ()


def _links(metadata: Mapping[str, dg.MetadataValue]) -> _Pages:
    return tuple(
        (name.replace("_", " ").capitalize(), value.url)
        for name, value in metadata.items()
        if isinstance(value, dg.UrlMetadataValue) and value.url
    )
