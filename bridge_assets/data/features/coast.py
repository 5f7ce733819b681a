"""Distance of a bridge from the sea.

`coastline.csv` contains the coast as lines of points; its header cites the source. The points are within about 2 km of
the coast in Natural Earth at 1:50 million, so a distance of a few km only means that the sea is near. The Great Lakes
do not count as sea.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl

_TABLE = "coastline.csv"

#: Version of the features derived from the distance: increase it when the distance is computed differently.
COAST_VERSION = 1

#: Larger distances are set to this, in km: a choice. Salt in the air decreases within the first kilometres.
MAX_DISTANCE_KM = 100.0

#: Largest spacing of points along a line, in km.
_POINT_SPACING_KM = 3.0

#: Locations computed together: with the coast of one cell they fit into a processor's cache.
_CHUNK_ROWS = 256

#: Cells of one degree by one degree on the Earth.
_N_CELLS = 180 * 360

#: Length of a degree of latitude on a sphere of the Earth's mean radius, 6371 km.
_KM_PER_DEGREE = 111.195


def coastline_text() -> str:
    """The text of the table in this package."""
    return files("bridge_assets.data.features").joinpath(_TABLE).read_text(encoding="utf-8")


def coast_distance() -> pl.Expr:
    """Distance of a record from the sea in km, at most `MAX_DISTANCE_KM`; null if its location is unknown."""
    return pl.struct("latitude", "longitude").map_batches(
        _coast_distance_batch, return_dtype=pl.Float64, is_elementwise=True
    )


def coast_distance_km(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Distance to the nearest coast of the sea.

    Parameters
    ----------
    latitude, longitude : np.ndarray of shape (n,)
        Degrees; NaN if unknown. Latitudes of 90 and longitudes of 180 or more, in either direction, count as unknown.

    Returns
    -------
    np.ndarray
        Shape (n,), km, at most `MAX_DISTANCE_KM`; NaN if the location is unknown.
    """
    by_cell = _coast_points_by_cell()
    known = (np.abs(latitude) < 90) & (np.abs(longitude) < 180)
    has_coast = np.zeros(_N_CELLS, bool)
    has_coast[list(by_cell)] = True
    cells = _cell(np.where(known, latitude, 0), np.where(known, longitude, 0))
    near = np.flatnonzero(has_coast[cells] & known)
    distance = np.where(known, MAX_DISTANCE_KM, np.nan)
    for cell, rows in _group_by_key(cells[near], near):
        # In a plane around the middle of the cell: within a degree or two the Earth is flat enough.
        middle = np.array([cell // 360 - 89.5, cell % 360 - 179.5])
        points = _project_to_km(by_cell[cell], middle)
        # |a - b|^2 = |a|^2 + (-2 a.b + |b|^2): the part in brackets is one product of matrices.
        point_terms = np.vstack([-2 * points.T, (points**2).sum(axis=1)])
        for chunk in np.array_split(rows, len(rows) // _CHUNK_ROWS + 1):
            places = _project_to_km(np.column_stack([latitude[chunk], longitude[chunk]]), middle)
            nearest = (np.column_stack([places, np.ones(len(chunk), np.float32)]) @ point_terms).min(axis=1)
            squares = nearest + (places**2).sum(axis=1)
            distance[chunk] = np.minimum(MAX_DISTANCE_KM, np.sqrt(np.maximum(squares, 0)))
    return distance


def _coast_distance_batch(places: pl.Series) -> pl.Series:
    given = places.struct.unnest().select(pl.all().cast(pl.Float64).fill_null(float("nan")))
    return pl.Series(coast_distance_km(*given.to_numpy().T), nan_to_null=True)


def _cell(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Number of the one-degree cell that contains a location."""
    return ((np.floor(latitude) + 90) * 360 + np.floor(longitude) + 180).astype(np.int64)


def _project_to_km(places: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Degrees as km north and east of `middle`; both (n, 2). Float32 is accurate to about 100 m here."""
    north, east = (places - middle).T
    east = ((east + 180) % 360 - 180) * np.cos(np.radians(middle[0]))
    return (np.column_stack([north, east]) * _KM_PER_DEGREE).astype(np.float32)


def _group_by_key(keys: np.ndarray, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Each key with its values, in the order of the keys."""
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    return list(zip(found.tolist(), np.split(values[order], starts[1:]), strict=True)) if len(keys) else []


@cache
def _coast_points_by_cell() -> dict[int, np.ndarray]:
    """Cell -> points of the coast, (m, 2), that may be within `MAX_DISTANCE_KM` of a location in the cell.

    Cells too far from any coast are left out.
    """
    table = pl.read_csv(coastline_text().encode(), comment_prefix="#")
    line, points = table["line"].to_numpy(), table.select("latitude", "longitude").to_numpy()
    begin, along = points[:-1], np.diff(points, axis=0) * (line[1:] == line[:-1])[:, None]
    length = np.hypot(along[:, 0], along[:, 1] * np.cos(np.radians(begin[:, 0]))) * _KM_PER_DEGREE
    pieces = np.maximum(1, np.ceil(length / _POINT_SPACING_KM)).astype(int)
    piece = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    points = np.vstack(
        [
            np.repeat(begin, pieces, axis=0) + np.repeat(along / pieces[:, None], pieces, axis=0) * piece[:, None],
            points[-1:],
        ]
    )
    near: dict[int, list[np.ndarray]] = {}
    for cell, inside in _group_by_key(_cell(*points.T), np.arange(len(points))):
        farthest_north = np.radians(min(89.0, abs(cell // 360 - 89.5) + 1.5))
        column_radius = int(np.ceil(MAX_DISTANCE_KM / (_KM_PER_DEGREE * np.cos(farthest_north))))
        for row in range(cell // 360 - 1, cell // 360 + 2):
            for column in range(cell % 360 - column_radius, cell % 360 + column_radius + 1):
                near.setdefault(row * 360 + column % 360, []).append(points[inside])
    return {cell: np.vstack(several) for cell, several in near.items()}
