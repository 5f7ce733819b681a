"""Exports tables from the DuckDB warehouse to the lake, so that only dbt ever opens the warehouse for writing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from bridge_assets.data.lake import Lake
from bridge_assets.storage import atomic_write


def export_tables(warehouse: Path, tables: Iterable[str], lake: Lake) -> None:
    """Write each table of the warehouse to a Parquet file.

    Parameters
    ----------
    warehouse : Path
        The DuckDB file; opened read-only.
    tables : iterable of str
        Names of tables in its main schema. Rows are sorted by all columns, so that the same rows give the same bytes.
    lake : Lake
    """
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for table in tables:
            with lake.writing(), atomic_write(lake.table_path(table)) as temp_path:
                connection.table(table).order("all").write_parquet(str(temp_path), compression="zstd")
