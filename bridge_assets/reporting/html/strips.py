"""Geometry of small multiples: one row of bars or of tinted cells over the survey years, to stand in a table.

The SVG itself is written by the template `strips.html`. All strips of a page have the same years and the same width, so
that a year stands at the same place in every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge_assets.reporting.wording import share as shown

#: Widest cell and widest strip, in px.
MAX_CELL_WIDTH, MAX_STRIP_WIDTH = 26.0, 300.0
BAR_HEIGHT, CELL_HEIGHT = 26.0, 16.0

#: A share of at least this is of the level, from 1 on; 0 is nothing at all. Tenfold steps, because shares are.
LEVELS = (0.0, 0.001, 0.01, 0.1, 0.5)
LEVEL_NAMES = ("none", "below 0.1 %", "0.1 to 1 %", "1 to 10 %", "10 to 50 %", "50 % and more")


@dataclass(frozen=True, slots=True)
class SparklineCell:
    """One year of a strip; `level` is its class of tint, None where the year says nothing."""

    x: float
    y: float
    width: float
    height: float
    level: int | None
    tooltip: str


@dataclass(frozen=True, slots=True)
class Sparkline:
    """What the template draws."""

    width: float
    height: float
    marks: tuple[SparklineCell, ...]
    label: str


def bar_sparkline(years: Sequence[int], shares: Sequence[float | None]) -> Sparkline:
    """Bars from zero to the largest share of the row."""
    top = max((value for value in shares if value is not None), default=0.0) or 1.0
    step = _step(years)
    marks = []
    for i, (year, value) in enumerate(zip(years, shares, strict=True)):
        height = 0.0 if not value else max(1.5, BAR_HEIGHT * value / top)
        marks.append(_mark(i * step, step, BAR_HEIGHT - height, height, year, value))
    return Sparkline(_px(step * len(years)), BAR_HEIGHT, tuple(marks), _label(years, shares))


def tinted_sparkline(years: Sequence[int], shares: Sequence[float | None]) -> Sparkline:
    """A cell a year, tinted by `LEVELS`."""
    step = _step(years)
    marks = [
        _mark(i * step, step, 0, CELL_HEIGHT, year, value)
        for i, (year, value) in enumerate(zip(years, shares, strict=True))
    ]
    return Sparkline(_px(step * len(years)), CELL_HEIGHT, tuple(marks), _label(years, shares))


def tint_level(value: float | None) -> int | None:
    """The level of a share: 0 for nothing, None where it is not known."""
    if value is None:
        return None
    return sum(value >= least for least in LEVELS) if value > 0 else 0


def _step(years: Sequence[int]) -> float:
    return min(MAX_CELL_WIDTH, MAX_STRIP_WIDTH / len(years))


def _label(years: Sequence[int], shares: Sequence[float | None]) -> str:
    return f"By survey year, {years[0]} to {years[-1]}; in {years[-1]} {shown(shares[-1])}"


def _mark(x: float, step: float, y: float, height: float, year: int, value: float | None) -> SparklineCell:
    return SparklineCell(_px(x + 0.5), _px(y), _px(step - 1), _px(height), tint_level(value), f"{year}: {shown(value)}")


def _px(value: float) -> float:
    return round(value, 2)
