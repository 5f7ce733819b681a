"""What the map draws in a view: single bridges where they are few, counts by cell where they are many.

620,000 points would be 40 MB for the browser. The server counts them in cells of a grid of the screen instead, so that
what is sent does not depend on how many bridges there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.dashboard.map.view import View, degrees
from bridge_assets.nbi.derived import POOR_MAX

if TYPE_CHECKING:
    import duckdb

#: Width of a cell in pixels: circles of neighbouring cells just touch. A chosen size.
CELL_PIXELS = 26

#: Up to this many bridges, with the margin, are drawn one by one. A chosen limit: about 150 kB.
MAX_BRIDGES = 1500

#: Share of the view's size that is sent on each side, so that a map that is moved is not empty before the answer comes.
MARGIN = 0.3

#: Columns that the table of bridges must have.
COLUMNS = (
    "structure_key",
    "facility_carried",
    "features_intersected",
    "latitude",
    "longitude",
    "condition",
    "fall_probability",
)

#: A number of the plane of Web Mercator, from degrees; see `view.mercator`.
_X = "(longitude + 180) / 360"
_Y = "0.5 - ln(tan(pi() / 4 + radians(latitude) / 2)) / (2 * pi())"


@dataclass(frozen=True)
class Layer:
    """What is drawn in a view.

    Attributes
    ----------
    cells : list of tuple
        (x, y, bridges, Poor bridges, mean probability of a fall or None) for each cell, the mean place of its bridges
        in the plane of Web Mercator; empty where `bridges` are drawn.
    bridges : list of tuple
        (x, y, structure key, carried, crossed, condition, probability) for each bridge.
    count, poor : int
        Bridges in the view itself, without the margin.
    """

    cells: list[tuple[Any, ...]]
    bridges: list[tuple[Any, ...]]
    count: int
    poor: int


def bridges_in_view(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    view: View,
    where: str = "true",
    parameters: Sequence[Any] = (),
) -> Layer:
    """Read what is drawn in a view.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    table : str
        What to select from, such as `read_parquet('...')`; it has `COLUMNS`.
    view : View
    where : str
        A condition in SQL on its rows. Never text of a user: that goes into the parameters.
    parameters : sequence
        Values for the question marks of the condition, in their order.
    """
    left, top, right, bottom = view.box()
    inside = f"x between {left!r} and {right!r} and y between {top!r} and {bottom!r}"
    wide_left, wide_top, wide_right, wide_bottom = view.box(MARGIN)
    west, north = degrees(wide_left, wide_top)
    east, south = degrees(wide_right, wide_bottom)
    # Half steps of zoom: while a map is moved or zoomed a little, the cells stay where they are.
    cells = 2 ** (math.floor(view.zoom * 2) / 2) * 256 / CELL_PIXELS
    placed = (
        f"select {', '.join(COLUMNS)}, {_X} as x, {_Y} as y from {table} where ({where}) "
        f"and longitude between {west!r} and {east!r} and latitude between {south!r} and {north!r}"
    )
    rows = connection.execute(
        f"select avg(x), avg(y), count(*), count(*) filter (condition <= {POOR_MAX}), avg(fall_probability), "
        f"count(*) filter ({inside}), count(*) filter ({inside} and condition <= {POOR_MAX}) from ({placed}) "
        f"group by floor(x * {cells!r}), floor(y * {cells!r}) order by 3 desc, 1, 2",
        list(parameters),
    ).fetchall()
    count, poor = sum(row[5] for row in rows), sum(row[6] for row in rows)
    if sum(row[2] for row in rows) > MAX_BRIDGES:
        return Layer([row[:5] for row in rows], [], count, poor)
    bridges = connection.execute(
        f"select x, y, structure_key, facility_carried, features_intersected, condition, fall_probability "
        f"from ({placed}) order by condition desc, structure_key",
        list(parameters),
    ).fetchall()
    return Layer([], bridges, count, poor)


def count_unplaced(
    connection: duckdb.DuckDBPyConnection, table: str, where: str = "true", parameters: Sequence[Any] = ()
) -> int:
    """How many bridges of a selection have no coordinates, and are nowhere on the map."""
    return connection.execute(
        f"select count(*) from {table} where ({where}) and (longitude is null or latitude is null)", list(parameters)
    ).fetchall()[0][0]


def view_of(
    connection: duckdb.DuckDBPyConnection, table: str, where: str = "true", parameters: Sequence[Any] = ()
) -> View | None:
    """The view that shows all bridges of a selection but the outermost 1 %: one wrong coordinate would show the world.

    None if none of them has coordinates.
    """
    west, south, east, north = connection.execute(
        f"select quantile_cont(longitude, 0.005), quantile_cont(latitude, 0.005), quantile_cont(longitude, 0.995), "
        f"quantile_cont(latitude, 0.995) from {table} where ({where})",
        list(parameters),
    ).fetchall()[0]
    return None if west is None or south is None else View.around(west, south, east, north)
