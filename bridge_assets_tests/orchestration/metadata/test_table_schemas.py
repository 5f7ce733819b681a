"""Every table of the graph shows its columns, and they are those of the real files."""

from __future__ import annotations

import csv
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest

from bridge_assets.data import table_columns
from bridge_assets.data.features.listing import render_listing
from bridge_assets.data.listed_features import LISTING_FILE
from bridge_assets.definitions import defs
from bridge_assets.orchestration.metadata import table_schemas

TABLE_KINDS = {"parquet", "duckdb", "csv"}

GRAPH = defs.resolve_asset_graph()
TABLES = sorted(
    node.key.to_user_string() for node in map(GRAPH.get, GRAPH.get_all_asset_keys()) if node.kinds & TABLE_KINDS
)

#: Kind of a column of raw_bridges, as in `docs/schema.md` -> types in which DuckDB reads it.
RAW_BRIDGES_TYPES = {
    "code": {"varchar"},
    "text": {"varchar"},
    "integer": {"integer", "uinteger"},
    "decimal": {"double"},
    "deg": {"double"},
    "date": {"date"},
    "boolean": {"boolean"},
    "0-9": {"tinyint"},
    "year": {"smallint", "integer"},
    "day": {"integer"},
}


def declared_columns(asset: str) -> list[dg.TableColumn]:
    return list(GRAPH.get(dg.AssetKey(asset)).metadata[table_schemas.SCHEMA_KEY].columns)


def without_unit(kind: str) -> str:
    return kind.split(" (")[0] if not kind.startswith("struct") else kind


def stored_columns(home: Path, asset: str) -> list[tuple[str, str]]:
    """Names and types, in order, as DuckDB reads them."""
    lake = home / "lake"
    if (lake / asset).is_dir():
        relation = f"read_parquet('{lake / asset}/*.parquet')"
    elif (lake / f"{asset}.parquet").is_file():
        relation = f"read_parquet('{lake / asset}.parquet')"
    else:
        relation = asset
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as warehouse:
        rows = warehouse.execute(f"describe select * from {relation}").fetchall()
    return [(name, kind.lower()) for name, kind, *_ in rows]


@pytest.mark.parametrize("asset", TABLES)
def test_every_column_has_type_and_meaning(asset: str) -> None:
    columns = declared_columns(asset)
    assert columns
    assert [column.name for column in columns if not column.type or not column.description] == []


def test_units_belong_to_columns_that_exist() -> None:
    names = {column.name for asset in TABLES for column in declared_columns(asset)}
    regression = table_schemas.table_schemas("regression")
    names |= {column.name for schema in regression.values() for column in schema.columns}
    assert sorted(set(table_columns.UNITS) - names) == []


def test_every_measured_column_has_a_unit() -> None:
    """Ratings and numbers of falls have none; what drift_report measures is a share, a mean in the unit of its feature,
    or an index.
    """
    measured = {"float", "double", "decimal"}
    without = {column.name for asset in TABLES for column in declared_columns(asset) if column.type in measured}
    without -= {column.name for column in declared_columns("raw_bridges")}
    of_drift = {"value", "threshold", "error_threshold", "reference_mean", "year_mean"}
    falls = {"expected_falls", "falls_low", "falls_high"}
    assert without == {"mean_condition", "rating", *of_drift, *falls}


def test_the_listing_of_features_is_up_to_date() -> None:
    """`make schema` writes it."""
    assert LISTING_FILE.read_text(encoding="utf-8") == render_listing()


def test_features_have_their_unit_and_reason() -> None:
    shown = {column.name: column for column in declared_columns("bridge_features")}
    assert shown["log_length"].type == "float (log10(m))"
    assert (shown["log_adt"].description or "").startswith("Load cycles and de-icing follow traffic.")


def test_a_regression_has_its_own_columns() -> None:
    names = [column.name for column in table_schemas.table_schemas("regression")["bridge_predictions"].columns]
    ranks = ["rank_in_state", "look_first_rank", "listed_as", "rank_in_list"]
    assert names[4:11] == ["expected_change", *ranks, "fall_probability", "target"]


@pytest.mark.slow
def test_declared_columns_are_those_of_the_files(platform) -> None:
    assert platform.materialize("pipeline_metrics").success  # has a job of its own
    differing = {}
    for asset in sorted({*TABLES} - {"looker_sheet"}):
        declared = [(column.name, without_unit(column.type)) for column in declared_columns(asset)]
        stored = stored_columns(platform.home, asset)
        if asset == "raw_bridges":
            declared = [
                (name, kind if kind in RAW_BRIDGES_TYPES[shown] else shown)
                for (name, shown), (_, kind) in zip(declared, stored, strict=True)
            ]
        if declared != stored:
            differing[asset] = sorted({*declared} ^ {*stored}) or "order"
    assert differing == {}


@pytest.mark.slow
def test_the_sheet_has_its_declared_columns(platform) -> None:
    with (platform.home / "reports" / "bridge_outlook.csv").open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file))
    declared = declared_columns("looker_sheet")
    assert header == [column.name for column in declared]
    with (platform.home / "reports" / "bridge_outlook_columns.csv").open(encoding="utf-8", newline="") as file:
        dictionary = list(csv.DictReader(file))
    assert [row["column"] for row in dictionary] == header and all(row["name"] and row["meaning"] for row in dictionary)
    assert {row["column"]: row["unit"] for row in dictionary}["years_until_poor"] == "years"


@pytest.mark.slow
def test_the_files_say_what_the_schema_in_the_ui_says(platform) -> None:
    silent = {}
    for path in sorted((platform.home / "lake").glob("**/*.parquet")):
        asset = path.parent.name if path.stem.isdigit() else path.stem
        if GRAPH.has(dg.AssetKey(asset)):
            declared = {column.name: column.description for column in declared_columns(asset)}
        else:
            declared = {column.name: column.meaning for column in table_columns.PUBLISHED_SCORES}
        found = {field.name: (field.metadata or {}).get(b"description", b"").decode() for field in pq.read_schema(path)}
        if found != declared:
            silent[path.name] = sorted({*found.items()} ^ {*declared.items()})
    assert silent == {}
