"""From a survey file to typed records and rejected records.

Every row of a file is either a record or a rejected record: rows read = loaded + rejected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl
import pyarrow.parquet as pq

from bridge_assets.data.bridges import ARROW_BRIDGES, BRIDGE_SCHEMA, as_polars, bridges
from bridge_assets.data.opening import opened
from bridge_assets.data.sources import survey_year_of
from bridge_assets.nbi.errors import SourceError
from bridge_assets.nbi.items import BY_NAME, CONDITION_ITEMS
from bridge_assets.nbi.records import Batch, read_batches
from bridge_assets.storage import replacing, write_parquet

if TYPE_CHECKING:
    import pandas as pd

RATINGS = (*map(str, range(10)), "N", "n")

Given, Made = TypeVar("Given"), TypeVar("Made")


@dataclass(frozen=True, slots=True)
class IngestionReport:
    """What became of the rows of one file."""

    files: tuple[str, ...]
    layouts: tuple[str, ...]
    rows_read: int
    loaded: int
    rejected: int
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    unparsed: int = 0
    """Records in which at least one number was no number; the item is null there and its text stands in `unparsed`."""


def ingest(parts: Sequence[Path], survey_year: int, records: Path, rejected: Path) -> IngestionReport:
    """Read the file of a survey year, or its state files, into two Parquet files.

    Goes batch by batch, so that memory stays flat; while one is read, the one before is decoded and written.

    Parameters
    ----------
    parts : sequence of Path
        One file or several, each in one of the published layouts.
    survey_year : int
        Their survey year.
    records : Path
        Where the typed records go, one row a source row, `BRIDGE_SCHEMA`.
    rejected : Path
        Where the rejected records go, `nbi.records.REJECTED_SCHEMA` and survey_year.

    Returns
    -------
    IngestionReport

    Raises
    ------
    SourceError, LayoutError
        If a file as a whole cannot be read. Neither output is touched then.
    StorageError
        If an output cannot be written. It is untouched then.
    """
    refused: list[pl.DataFrame] = []
    layouts: dict[str, None] = {}
    rows_read = loaded = unparsed = 0
    with replacing(records) as aside:
        with pq.ParquetWriter(aside, ARROW_BRIDGES, compression="zstd", store_schema=False) as writer:

            def write(read: tuple[str, Batch]) -> Batch:
                file, batch = read
                writer.write_table(bridges(batch, file, survey_year))
                return batch

            for batch in _one_behind(write, _read(parts)):
                refused.append(batch.rejected)
                layouts[batch.layout] = None
                rows_read += batch.rows_read
                loaded += batch.table.num_rows
                unparsed += batch.table.num_rows - batch.table["unparsed"].null_count
        rejects = pl.concat(refused)
        write_parquet(rejects.with_columns(pl.lit(survey_year, dtype=pl.Int16).alias("survey_year")), rejected)
    return IngestionReport(
        files=tuple(part.name for part in parts),
        layouts=tuple(layouts),
        rows_read=rows_read,
        loaded=loaded,
        rejected=rejects.height,
        rejected_by_reason=dict(sorted(Counter(rejects["reason"]).items())),
        unparsed=unparsed,
    )


def _read(parts: Sequence[Path]) -> Iterator[tuple[str, Batch]]:
    for part in parts:
        with opened(part) as source:
            for batch in read_batches(source.file, source.name, where=part):
                yield source.name, batch


def _one_behind(do: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """Do something with each thing given, beside the making of the next one."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        earlier = None
        for thing in given:
            this = beside.submit(do, thing)
            if earlier is not None:
                yield earlier.result()
            earlier = this
        if earlier is not None:
            yield earlier.result()


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
    return pl.concat(as_polars(bridges(*parts)) for parts in _batches(path, survey_year)).to_pandas()


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


def _batches(path: str, survey_year: int | None) -> Iterator[tuple[Batch, str, int]]:
    file = Path(path)
    year = survey_year if survey_year is not None else survey_year_of(file.name)
    if year is None:
        raise SourceError(
            "the survey year is not known",
            where=file,
            why="The file's name holds no single year, and a record does not say it",
            do="pass survey_year, or name the file after its year, such as NBI_2016.txt",
        )
    for name, batch in _read([file]):
        yield batch, name, year
