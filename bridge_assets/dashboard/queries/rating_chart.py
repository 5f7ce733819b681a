"""Geometry of the chart of one bridge: the ratings at each inspection over the years, over the zones of the classes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from bridge_assets.dashboard.queries.bridge import COMPONENTS
from bridge_assets.dashboard.queries.tables import Row
from bridge_assets.nbi.derived import GOOD_MIN, POOR_MAX

WIDTH, HEIGHT = 760, 270
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 10, 28

#: The highest rating; the scale is 0 to 9 (Coding Guide, items 58 to 62).
_HIGHEST = 9

_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class RatingChart:
    """What the template draws.

    Attributes
    ----------
    lines : list of (class, name, points)
        A step line of each component that has ratings, and of the condition.
    points : list of (x, y, tooltip)
        The inspections.
    zones : list of (class, y, height)
    grid : list of (y, rating)
    years : list of (x, year)
    """

    lines: list[tuple[str, str, str]]
    points: list[tuple[float, float, str]]
    zones: list[tuple[str, float, float]]
    grid: list[tuple[float, int]]
    years: list[tuple[float, int]]


def rating_chart(inspections: list[Row], last_year: int) -> RatingChart | None:
    """The chart of the inspections of a bridge up to the end of a survey year; None if there are none."""
    if not inspections:
        return None
    first = inspections[0]["inspection_date"].year
    span = max(last_year + 1 - first, 1)

    def x(date: dt.date) -> float:
        years = date.year - first + (date.timetuple().tm_yday - 1) / _DAYS_PER_YEAR
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(years / span, 1), 1)

    lines = []
    for i, (name, (column, _)) in enumerate(COMPONENTS.items()):
        if points := _steps(inspections, column, x):
            # Beside each other where they are equal, so that none hides another.
            lines.append((f"component c{i}", name, _text(points, (i - 1.5) * 1.6)))
    lines.append(("condition-line", "condition", _text(_steps(inspections, "condition", x), 0)))
    every = -(-span // 12)
    return RatingChart(
        lines=lines,
        points=[
            (
                x(row["inspection_date"]),
                _y(row["condition"]),
                f"{row['inspection_date']:%Y-%m}: condition {row['condition']}",
            )
            for row in inspections
        ],
        zones=[
            ("Good", _y(_HIGHEST), _y(GOOD_MIN - 0.5) - _y(_HIGHEST)),
            ("Fair", _y(GOOD_MIN - 0.5), _y(POOR_MAX + 0.5) - _y(GOOD_MIN - 0.5)),
            ("Poor", _y(POOR_MAX + 0.5), _y(0) - _y(POOR_MAX + 0.5)),
        ],
        grid=[(_y(rating), rating) for rating in range(_HIGHEST + 1)],
        years=[(x(dt.date(year, 1, 1)), year) for year in range(first, last_year + 2, every)],
    )


def _y(rating: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - rating / _HIGHEST), 1)


def _steps(inspections: list[Row], column: str, x: Callable[[dt.date], float]) -> list[tuple[float, float]]:
    """A rating holds until the next inspection that found another one; the last one up to the right end."""
    points: list[tuple[float, float]] = []
    for row in inspections:
        if row[column] is None:
            continue
        at, y = x(row["inspection_date"]), _y(row[column])
        if points:
            points.append((at, points[-1][1]))
        points.append((at, y))
    return [*points, (WIDTH - RIGHT, points[-1][1])] if points else []


def _text(points: list[tuple[float, float]], shift: float) -> str:
    return " ".join(f"{x},{round(y + shift, 1)}" for x, y in points)
