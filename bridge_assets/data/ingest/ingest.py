"""Ingests survey files into typed records and rejected records.

Every row of a file becomes either a record or a rejected record: rows read = loaded + rejected. The functions for use
without Dagster are in `pandas_api` and `records.validation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bridge_assets.data.reading.formats import read_survey_file
from bridge_assets.data.records.bridges import BRIDGE_ARROW_SCHEMA, decode_bridges
from bridge_assets.data.table_columns import notes_of_table
from bridge_assets.nbi.coding_guide.items import ITEMS
from bridge_assets.nbi.delimited.records import Batch
from bridge_assets.nbi.flags import unchecked_flags
from bridge_assets.nbi.spreadsheet import SpreadsheetCheck
from bridge_assets.nbi.tables.by_year import YearBatch
from bridge_assets.storage import atomic_write, stored_schema, with_notes, write_parquet

#: Values of a column that are encoded together: one eighth faster than with Parquet's default of 1,024.
WRITE_BATCH_SIZE = 16_384

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class IngestionReport:
    """Row counts of an ingestion."""

    files: tuple[str, ...]
    layouts: tuple[str, ...]
    rows_read: int
    loaded: int
    rejected: int
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    unparsed: int = 0
    """Records with at least one number that could not be parsed; the item is null, and its text is in `unparsed`."""
    warnings: tuple[str, ...] = ()
    """What was assumed to read the files, one sentence each, beginning with the file."""
    items: tuple[str, ...] = ()
    """Items that every file has a column for."""
    unchecked_flags: tuple[str, ...] = ()
    """Flags that no record can have, because no file has the items that they need."""


def ingest(files: Sequence[Path], survey_year: int, records_path: Path, rejected_path: Path) -> IngestionReport:
    """Read the national file of a survey year, or its state files, into two Parquet files.

    Works in batches, so that memory use stays constant; while one batch is read, the previous one is decoded and
    written.

    Parameters
    ----------
    files : sequence of Path
        One or more files in any format supported by `reading.formats`; from a file with several survey years, only
        this one is read.
    survey_year : int
        Their survey year.
    records_path : Path
        Output for the typed records, one row per source row, `BRIDGE_SCHEMA`.
    rejected_path : Path
        Output for the rejected records, `delimited.records.REJECTED_SCHEMA` and survey_year.

    Returns
    -------
    IngestionReport

    Raises
    ------
    SourceError, LayoutError
        If a file as a whole cannot be read. Neither output is changed.
    StorageError
        If an output cannot be written. It is unchanged.
    """
    rejected_batches: list[pl.DataFrame] = []
    layouts: dict[str, None] = {}
    warnings: dict[str, None] = {}
    rows_read = loaded = unparsed = 0
    absent: dict[frozenset[str], None] = {}
    spreadsheet = SpreadsheetCheck()
    with atomic_write(records_path) as temp_path:
        with pq.ParquetWriter(
            temp_path, BRIDGE_ARROW_SCHEMA, compression="zstd", write_batch_size=WRITE_BATCH_SIZE, store_schema=False
        ) as writer:

            def write(read: YearBatch) -> Batch:
                warnings.update({f"{read.file}: {warning}": None for warning in read.batch.warnings})
                spreadsheet.add(read.file, read.batch.table, read.batch.rejected)
                writer.write_table(decode_bridges(read.batch, read.file, survey_year))
                return read.batch

            for batch in _map_pipelined(
                write, (each for part in files for each in read_survey_file(part, survey_year))
            ):
                rejected_batches.append(batch.rejected)
                layouts[batch.layout] = None
                absent[batch.absent_items] = None
                rows_read += batch.rows_read
                loaded += batch.table.num_rows
                unparsed += batch.table.num_rows - batch.table["unparsed"].null_count
            writer.add_key_value_metadata(_notes_of_records())
        rejected_rows = pl.concat(rejected_batches)
        write_parquet(
            rejected_rows.with_columns(pl.lit(survey_year, dtype=pl.Int16).alias("survey_year")),
            rejected_path,
            notes_of_table("rejected_records"),
        )
    return IngestionReport(
        files=tuple(part.name for part in files),
        layouts=tuple(layouts),
        rows_read=rows_read,
        loaded=loaded,
        rejected=rejected_rows.height,
        rejected_by_reason=dict(sorted(Counter(rejected_rows["reason"]).items())),
        unparsed=unparsed,
        warnings=(*warnings, *spreadsheet.warnings()),
        items=tuple(item.name for item in ITEMS if not any(item.name in items for items in absent)),
        unchecked_flags=tuple(
            flag
            for flag in unchecked_flags(frozenset.union(*absent))
            if all(flag in unchecked_flags(each) for each in absent)
        ),
    )


def _notes_of_records() -> dict[str, str]:
    """What raw_bridges says about itself, with plain types: a reader need not know that codes were written as
    dictionaries.
    """
    plain = pa.schema(
        [
            pa.field(each.name, each.type.value_type if pa.types.is_dictionary(each.type) else each.type)
            for each in BRIDGE_ARROW_SCHEMA
        ]
    )
    notes = notes_of_table("raw_bridges")
    assert notes is not None
    return {"ARROW:schema": stored_schema(with_notes(plain, notes)), "description": notes.row}


def _map_pipelined(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to each item in a second thread, while the next item is produced."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        previous = None
        for item in items:
            future = executor.submit(function, item)
            if previous is not None:
                yield previous.result()
            previous = future
        if previous is not None:
            yield previous.result()
