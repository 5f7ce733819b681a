"""The map layer opens in the programs that read GeoParquet and GeoJSON, with every bridge where its record says."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from support.pages.outlook import BRIDGE, outlook

from bridge_assets.data.ingest.ingest import ingest
from bridge_assets.data.table_columns import Column
from bridge_assets.reporting.outlook.columns import TITLES, sheet_columns
from bridge_assets.reporting.outlook.map_layer import ONLY_GEOPARQUET, MapLayer, write_map_layer
from bridge_assets.reporting.outlook.sheet import bridge_sheet

geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")

COLUMNS = [
    column._replace(name=TITLES[column.name])
    for column in sheet_columns([Column(name, "varchar", f"What {name} is.") for name in BRIDGE])
]


def written(folder: Path, table: pl.DataFrame) -> MapLayer:
    return write_map_layer(bridge_sheet(table, {2024: "MA24.txt"}), folder, COLUMNS)


@pytest.fixture
def layer(tmp_path: Path) -> MapLayer:
    return written(
        tmp_path,
        outlook(
            {"facility_carried": 'O\'NEAL "RD"\n<b>', "location": "CAÑÓN"},
            {"latitude": None},
            {"longitude": None},
            {"longitude": float("nan")},
            {"latitude": -14.27, "longitude": -170.7, "county_code": None, "fall_probability": None},
        ),
    )


@pytest.mark.parametrize("name", ["geoparquet", "geojson"])
def test_it_opens_with_every_bridge_in_its_place(layer: MapLayer, name: str) -> None:
    path = getattr(layer, name)
    read = geopandas.read_parquet(path) if name == "geoparquet" else geopandas.read_file(path)
    assert [(point.x, point.y) for point in read.geometry] == [(-71.5, 42.123457), (-170.7, -14.27)]
    assert read.crs.equals("OGC:CRS84") or read.crs.to_epsg() == 4326
    left_out = set() if name == "geoparquet" else {TITLES[each] for each in ONLY_GEOPARQUET}
    assert set(read.columns) - {"id"} == {*TITLES.values(), "geometry"} - left_out
    assert read["Facility carried"][0] == 'O\'NEAL "RD"\n<b>' and read["Location"][0] == "CAÑÓN"
    assert read["County"].to_list()[0] == "Middlesex" and read["Owner"][0] == "State highway agency"
    assert read["Years until Poor"].to_list()[0] == "12.3"
    assert read["Probability of a lower rating"].round(4).to_list()[0] == 0.1235
    assert str(read["Inspected"][0])[:10] == "2023-05-01"


def test_bridges_without_a_position_are_counted_and_said(layer: MapLayer) -> None:
    assert (layer.bridges, layer.without_position) == (2, 3)
    said = "One row for each bridge with a position; 3 of 5 have none and are not here."
    assert pq.read_metadata(layer.geoparquet).metadata[b"description"].decode() == said
    assert json.loads(layer.geojson.read_text(encoding="utf-8"))["description"] == said


def test_the_metadata_is_that_of_geoparquet_1_1(layer: MapLayer) -> None:
    geo = json.loads(pq.read_metadata(layer.geoparquet).metadata[b"geo"])
    assert geo == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {"encoding": "WKB", "geometry_types": ["Point"], "bbox": [-170.7, -14.27, -71.5, 42.123457]}
        },
    }
    schema = pq.read_schema(layer.geoparquet)
    assert schema.field("Vehicles a day").metadata[b"description"] == b"What adt is."
    # No mandatory member is missing, and no other reader than those of maps is disturbed.
    assert pl.read_parquet(layer.geoparquet).columns == [*TITLES.values(), "geometry"]


def test_no_bridge_with_a_position_is_an_empty_layer(tmp_path: Path) -> None:
    layer = written(tmp_path, outlook({"latitude": None}))
    assert (layer.bridges, layer.without_position) == (0, 1)
    assert len(geopandas.read_parquet(layer.geoparquet)) == 0
    assert json.loads(layer.geojson.read_text(encoding="utf-8"))["features"] == []


def test_the_same_bridges_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = (written(tmp_path / name, outlook({}, {"adt": 5})) for name in "ab")
    assert one.geoparquet.read_bytes() == other.geoparquet.read_bytes()
    assert one.geojson.read_bytes() == other.geojson.read_bytes()


def test_real_records_lie_in_their_state(real_data: Path, tmp_path: Path) -> None:
    """Alaska 2019: nearly all of its bridges are between 50 and 72 degrees north."""
    records = tmp_path / "records.parquet"
    ingest([real_data / "nbi" / "AK19.txt"], 2019, records, tmp_path / "rejected.parquet")
    scores = outlook({}).drop("structure_key", "latitude", "longitude", "state_code", "county_code", "owner")
    table = (
        pl.read_parquet(records)
        .unique("structure_key", maintain_order=True)
        .select(
            "structure_key",
            "latitude",
            "longitude",
            pl.col("structure_key").str.head(2).alias("state_code"),
            pl.col("COUNTY_CODE_003").alias("county_code"),
            pl.col("OWNER_022").alias("owner"),
        )
        .join(scores, how="cross")
    )
    layer = written(tmp_path, table)
    read = geopandas.read_parquet(layer.geoparquet)
    assert len(read) == layer.bridges > 1_000 and layer.bridges + layer.without_position == table.height
    assert set(read["State"]) == {"Alaska"} and read["Owner"].notna().all()
    assert read["County"].notna().mean() > 0.5
    inside = read.geometry.y.between(50, 72) & (read.geometry.x.between(-180, -129) | (read.geometry.x > 170))
    assert inside.mean() > 0.99
    assert len(geopandas.read_file(layer.geojson)) == layer.bridges
