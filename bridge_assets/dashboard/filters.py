"""Filters of the templates: those of the reports, and a few more."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bridge_assets.reporting import wording
from bridge_assets.reporting.feature_text import feature_name
from bridge_assets.settings import bridge_path


def code(value: str | None, item: str) -> str:
    """A code of the Coding Guide in words, with the code: `Steel (3)`; the code alone if it is unknown."""
    from bridge_assets.nbi.coding_guide.codes import meaning_of

    if value is None or value == "":
        return wording.DASH
    meaning = meaning_of(item, value)
    return f"{meaning} ({value})" if meaning else str(value)


def number(value: float | None, digits: int = 1) -> str:
    """`1,234.5`, without trailing zeros."""
    if not wording.has_value(value):
        return wording.DASH
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def seconds(value: float | None) -> str:
    """A duration: `12.3 s`, `4 min 5 s`, `1 h 4 min`."""
    if not wording.has_value(value):
        return wording.DASH
    if value < 60:
        return f"{value:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}\N{NO-BREAK SPACE}h {minutes}\N{NO-BREAK SPACE}min"
        if hours
        else f"{minutes}\N{NO-BREAK SPACE}min {rest}\N{NO-BREAK SPACE}s"
    )


def moment(value: dt.datetime | float | None) -> str:
    """A time in UTC: `2026-11-30 16:37 UTC`."""
    if value is None:
        return wording.DASH
    at = dt.datetime.fromtimestamp(value, dt.UTC) if isinstance(value, int | float) else value
    return f"{at:%Y-%m-%d %H:%M} UTC"


def dash(value: Any) -> Any:
    """The value, or a dash for None and empty text."""
    return wording.DASH if value is None or value == "" else value


def feature(name: str) -> str:
    """A feature in words, with a capital: `Average daily traffic`."""
    words = feature_name(name, with_unit=True)
    return words[:1].upper() + words[1:]


FILTERS = {
    **wording.FILTERS,
    "feature": feature,
    "bridge_path": bridge_path,
    "code": code,
    "dash": dash,
    "moment": moment,
    "number": number,
    "seconds": seconds,
}
