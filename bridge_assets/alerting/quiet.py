"""Hours in which people are left alone: only what is urgent is sent."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

from bridge_assets.settings.alerts import QuietHours

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_quiet(settings: QuietHours, now: float) -> bool:
    """Whether a moment is in the quiet hours.

    The night that begins on a day belongs to it: with 19:00 to 07:00, Tuesday 03:00 is quiet because of Monday's night.
    All of a day in `whole_days` is quiet, by the clock of the time zone, also on the days on which it is changed.

    Parameters
    ----------
    settings : QuietHours
    now : float
        Seconds since the epoch.
    """
    if not settings.enabled:
        return False
    local = datetime.fromtimestamp(now, ZoneInfo(settings.time_zone))
    if _WEEKDAYS[local.weekday()] in settings.whole_days:
        return True
    if not settings.start:
        return False
    start, end, clock = time.fromisoformat(settings.start), time.fromisoformat(settings.end), local.time()
    return start <= clock < end if start < end else clock >= start or clock < end
