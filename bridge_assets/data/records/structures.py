"""Selects one record per structure and survey year.

Belongs here: the rule for choosing between several records of a structure. `stg_bridges` follows the same rule in SQL.
"""

from __future__ import annotations

import polars as pl

#: One structure in one survey year.
RECORD_KEY = ("survey_year", "structure_key")


def one_record_per_structure(records: pl.LazyFrame) -> pl.LazyFrame:
    """Select one record for each structure and survey year.

    Only records of type 1 carry a condition. If a structure occurs twice in a survey year, the record with the latest
    inspection is used, then the one on the earlier line. `stg_bridges` follows the same rule in SQL. The order of the
    records is not preserved.
    """
    records = records.filter(pl.col("on_structure")).with_columns((pl.len().over(RECORD_KEY) > 1).alias("repeated"))
    date = pl.col("inspection_date").fill_null(pl.date(1, 1, 1))
    in_order = records.filter("repeated").sort(*RECORD_KEY, date, -pl.col("line_number").cast(pl.Int64))
    latest = in_order.unique(RECORD_KEY, keep="last", maintain_order=True)
    return pl.concat([records.filter(~pl.col("repeated")), latest]).drop("repeated")
