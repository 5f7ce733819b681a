"""Geometry of sparklines: one row of bars or tinted cells over the survey years, for use in a table.

The template `strips.html` writes the SVG. All sparklines of a page have the same years and the same width, so that a
year has the same position in every row. The axis is to scale: a year without a file leaves its place empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge_assets.reporting.wording import share as shown

#: Maximum width of a cell and of a sparkline, in px.
MAX_CELL_WIDTH, MAX_STRIP_WIDTH = 26.0, 300.0
BAR_HEIGHT, CELL_HEIGHT = 26.0, 16.0

#: Lower bounds of levels 1, 2, ...; level 0 is exactly zero. Logarithmic, because shares differ by orders of magnitude.
LEVELS = (0.0, 0.001, 0.01, 0.1, 0.5)
LEVEL_NAMES = ("none", "below 0.1 %", "0.1 to 1 %", "1 to 10 %", "10 to 50 %", "50 % and more")


@dataclass(frozen=True, slots=True)
class SparklineCell:
    """One year of a sparkline; `level` is its tint, None if the year has no value."""

    x: float
    y: float
    width: float
    height: float
    level: int | None
    tooltip: str


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The elements that the template draws."""

    width: float
    height: float
    marks: tuple[SparklineCell, ...]
    label: str


def bar_sparkline(years: Sequence[int], shares: Sequence[float | None]) -> Sparkline:
    """Bars from zero to the largest share of the row."""
    top = max((value for value in shares if value is not None), default=0.0) or 1.0
    step = _step(years)
    marks = []
    for year, value in zip(years, shares, strict=True):
        height = 0.0 if not value else max(1.5, BAR_HEIGHT * value / top)
        marks.append(_mark((year - years[0]) * step, step, BAR_HEIGHT - height, height, year, value))
    return Sparkline(strip_width(years), BAR_HEIGHT, tuple(marks), _label(years, shares))


def tinted_sparkline(years: Sequence[int], shares: Sequence[float | None]) -> Sparkline:
    """One cell per year, tinted by `LEVELS`."""
    step = _step(years)
    marks = [
        _mark((year - years[0]) * step, step, 0, CELL_HEIGHT, year, value)
        for year, value in zip(years, shares, strict=True)
    ]
    return Sparkline(strip_width(years), CELL_HEIGHT, tuple(marks), _label(years, shares))


def tint_level(value: float | None) -> int | None:
    """The level of a share: 0 for exactly zero, None if it is unknown."""
    if value is None:
        return None
    return sum(value >= bound for bound in LEVELS) if value > 0 else 0


def strip_width(years: Sequence[int]) -> float:
    """The width of the sparklines over these years (ascending), px."""
    return _px(_step(years) * _span(years))


def _span(years: Sequence[int]) -> int:
    return years[-1] - years[0] + 1


def _step(years: Sequence[int]) -> float:
    return min(MAX_CELL_WIDTH, MAX_STRIP_WIDTH / _span(years))


def _label(years: Sequence[int], shares: Sequence[float | None]) -> str:
    return f"By survey year, {years[0]} to {years[-1]}; in {years[-1]} {shown(shares[-1])}"


def _mark(x: float, step: float, y: float, height: float, year: int, value: float | None) -> SparklineCell:
    return SparklineCell(_px(x + 0.5), _px(y), _px(step - 1), _px(height), tint_level(value), f"{year}: {shown(value)}")


def _px(value: float) -> float:
    return round(value, 2)
