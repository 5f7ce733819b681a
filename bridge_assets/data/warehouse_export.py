"""Exports tables from the DuckDB warehouse to the lake, so that only dbt ever opens the warehouse for writing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import duckdb

from bridge_assets.data.lake import Lake
from bridge_assets.storage import TableNotes, atomic_write, stored_schema, with_notes


def export_tables(
    warehouse: Path, tables: Iterable[str], lake: Lake, notes: Mapping[str, TableNotes] = MappingProxyType({})
) -> None:
    """Write each table of the warehouse to a Parquet file.

    Parameters
    ----------
    warehouse : Path
        The DuckDB file; opened read-only.
    tables : iterable of str
        Names of tables in its main schema. Rows are sorted by all columns, so that the same rows give the same bytes.
    lake : Lake
    notes : mapping, optional
        Table -> what its file says about itself.
    """
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for table in tables:
            with lake.writing(), atomic_write(lake.table_path(table)) as temp_path:
                _copy(connection, table, temp_path, notes.get(table))


def _copy(connection: duckdb.DuckDBPyConnection, table: str, path: Path, notes: TableNotes | None) -> None:
    kept = {}
    if notes:
        schema = with_notes(connection.table(table).limit(0).to_arrow_table().schema, notes)
        kept = {"ARROW:schema": stored_schema(schema), "description": notes.row}
    pairs = ", ".join(f"{_quoted(key)}: {_quoted(text)}" for key, text in kept.items())
    said = f", kv_metadata {{{pairs}}}" if kept else ""
    name = table.replace('"', '""')
    connection.execute(
        f'copy (select * from "{name}" order by all) to {_quoted(str(path))} (format parquet, compression zstd{said})'
    )


def _quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'{}'".format(text.replace("'", "''"))
