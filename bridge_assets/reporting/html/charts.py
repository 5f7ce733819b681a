"""Geometry of the two charts in the report; the template `charts.html` writes the SVG. The axis of years is to scale.

The charts are inline SVG rather than images: colours adapt to light mode, dark mode and print, and the text can be
searched and read aloud.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 540, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 14, 26
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
MAX_YEAR_LABELS = 9


@dataclass(frozen=True, slots=True)
class Rect:
    """One part of a stacked bar; `name` is its CSS class."""

    name: str
    x: float
    y: float
    width: float
    height: float
    tooltip: str


@dataclass(frozen=True, slots=True)
class Label:
    """An axis label with its position."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class LineSeries:
    """A series over the years: line segments without gaps, and points."""

    name: str
    segments: tuple[str, ...]
    points: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The elements that the template draws."""

    title: str
    year_labels: tuple[Label, ...]
    grid: tuple[Label, ...]
    bars: tuple[Rect, ...] = ()
    lines: tuple[LineSeries, ...] = ()


def stacked_shares(title: str, years: Sequence[int], parts: Mapping[str, Sequence[float | None]]) -> Chart:
    """Stacked bars of 100 % by year, with the first part at the bottom, where its change is easiest to see.

    Parameters
    ----------
    title : str
        Read aloud by a screen reader.
    years : sequence of int
    parts : mapping
        Name -> share (0-1) by year.
    """
    step = _step(years)
    width = min(step * 0.78, 46)
    bars = []
    for i, year in enumerate(years):
        x, y = LEFT + step * (year - years[0] + 0.5) - width / 2, float(TOP + PLOT_HEIGHT)
        for name, shares in parts.items():
            share = shares[i] or 0.0
            height = share * PLOT_HEIGHT
            y -= height
            bars.append(Rect(name, _px(x), _px(y), _px(width), _px(height), f"{year} {name}: {share * 100:.1f} %"))
    return Chart(title, _year_labels(years), _grid(1.0, (0, 0.25, 0.5, 0.75, 1)), bars=tuple(bars))


def shares_by_year(title: str, years: Sequence[int], series: Mapping[str, Sequence[float | None]]) -> Chart:
    """Lines of shares by year, from zero; a year without a value leaves a gap.

    Parameters
    ----------
    title : str
    years : sequence of int
    series : mapping
        Name -> share (0-1) or None by year.
    """
    known_values = [value for values in series.values() for value in values if value is not None]
    top, ticks = _nice_axis(max(known_values, default=0.0))
    step = _step(years)
    lines = []
    for name, values in series.items():
        points, segments, segment = [], [], []
        for i, value in enumerate(values):
            if value is None:
                segments, segment = [*segments, segment], []
                continue
            x, y = _px(LEFT + step * (years[i] - years[0] + 0.5)), _px(TOP + PLOT_HEIGHT * (1 - value / top))
            segment.append(f"{x},{y}")
            points.append((x, y, f"{years[i]} {name}: {value * 100:.1f} %"))
        polylines = tuple(" ".join(each) for each in [*segments, segment] if len(each) > 1)
        lines.append(LineSeries(name, polylines, tuple(points)))
    return Chart(title, _year_labels(years), _grid(top, ticks), lines=tuple(lines))


def _step(years: Sequence[int]) -> float:
    """Width of a year: the axis is to scale, so that a year without a file leaves its place empty."""
    return PLOT_WIDTH / (years[-1] - years[0] + 1)


def _year_labels(years: Sequence[int]) -> tuple[Label, ...]:
    step, span = _step(years), years[-1] - years[0] + 1
    every = math.ceil(span / MAX_YEAR_LABELS)
    # Counted back from the last year, which is the year of the report.
    shown = range(span - 1, -1, -every)
    return tuple(Label(_px(LEFT + step * (i + 0.5)), HEIGHT - 8, str(years[0] + i)) for i in sorted(shown))


def _grid(top: float, ticks: Sequence[float]) -> tuple[Label, ...]:
    digits = 0 if all(math.isclose(tick * 100, round(tick * 100), abs_tol=1e-9) for tick in ticks) else 1
    return tuple(Label(LEFT, _px(TOP + PLOT_HEIGHT * (1 - tick / top)), f"{tick * 100:.{digits}f} %") for tick in ticks)


def _nice_axis(largest: float) -> tuple[float, tuple[float, ...]]:
    if largest <= 0:
        return 0.01, (0.0, 0.01)
    rough = largest / 4
    scale = 10.0 ** math.floor(math.log10(rough))
    step = scale * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * scale >= rough * (1 - 1e-9))
    steps = math.ceil(largest / step - 1e-9)
    return steps * step, tuple(i * step for i in range(steps + 1))


def _px(value: float) -> float:
    return round(value, 1)
