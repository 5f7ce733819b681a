"""Geometry of the drift charts; the template `drift_charts.html` writes the SVG.

The reference years are a filled area, the survey year is a bold line or bar in front of it, so that both can be read in
light mode, dark mode and print, and without telling colours apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.reporting.feature_text import feature_value
from bridge_assets.reporting.wording import share

if TYPE_CHECKING:
    from bridge_assets.reporting.drift.distributions import Distribution

WIDTH, HEIGHT = 540, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 18, 30
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

#: Labels below a histogram, and the length of one below a single value, in characters.
HISTOGRAM_LABELS, MAX_LABEL_LENGTH = 5, 12

#: Width of the bar of one of the two periods, at most, in px.
MAX_BAR_WIDTH = 46.0

#: Heights of the horizontal lines, one of which is the top of the chart.
_NICE_TOPS = (0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle with its tooltip."""

    x: float
    y: float
    width: float
    height: float
    tooltip: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A label."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class DriftChart:
    """The elements that the template draws.

    Attributes
    ----------
    title : str
        Read aloud by a screen reader.
    reference, year : tuple of Bar
        Bars of the reference years; those of the survey year, invisible where `line` is drawn in their place.
    line : str
        Points of the polyline of the survey year; empty for single values.
    grid, labels : tuple of Text
        Horizontal lines with their text, and the texts below the chart.
    gap_x : float or None
        Where the largest gap between the two cumulative shares is.
    """

    title: str
    reference: tuple[Bar, ...]
    year: tuple[Bar, ...]
    line: str
    grid: tuple[Text, ...]
    labels: tuple[Text, ...]
    gap_x: float | None = None


def draw_distribution(found: Distribution, title: str) -> DriftChart:
    """Both distributions in one chart.

    Parameters
    ----------
    found : Distribution
        With at least one bin.
    title : str
    """
    top = _top(max(max(each.reference, each.year) for each in found.bins))
    grid = tuple(Text(LEFT, _px(_y(level * top, top)), f"{level * top * 100:.3g} %") for level in (0, 0.5, 1))
    if found.has_single_values:
        return _single_values(found, title, top, grid)
    return _histogram(found, title, top, grid)


def _single_values(found: Distribution, title: str, top: float, grid: tuple[Text, ...]) -> DriftChart:
    step = PLOT_WIDTH / len(found.bins)
    width = min(step * 0.4, MAX_BAR_WIDTH)
    reference, year, labels = [], [], []
    for number, each in enumerate(found.bins):
        centre, name = LEFT + step * (number + 0.5), _value_label(found.name, each.low)
        for bars, x, value, who in (
            (reference, centre - width, each.reference, "reference"),
            (year, centre, each.year, "year"),
        ):
            text = share(value) if len(found.bins) <= 4 else ""
            height = PLOT_HEIGHT * value / top
            bars.append(
                Bar(_px(x), _px(_y(value, top)), _px(width - 1), _px(height), f"{name}: {share(value)} ({who})", text)
            )
        labels.append(Text(_px(centre), HEIGHT - 10, name))
    return DriftChart(title, tuple(reference), tuple(year), "", grid, tuple(labels))


def _histogram(found: Distribution, title: str, top: float, grid: tuple[Text, ...]) -> DriftChart:
    low, high = found.bins[0].low, found.bins[-1].high
    reference, year, points = [], [], []
    for each in found.bins:
        x, end = _x(each.low, low, high), _x(each.high, low, high)
        between = f"{feature_value(found.name, each.low)} to {feature_value(found.name, each.high)}"
        for bars, value, who in ((reference, each.reference, "reference"), (year, each.year, "year")):
            height, tooltip = PLOT_HEIGHT * value / top, f"{between}: {share(value)} ({who})"
            bars.append(Bar(_px(x), _px(_y(value, top)), _px(end - x), _px(height), tooltip))
        points += [f"{_px(x)},{_px(_y(each.year, top))}", f"{_px(end)},{_px(_y(each.year, top))}"]
    base = _px(_y(0, top))
    line = " ".join([f"{_px(LEFT)},{base}", *points, f"{_px(LEFT + PLOT_WIDTH)},{base}"])
    steps = [low + (high - low) * number / (HISTOGRAM_LABELS - 1) for number in range(HISTOGRAM_LABELS)]
    if found.is_whole:  # bins begin and end between two whole numbers
        steps = [math.ceil(low), *(round(value) for value in steps[1:-1]), math.floor(high)]
    labels = tuple(Text(_px(_x(value, low, high)), HEIGHT - 10, _number(found.name, value)) for value in steps)
    gap = found.gap_at if low <= found.gap_at <= high else None
    gap_x = None if gap is None else _px(_x(gap, low, high))
    return DriftChart(title, tuple(reference), tuple(year), line, grid, labels, gap_x)


def _number(name: str, value: float) -> str:
    """A value on the axis, whose unit stands above the chart."""
    text = feature_value(name, value)
    return text if text.endswith("%") else text.split(" ")[0]


def _value_label(name: str, value: float) -> str:
    text = feature_value(name, value)
    return text if len(text) <= MAX_LABEL_LENGTH else text.split(" ")[0]


def _top(largest: float) -> float:
    return next((level for level in _NICE_TOPS if level >= largest - 1e-9), 1.0)


def _x(value: float, low: float, high: float) -> float:
    return LEFT + PLOT_WIDTH * (value - low) / (high - low)


def _y(value: float, top: float) -> float:
    return TOP + PLOT_HEIGHT * (1 - value / top)


def _px(value: float) -> float:
    return round(float(value), 1)
