"""Daemons that are dead, and ticks of sensors and schedules that did not come."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState
from dagster._utils.schedules import reverse_cron_string_iterator

from bridge_assets.orchestration.health.findings import Findings, minutes
from bridge_assets.settings.operations import HealthSettings

#: A sensor is late after this many of its intervals, if that is longer than `tick_minutes`.
_INTERVALS = 5

#: Name and type of a sensor or schedule -> time zone of its cron string; None if the code has no such thing any more.
TimeZones = Callable[[str, InstigatorType], str | None]


def dead_daemons(instance: dg.DagsterInstance, settings: HealthSettings, now: float) -> Findings:
    """Daemons that this instance needs and that do not report themselves.

    If all are dead, nothing runs this check: then the exporter's metric of heartbeats is what tells it.
    """
    problems, ages, errors = [], [], 0
    heartbeats = instance.get_daemon_heartbeats()
    required = sorted(instance.get_required_daemon_types())
    for daemon in required:
        heartbeat = heartbeats.get(daemon)
        if heartbeat is None:
            problems.append(f"{daemon} has never reported")
            continue
        age = now - heartbeat.timestamp
        ages.append(age)
        if age > settings.heartbeat_minutes * 60:
            problems.append(f"{daemon} reported {minutes(age)} ago")
        elif heartbeat.errors:
            errors += len(heartbeat.errors)
            problems.append(f"{daemon} reports an error: {heartbeat.errors[0].message.strip()[:300]}")
    return Findings(
        problems,
        {"daemons": len(required), "oldest_heartbeat_seconds": round(max(ages, default=0.0), 1), "errors": errors},
        "restart dagster-daemon (or bridge-assets dev), and look at its log",
        f"{len(required)} daemons reported within {settings.heartbeat_minutes:g} minutes",
    )


def missed_ticks(instance: dg.DagsterInstance, settings: HealthSettings, now: float, time_zone: TimeZones) -> Findings:
    """Sensors and schedules that are on and were not evaluated when they should have been.

    Parameters
    ----------
    instance : DagsterInstance
    settings : HealthSettings
    now : float
        Seconds since the epoch.
    time_zone : callable
        See `TimeZones`.
    """
    problems, watched, latest_lateness = [], 0, 0.0
    states = instance.all_instigator_state() if instance.schedule_storage else []
    for state in states:
        zone = time_zone(state.name, state.instigator_type)
        if not state.is_running or zone is None:
            continue
        watched += 1
        due = _due(state, settings, now, zone)
        last = _last_tick(instance, state)
        late = now - due if due and last < due else 0.0
        latest_lateness = max(latest_lateness, late)
        if late:
            known = f"its last tick was {minutes(now - last)} ago" if last else "it has never had one"
            kind = state.instigator_type.value.lower()
            problems.append(f"{kind} {state.name}: the tick of {minutes(late)} ago did not come; {known}")
    return Findings(
        problems,
        {"sensors_and_schedules": watched, "missed": len(problems), "latest_seconds": round(latest_lateness, 1)},
        "see whether the daemon runs and the code location loads; a tick that was missed is not made up for, so start "
        "the job by hand if its run is needed",
        f"{watched} sensors and schedules are on, and none missed a tick",
    )


def _due(state: InstigatorState, settings: HealthSettings, now: float, zone: str) -> float:
    """When the last tick was due that should have come by now, in seconds since the epoch; 0 if there is none."""
    data, grace = state.instigator_data, settings.tick_minutes * 60
    if state.instigator_type is InstigatorType.SENSOR:
        interval = getattr(data, "min_interval", None) or 30
        return now - max(grace, _INTERVALS * interval)
    cron = getattr(data, "cron_schedule", None)
    if not isinstance(cron, str):
        return 0.0
    due = next(reverse_cron_string_iterator(now - grace, cron, zone)).timestamp()
    return due if due >= (getattr(data, "start_timestamp", None) or 0.0) else 0.0


def _last_tick(instance: dg.DagsterInstance, state: InstigatorState) -> float:
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    evaluated = getattr(state.instigator_data, "last_tick_timestamp", None) or 0.0
    return max([evaluated, *(tick.timestamp for tick in ticks)])


def time_zones_of(repository: dg.RepositoryDefinition | None) -> TimeZones:
    """The time zones of what the code location defines. What it no longer defines is left out."""

    def time_zone(name: str, kind: InstigatorType) -> str | None:
        if repository is None:
            return "UTC"
        if kind is InstigatorType.SCHEDULE:
            found = [each for each in repository.schedule_defs if each.name == name]
            return found[0].execution_timezone or "UTC" if found else None
        return "UTC" if repository.has_sensor_def(name) else None

    return time_zone
