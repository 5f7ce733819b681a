"""Which record stands for a structure.

Belongs here: the choice between a structure's records of one survey year. `stg_bridges` follows the same rule in SQL.
"""

from __future__ import annotations

import polars as pl


def one_record_per_structure(records: pl.LazyFrame) -> pl.LazyFrame:
    """The record that stands for its structure in its survey year.

    Condition belongs to record type 1 only. Where a file holds a structure twice, the latest inspection counts, then
    the earlier line. `stg_bridges` follows the same rule in SQL. The order of the records is lost.
    """
    key = ("survey_year", "structure_key")
    records = records.filter(pl.col("on_structure")).with_columns((pl.len().over(key) > 1).alias("repeated"))
    date = pl.col("inspection_date").fill_null(pl.date(1, 1, 1))
    in_order = records.filter("repeated").sort(*key, date, -pl.col("line_number").cast(pl.Int64))
    latest = in_order.unique(key, keep="last", maintain_order=True)
    return pl.concat([records.filter(~pl.col("repeated")), latest]).drop("repeated")
