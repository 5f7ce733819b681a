"""Lists the flagged records of a survey year with the values that each flag is about.

Belongs here: the list, and its CSV file. Does not belong here: the flags (`nbi.flag_rules`) and their counts
(`summary`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from bridge_assets.nbi.coding_guide.code_check import CHECKED_ITEMS
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.nbi.flags import SEPARATOR
from bridge_assets.storage import atomic_write

if TYPE_CHECKING:
    from bridge_assets.data.lake import Lake

FLAGGED_SCHEMA = pl.Schema(
    {"state": pl.String(), "structure": pl.String(), "line": pl.UInt32(), "flag": pl.String(), "value": pl.String()}
)


def flagged_records(records: Path) -> pl.DataFrame:
    """The flagged records of a survey year, one row for each record and flag, in the order of the records.

    Parameters
    ----------
    records : Path
        Parquet with the columns of `BRIDGE_SCHEMA`.

    Returns
    -------
    pl.DataFrame
        `FLAGGED_SCHEMA`: `state` as two digits, `structure` the number as published, `line` in the source file, `flag`
        as in the column `flags`, and `value`, the items that the flag is about, such as
        `YEAR_BUILT_027=2020; DATE_OF_INSPECT_090=409`; a blank item is `ITEM=`.
    """
    flagged = pl.scan_parquet(records).filter(pl.col("flags").is_not_null())
    columns = ["structure_key", "STRUCTURE_NUMBER_008", "line_number", "flags", *_items_of_all_flags()]
    table = flagged.select(columns).collect(engine="streaming").with_row_index("_record")
    each = table.with_columns(pl.col("flags").cast(pl.String).str.split(SEPARATOR)).explode("flags")
    each = each.with_row_index("_order")
    parts = [
        part.select(
            "_order",
            pl.col("structure_key").str.head(2).alias("state"),
            pl.col("STRUCTURE_NUMBER_008").cast(pl.String).alias("structure"),
            pl.col("line_number").alias("line"),
            pl.col("flags").alias("flag"),
            _value(str(flag)).alias("value"),
        )
        for (flag,), part in each.group_by("flags")
    ]
    if not parts:
        return pl.DataFrame(schema=FLAGGED_SCHEMA)
    return pl.concat(parts).sort("_order").select(FLAGGED_SCHEMA.names()).cast(dict(FLAGGED_SCHEMA.items()))


def write_flagged_files(lake: Lake, folder: Path) -> dict[int, int]:
    """Write `flagged_<year>.csv` for each survey year in data_quality with records, and remove those of other years.

    Returns
    -------
    dict of int to int
        Survey year -> rows of its file.
    """
    years = sorted({*lake.available_years("data_quality")} & {*lake.available_years("raw_bridges")})
    rows = {}
    for year in years:
        table = flagged_records(lake.year_path("raw_bridges", year))
        write_flagged_csv(table, folder / flagged_file_name(year))
        rows[year] = table.height
    kept = {flagged_file_name(year) for year in years}
    for path in folder.glob(flagged_file_name("[12][0-9][0-9][0-9]")):
        if path.name not in kept:
            path.unlink()
    return rows


def flagged_file_name(survey_year: int | str) -> str:
    """The name of the list of a survey year, in the folder of the reports."""
    return f"flagged_{survey_year}.csv"


def write_flagged_csv(table: pl.DataFrame, path: Path) -> Path:
    """Write the list as CSV: UTF-8, one header row, atomically.

    Text is written as it was published. A program that evaluates formulas in CSV files must be configured not to.
    """
    with atomic_write(path) as temp_path:
        table.write_csv(temp_path)
    return path


def _items_of_all_flags() -> list[str]:
    items = {item for flag in FLAGS.values() for item in flag.items} | set(CHECKED_ITEMS)
    return [name for name in RECORD_SCHEMA if name in items and name != "STRUCTURE_NUMBER_008"]


def _value(flag: str) -> pl.Expr:
    name, _, item = flag.partition(":")
    if item:
        return _named([item])
    if FLAGS[name].items:
        return _named(FLAGS[name].items)
    # A code in lower case: the items that have one.
    text = {code: pl.col(code).cast(pl.String) for code in CHECKED_ITEMS}
    lower = [
        pl.when(value != value.str.to_uppercase()).then(pl.format("{}={}", pl.lit(code), value))
        for code, value in text.items()
    ]
    return pl.concat_str(lower, separator=SEPARATOR, ignore_nulls=True)


def _named(items: Iterable[str]) -> pl.Expr:
    texts = [pl.format("{}={}", pl.lit(item), pl.col(item).cast(pl.String).fill_null("")) for item in items]
    return pl.concat_str(texts, separator=SEPARATOR)
