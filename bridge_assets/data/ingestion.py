"""From a survey file to typed records and rejected records.

Every row of a file is either a record or a rejected record: rows read = loaded + rejected.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from bridge_assets.data.sources import survey_year_of
from bridge_assets.nbi.decode import derived
from bridge_assets.nbi.errors import SourceError
from bridge_assets.nbi.items import BY_NAME, CONDITION_ITEMS
from bridge_assets.nbi.records import RECORD_SCHEMA, Batch, read_batches, read_header
from bridge_assets.storage import replacing, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd


def _bridge_schema() -> pl.Schema:
    empty = pl.DataFrame(schema=RECORD_SCHEMA).with_columns(derived(2000))
    return pl.Schema({"file": pl.String(), **empty.schema})


#: The columns of raw_bridges: file, line number, every NBI item, `unparsed`, and the derived columns.
BRIDGE_SCHEMA = _bridge_schema()

RATINGS = (*map(str, range(10)), "N", "n")


@dataclass(frozen=True, slots=True)
class IngestionReport:
    """What became of the rows of one file."""

    file: str
    layout: str
    rows_read: int
    loaded: int
    rejected: int
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    unparsed: int = 0
    """Records in which at least one number was no number; the item is null there and its text stands in `unparsed`."""


def ingest(path: Path, survey_year: int, records: Path, rejected: Path) -> IngestionReport:
    """Read a delimited NBI file into two Parquet files, in batches, so that memory stays flat.

    Parameters
    ----------
    path : Path
        The file, in one of the published layouts.
    survey_year : int
        Its survey year.
    records : Path
        Where the typed records go, one row a source row, `BRIDGE_SCHEMA`.
    rejected : Path
        Where the rejected records go, `nbi.records.REJECTED_SCHEMA`.

    Returns
    -------
    IngestionReport

    Raises
    ------
    SourceError, LayoutError
        If the file as a whole cannot be read. Neither output is touched then.
    StorageError
        If an output cannot be written. It is untouched then.
    """
    layout = read_header(path)
    rows_read = loaded = unparsed = 0
    refused: list[pl.DataFrame] = []
    with replacing(records) as aside:
        arrow_schema = pl.DataFrame(schema=BRIDGE_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        with pq.ParquetWriter(aside, arrow_schema, compression="zstd") as writer:
            for batch in read_batches(path):
                table = _bridges(batch, path, survey_year)
                writer.write_table(table.to_arrow(compat_level=pl.CompatLevel.oldest()))
                rows_read += batch.rows_read
                loaded += table.height
                unparsed += table.height - table["unparsed"].null_count()
                refused.append(batch.rejected)
        rejects = pl.concat(refused)
        write_parquet(rejects.with_columns(pl.lit(survey_year, dtype=pl.Int16).alias("survey_year")), rejected)
    return IngestionReport(
        file=path.name,
        layout=layout.name,
        rows_read=rows_read,
        loaded=loaded,
        rejected=rejects.height,
        rejected_by_reason=dict(sorted(Counter(rejects["reason"]).items())),
        unparsed=unparsed,
    )


def load_bridge_data(path: str, survey_year: int | None = None) -> pd.DataFrame:
    """Read a delimited NBI file into one table.

    Parameters
    ----------
    path : str
        A local file in one of the published layouts.
    survey_year : int, optional
        Its survey year; read from the file's name when not given.

    Returns
    -------
    pd.DataFrame of shape (n_records, n_columns)
        The columns of `BRIDGE_SCHEMA`. Rejected rows are not in it; `rejected_bridge_data` has them.

    Raises
    ------
    SourceError
        If the file is missing, empty, a web page, or of an unknown survey year.
    LayoutError
        If its header is none of the published layouts.
    """
    return pl.concat(_bridges(*parts) for parts in _batches(path, survey_year)).to_pandas()


def rejected_bridge_data(path: str, survey_year: int | None = None) -> pd.DataFrame:
    """The rejected records of a file: file, line_number, reason, detail, line. Parameters as `load_bridge_data`."""
    return pl.concat(batch.rejected for batch, _, _ in _batches(path, survey_year)).to_pandas()


def validation_problems(df: pd.DataFrame) -> list[str]:
    """What keeps a table from being bridge data, one sentence each; empty where nothing does.

    Checks that the columns of `BRIDGE_SCHEMA` are there, that every record has a structure key and that the condition
    items hold ratings of the Coding Guide (0-9, N, or nothing).
    """
    problems = []
    if missing := [name for name in BRIDGE_SCHEMA if name not in df.columns]:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        problems.append(f"{len(missing)} columns are missing: {shown}")
    if not len(df):
        problems.append("there are no records")
    if "structure_key" in df.columns and (keyless := int(df["structure_key"].isna().sum())):
        problems.append(f"{keyless} records have no structure key")
    for item in CONDITION_ITEMS:
        if item in df.columns:
            odd = df.loc[df[item].notna() & ~df[item].isin(RATINGS), item]
            if len(odd):
                problems.append(
                    f"item {BY_NAME[item].number} holds {len(odd)} values that are no rating, such as {odd.iloc[0]!r}"
                )
    return problems


def validate_bridge_data(df: pd.DataFrame) -> bool:
    """Whether a table is bridge data; `validation_problems` says why not."""
    return not validation_problems(df)


def save_processed_data(df: pd.DataFrame, path: str | Path) -> None:
    """Write a table as Parquet or CSV, by the suffix of the path, atomically.

    Raises
    ------
    ValueError
        If the suffix is neither `.parquet` nor `.csv`.
    StorageError
        If it cannot be written; a previous file is untouched then.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        write_parquet(pl.from_pandas(df), path)
    elif path.suffix == ".csv":
        with replacing(path) as aside:
            df.to_csv(aside, index=False)
    else:
        raise ValueError(f"{path}: cannot write {path.suffix or 'a file without suffix'}. Expected: .parquet or .csv")


def one_record_per_structure(records: pl.LazyFrame) -> pl.LazyFrame:
    """The record that stands for its structure in its survey year.

    Condition belongs to record type 1 only. Where a file holds a structure twice, the latest inspection counts, then
    the earlier line. `stg_bridges` follows the same rule in SQL.
    """
    return (
        records.filter(pl.col("on_structure"))
        .sort(
            "survey_year",
            "structure_key",
            pl.col("inspection_date").fill_null(pl.date(1, 1, 1)),
            -pl.col("line_number").cast(pl.Int64),
        )
        .unique(["survey_year", "structure_key"], keep="last", maintain_order=True)
    )


def _bridges(batch: Batch, path: Path, survey_year: int) -> pl.DataFrame:
    return batch.records.select(pl.lit(path.name).alias("file"), pl.all()).with_columns(derived(survey_year))


def _batches(path: str, survey_year: int | None) -> Iterator[tuple[Batch, Path, int]]:
    file = Path(path)
    year = survey_year if survey_year is not None else survey_year_of(file.name)
    if year is None:
        raise SourceError(
            "the survey year is not known",
            where=file,
            why="The file's name holds no single year, and a record does not say it",
            do="pass survey_year, or name the file after its year, such as NBI_2016.txt",
        )
    for batch in read_batches(file):
        yield batch, file, year
