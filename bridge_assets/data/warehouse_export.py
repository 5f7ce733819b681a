"""Tables out of the DuckDB warehouse into the lake, so that nobody but dbt ever opens the warehouse."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from bridge_assets.data.lake import Lake
from bridge_assets.storage import atomic_write


def export_tables(warehouse: Path, tables: Iterable[str], lake: Lake) -> None:
    """Write tables of the warehouse as one Parquet file each.

    Parameters
    ----------
    warehouse : Path
        The DuckDB file; opened for reading only.
    tables : iterable of str
        Names of tables of its main schema, each exported in the order of all its columns, so that the same rows give
        the same bytes.
    """
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for table in tables:
            with atomic_write(lake.table_path(table)) as temp_path:
                connection.table(table).order("all").write_parquet(str(temp_path), compression="zstd")
