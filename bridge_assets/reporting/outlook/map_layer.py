"""The bridges as a map layer for QGIS and other programs: GeoParquet 1.1 and GeoJSON, columns named in words.

Positions are those of items 16 and 17. NBI files name no datum. The layer says WGS 84 (OGC:CRS84, longitude first), as
GeoJSON demands [2]_ and as GeoParquet does where none is named [1]_. A position recorded in NAD 83 is then off by
one to two metres, less than the length of a bridge.

References
----------
.. [1] GeoParquet specification, version 1.1.0, geoparquet.org.
.. [2] RFC 7946, The GeoJSON Format, section 4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bridge_assets.data.table_columns import Column
from bridge_assets.reporting.outlook.columns import TITLES
from bridge_assets.storage import TableNotes, atomic_write, with_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import polars as pl
    import pyarrow as pa

GEOMETRY = "geometry"

#: Rows of a GeoJSON file that are in memory as text at a time.
_ROWS_PER_WRITE = 20_000


#: Columns that only the GeoParquet file has: in GeoJSON each row repeats the names of its columns, and what is said
#: otherwise (the position, names of codes, years in words) or is the same for all bridges doubles the file.
ONLY_GEOPARQUET = frozenset(
    {
        *("source", "survey_year", "target", "model_version", "latitude", "longitude", "rank_in_state"),
        *("state_code", "county_code", "owner", "material", "design", "posting", "state_fall_probability"),
        *("years_until_poor", "years_until_poor_low", "years_until_poor_high", "years_until_poor_horizon"),
    }
)


class MapLayer(NamedTuple):
    """What was written.

    Attributes
    ----------
    geoparquet, geojson : Path
    bridges : int
        In the layer.
    without_position : int
        Left out: the record has no latitude or no longitude, or one that cannot be.
    """

    geoparquet: Path
    geojson: Path
    bridges: int
    without_position: int


def write_map_layer(sheet: pl.DataFrame, folder: Path, columns: Iterable[Column]) -> MapLayer:
    """Write the bridges of the sheet that have a position as `bridge_map.parquet` and `bridge_map.geojson`.

    Parameters
    ----------
    sheet : pl.DataFrame
        As `sheet.bridge_sheet` makes it.
    folder : Path
    columns : iterable of Column
        What the columns mean, with their names in words; kept in the GeoParquet file.

    Raises
    ------
    StorageError
        If a file cannot be written. An existing one is unchanged.
    """
    import polars as pl

    placed = sheet.filter(pl.col("latitude").is_finite() & pl.col("longitude").is_finite())
    missing = sheet.height - placed.height
    x, y = (placed[name].cast(pl.Float64).to_numpy() for name in ("longitude", "latitude"))
    named = placed.rename(TITLES)
    row = f"One row for each bridge with a position; {missing:,} of {sheet.height:,} have none and are not here."
    notes = TableNotes(row, {each.name: (each.meaning, each.unit) for each in columns})
    geoparquet, geojson = folder / "bridge_map.parquet", folder / "bridge_map.geojson"
    _write_geoparquet(named, x, y, geoparquet, notes)
    with atomic_write(geojson) as temp_path, temp_path.open("w", encoding="utf-8") as file:
        file.writelines(_geojson(named, x, y, row))
    return MapLayer(geoparquet, geojson, placed.height, missing)


def _write_geoparquet(named: pl.DataFrame, x: np.ndarray, y: np.ndarray, path: Path, notes: TableNotes) -> None:
    import polars as pl
    import pyarrow.parquet as pq

    table = named.to_arrow(compat_level=pl.CompatLevel.oldest())
    schema = with_notes(table.schema, notes)
    table = table.cast(schema).append_column(GEOMETRY, _points(x, y))
    of_geometry: dict[str, object] = {"encoding": "WKB", "geometry_types": ["Point"]}
    if len(x):
        of_geometry["bbox"] = [float(x.min()), float(y.min()), float(x.max()), float(y.max())]
    geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: of_geometry}}
    table = table.replace_schema_metadata({"geo": json.dumps(geo), "description": notes.row})
    with atomic_write(path) as temp_path:
        pq.write_table(table, temp_path, compression="zstd")


def _points(x: np.ndarray, y: np.ndarray) -> pa.Array:
    """Points as well-known binary: byte order 1 (little-endian), type 1 (Point), x and y."""
    import numpy as np
    import pyarrow as pa

    points = np.zeros(len(x), dtype=[("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
    points["order"] = points["type"] = 1
    points["x"], points["y"] = x, y
    size = points.dtype.itemsize
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(x), [None, pa.py_buffer(points.tobytes())])
    return fixed.cast(pa.binary())


def _geojson(named: pl.DataFrame, x: np.ndarray, y: np.ndarray, row: str) -> Iterator[str]:
    import polars as pl

    yield f'{{"type": "FeatureCollection", "name": "bridges", "description": {json.dumps(row)}, "features": ['
    for start in range(0, named.height, _ROWS_PER_WRITE):
        rows = named.slice(start, _ROWS_PER_WRITE)
        shown = [title for name, title in TITLES.items() if name not in ONLY_GEOPARQUET]
        texts = rows.with_columns(pl.col(pl.Date).cast(pl.String)).select(
            pl.struct(shown).struct.json_encode().alias("properties"), pl.col(TITLES["structure_key"]).alias("key")
        )
        for number, (properties, key) in enumerate(texts.iter_rows(), start):
            yield (
                f"{',' if number else ''}\n"
                f'{{"type": "Feature", "id": {json.dumps(key)}, "geometry": {{"type": "Point", '
                f'"coordinates": [{x[number]:.6f}, {y[number]:.6f}]}}, "properties": {properties}}}'
            )
    yield "\n]}\n"
