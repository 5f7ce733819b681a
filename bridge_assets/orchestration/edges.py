"""Where a yearly asset meets the lake: its inputs are read and its table is written here, the functions between them
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
    """Write one survey year of the asset's table, and attach its row count and metadata to the partition.

    Parameters
    ----------
    context : AssetExecutionContext
        Of the asset; the table has its name.
    lake : Lake
    table : pl.DataFrame
    survey_year : int
    provenance : dict or None
        What the table was made from; its digest and row count are added. None: a table that nothing is made from.
    metadata : dict
        What a person sees of the partition in the UI.
    """
    name = context.asset_key.to_user_string()
    if provenance is None:
        lake.write(table, name, survey_year)
    else:
        lake.write_year(table, name, survey_year, provenance)
    context.add_asset_metadata(
        {"dagster/partition_row_count": table.height, **metadata}, asset_key=name, partition_key=str(survey_year)
    )
