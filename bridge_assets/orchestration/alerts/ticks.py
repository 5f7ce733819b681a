"""Sensors and schedules that fail themselves, which is no run and so no failed run.

The key of a message is made of the last tick that did not fail, so a series of failures is one message, whenever it is
read. A code location that restarts fails ticks for a moment: a sensor is reported when its last three ticks failed, a
schedule at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, TickStatus

#: Failed ticks in a row after which a sensor is reported.
_SENSOR_FAILURES = 3

_FAILING = "tick of "


@dataclass(frozen=True)
class TickEvent:
    """A sensor or schedule that fails, or that works again.

    Attributes
    ----------
    name : str
    kind : str
        `sensor` or `schedule`.
    series : str
        Id of the last tick before the failures, or `never`; of a recovery, when the failure was reported.
    error : str
        Of the last failed tick; empty = it works again.
    failing_since : float
        Seconds since the epoch at which the failure was reported; 0 for a new one.
    """

    name: str
    kind: str
    series: str
    error: str
    failing_since: float = 0.0


def read_ticks(
    instance: dg.DagsterInstance, failing: dict[str, tuple[float, float]], own_name: str, now: float
) -> Iterator[TickEvent]:
    """Sensors and schedules that began to fail, or that work again.

    Parameters
    ----------
    instance : DagsterInstance
    failing : dict
        `Cursor.failing`, which is changed.
    own_name : str
        Of the sensor that asks. It cannot report itself: while it fails, it says nothing.
    now : float
        Seconds since the epoch.
    """
    if instance.schedule_storage is None:  # an instance in memory has no sensors
        return
    for state in instance.all_instigator_state():
        if state.name == own_name or not state.is_running:
            continue
        key, kind = f"{_FAILING}{state.name}", state.instigator_type.value.lower()
        needed = _SENSOR_FAILURES if state.instigator_type is InstigatorType.SENSOR else 1
        ticks = [
            tick
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=needed + 1)
            if tick.status is not TickStatus.STARTED
        ][:needed]
        if ticks and ticks[0].status is not TickStatus.FAILURE:
            since, _ = failing.pop(key, (0.0, 0.0))
            if since:
                yield TickEvent(state.name, kind, str(since), "", since)
        elif len(ticks) == needed and all(tick.status is TickStatus.FAILURE for tick in ticks) and key not in failing:
            failing[key] = (now, now)
            error = ticks[0].error
            yield TickEvent(state.name, kind, _series(instance, state), _text(error) if error else "unknown")


def _series(instance: dg.DagsterInstance, state: InstigatorState) -> str:
    good = [TickStatus.SUCCESS, TickStatus.SKIPPED]
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=good)
    return str(ticks[0].tick_id) if ticks else "never"


def _text(error: "object") -> str:
    """The innermost error, which is the sensor's own; the outer ones are Dagster's."""
    while (cause := getattr(error, "cause", None)) is not None:
        error = cause
    return str(getattr(error, "message", error)).strip()
