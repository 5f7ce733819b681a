"""Formats numbers, dates and states for readers. `None` and NaN become a dash.

A number and its unit are joined by a no-break space.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TypeGuard

from bridge_assets.nbi.coding_guide.codes import STATE_NAMES

DASH = "–"
_SPACE = "\N{NO-BREAK SPACE}"


def has_value(value: float | None) -> TypeGuard[float]:
    """Whether there is a number to show."""
    return value is not None and not math.isnan(value)


def count(value: float | None) -> str:
    """`12,345`; rounded, so that an expected number looks like a count."""
    return f"{value:,.0f}" if has_value(value) else DASH


def percent(value: float | None) -> str:
    """A share between 0 and 1 as `12.3 %`."""
    return f"{value * 100:.1f}{_SPACE}%" if has_value(value) else DASH


def share(value: float | None) -> str:
    """A share that may be very small: `12.3 %`, `0.04 %`, `< 0.01 %`, and `0` only for exactly zero."""
    if not has_value(value) or value >= 0.001:
        return percent(value)
    if value == 0:
        return "0"
    return f"{value * 100:.2f}{_SPACE}%" if value >= 0.00005 else f"<{_SPACE}0.01{_SPACE}%"


def points(change: float) -> str:
    """A change of a share in percentage points, as a comparison: `0.2 points less than`, `the same share as`."""
    shown = round(change * 100, 1)
    return f"{abs(shown):.1f}{_SPACE}points {'more' if shown > 0 else 'less'} than" if shown else "the same share as"


def decimal(value: float | None) -> str:
    """Three decimals: a score or a distance."""
    return f"{value:.3f}" if has_value(value) else DASH


def month(value: dt.date | None) -> str:
    """`2022-02`: item 90 gives month and year."""
    return f"{value:%Y-%m}" if value is not None else DASH


def state(code: str) -> str:
    """`Massachusetts`, or `State 99` for a code that is not in FIPS."""
    return STATE_NAMES.get(code, f"State {code}")


def plural(number: float, one: str, many: str) -> str:
    """`1 structure`, `2,000 structures`."""
    return f"{count(number)} {one if round(number) == 1 else many}"


def years(text: str | None) -> str:
    """Years until Poor from `survival.store.format_years`: `12.3`, `at least 34.2`, `Poor now` for `Poor`."""
    if text is None:
        return DASH
    words, _, last = ("Poor now" if text == "Poor" else text).rpartition(" ")
    return f"{words}{_SPACE}{last}" if words else last


FILTERS = {each.__name__: each for each in (count, percent, share, points, decimal, month, state, plural, years)}
