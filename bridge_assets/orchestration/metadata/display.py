"""Metadata for the UI: previews, plots, links, column schemas."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets import markdown

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import DashboardSettings, PageName

DATA_OWNERS = ["team:bridge-data"]
MODEL_OWNERS = ["team:bridge-models"]

#: Longest cell of a preview, in characters.
MAX_CELL_LENGTH = 40


def preview(table: pl.DataFrame, rows: int = 6, max_cell_length: int = MAX_CELL_LENGTH) -> dg.MarkdownMetadataValue:
    """The first rows of a table, cells cut to `max_cell_length` characters and floats to three decimals."""
    cells = [
        [f"{value:.3f}" if isinstance(value, float) else value for value in row] for row in table.head(rows).iter_rows()
    ]
    return dg.MetadataValue.md(markdown.table(table.columns, cells, max_length=max_cell_length))


def image_metadata(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG embedded in the metadata, so that no image file has to be hosted."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")


def path_metadata(path: Path) -> dg.PathMetadataValue:
    return dg.MetadataValue.path(str(path))


def column_sources(lineage: dg.TableColumnLineage) -> dg.MarkdownMetadataValue:
    """The columns that each column is computed from, as a table."""
    rows = [
        (column, ", ".join(f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps))
        for column, deps in lineage.deps_by_column.items()
    ]
    return dg.MetadataValue.md(markdown.table(("column", "computed from"), rows))


def report_metadata(path: Path, port: int) -> dict[str, dg.MetadataValue]:
    """Where a report is: its address while `bridge-assets dev` runs (`reports_port`), and its file.

    The UI cannot link to the file: a browser opens no `file://` address from a page that came over HTTP.
    """
    from bridge_assets.reporting.report_server import report_address

    return {"page": dg.MetadataValue.url(report_address(port, path.name)), "file": path_metadata(path)}


def dashboard_metadata(settings: DashboardSettings, page: PageName) -> dict[str, dg.MetadataValue]:
    """The page of the dashboard that shows an asset: at `address` in dashboard_assets.yaml, or on this machine."""
    return {"dashboard": dg.MetadataValue.url(settings.page_address(page))}
