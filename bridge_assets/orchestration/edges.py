"""Writes the table of a yearly asset to the lake. An asset reads and writes only at its edges; the functions in between
take tables and return tables.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.data.lake import Lake

if TYPE_CHECKING:
    import polars as pl


def write_year(
    context: dg.AssetExecutionContext,
    lake: Lake,
    table: "pl.DataFrame",
    survey_year: int,
    provenance: dict[str, Any] | None,
    metadata: dict[str, Any],
) -> None:
    """Write one survey year of the asset's table, and attach row count and metadata to the partition.

    Parameters
    ----------
    context : AssetExecutionContext
        The table is named after its asset.
    lake : Lake
    table : pl.DataFrame
    survey_year : int
    provenance : dict or None
        The inputs of the table; its digest and row count are added. None for a table that no other is built from.
    metadata : dict
        Metadata of the partition for the UI.
    """
    name = context.asset_key.to_user_string()
    if provenance is None:
        lake.write(table, name, survey_year)
    else:
        lake.write_year(table, name, survey_year, provenance)
    context.add_asset_metadata(
        {"dagster/partition_row_count": table.height, **metadata}, asset_key=name, partition_key=str(survey_year)
    )
