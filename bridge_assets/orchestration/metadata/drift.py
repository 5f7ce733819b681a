"""Rows of drift_report as metadata for the UI."""

from typing import Any

import dagster as dg

from bridge_assets.orchestration.metadata import display

#: Rows that are shown; all of them are in the table.
MAX_ROWS = 40

_COLUMNS = ("survey_year", "state", "feature", "measure", "value", "threshold", "reference_mean", "year_mean", "cause")


def preview_rows(rows: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """The rows as a table: where, what, how far, and why."""
    import polars as pl

    table = pl.DataFrame([{name: row[name] for name in _COLUMNS} for row in rows], infer_schema_length=None)
    return display.preview(table, rows=MAX_ROWS, max_cell_length=120)
