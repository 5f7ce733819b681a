"""Reads bridge data from any source into one pandas table, and writes tables to files.

Belongs here: public functions for use without Dagster. They load the whole table into memory; the platform itself uses
`ingest.ingest`, which works in batches.
"""

from __future__ import annotations

import difflib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import polars as pl
import pyarrow as pa

from bridge_assets.data.reading.file_names import check_no_conflicts, survey_year_of
from bridge_assets.data.reading.formats import read_survey_file
from bridge_assets.data.records.bridges import BRIDGE_ARROW_SCHEMA, BRIDGE_SCHEMA, decode_bridges
from bridge_assets.data.sources.left_alone import left_alone_sentence, looks_like_data
from bridge_assets.data.sources.survey_files import left_alone, no_survey_file_error, survey_files
from bridge_assets.errors import SourceError
from bridge_assets.nbi.delimited.records import REJECTED_SCHEMA
from bridge_assets.nbi.spreadsheet import SpreadsheetCheck
from bridge_assets.storage import atomic_write, write_parquet

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


def load_bridge_data(
    path: str | Path, survey_year: int | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read bridge data from any source into one table.

    Parameters
    ----------
    path : str or Path
        A delimited NBI file in one of the published layouts, a CSV, Parquet or Excel file with canonical names, or an
        InfoBridge export; also compressed (gzip, or a zip with one delimited file). A folder of such files, for example
        state files of one or several years. An address: http(s)://, s3://, gs://, abfs://. A file or folder tracked by
        DVC.
    survey_year : int, optional
        If a file or folder has several survey years: the year to read, by default all. Otherwise the survey year of
        the file, by default the one in its name.
    columns : sequence of str, optional
        The columns of `BRIDGE_SCHEMA` to return, in this order; by default all. Every item is read either way, but only
        these are kept in memory.

    Returns
    -------
    pd.DataFrame of shape (n_records, n_columns)
        The columns of `BRIDGE_SCHEMA`, or those asked for; records in file order. Lengths in metres and ratings in
        metric tons, whatever the units of the file. Rejected rows are not included; see `rejected_bridge_data`.

    Raises
    ------
    SourceError
        If the file is missing, empty, a web page, a damaged or ambiguous archive, or its survey year is unknown.
    LayoutError
        If its header row is not recognised.
    ValueError
        If `columns` names none, one that does not exist, or one twice.
    """
    names = _checked_columns(columns)
    with _local_path(path) as local_path:
        tables = [_table(file, year, names) for file, year in _files_with_years(local_path, survey_year)]
    table = pa.concat_tables(tables)
    del tables  # what is converted is freed column by column, if nothing else holds it
    return table.to_pandas(date_as_object=False, self_destruct=True)


def rejected_bridge_data(path: str | Path, survey_year: int | None = None) -> pd.DataFrame:
    """The rejected records of a source: file, line_number, reason, detail, line. Parameters as `load_bridge_data`."""
    with _local_path(path) as local_path:
        rejected = [
            each.batch.rejected
            for file, year in _files_with_years(local_path, survey_year)
            for each in read_survey_file(file, year)
        ]
    return pl.concat([pl.DataFrame(schema=REJECTED_SCHEMA), *rejected]).to_pandas()


def save_processed_data(df: pd.DataFrame, path: str | Path) -> None:
    """Write a table as Parquet or CSV, depending on the suffix of the path, atomically.

    `load_bridge_data` reads either file back without loss. In CSV, missing values are empty, text with a comma, a quote
    or a line break is in double quotes, and numbers have full precision.

    Raises
    ------
    ValueError
        If the suffix is neither `.parquet` nor `.csv`.
    StorageError
        If it cannot be written; an existing file is unchanged.
    """
    path = Path(path)
    if path.suffix not in (".parquet", ".csv"):
        raise ValueError(f"{path}: cannot write {path.suffix or 'a file without suffix'}. Expected: .parquet or .csv")
    table = pl.from_pandas(df)
    if path.suffix == ".parquet":
        write_parquet(table, path)
        return
    dates = [name for name, dtype in table.schema.items() if BRIDGE_SCHEMA.get(name) == pl.Date and dtype.is_temporal()]
    with atomic_write(path) as temp_path:
        table.with_columns(pl.col(dates).cast(pl.Date)).write_csv(temp_path)


@contextmanager
def _local_path(path: str | Path) -> Iterator[Path]:
    """Yield a local path for a source; a copy of a remote file exists only inside the block."""
    from bridge_assets.data.dvc.versions import is_tracked, restore
    from bridge_assets.data.sources.fsspec_files import is_remote, local_copy

    address = str(path)
    if is_remote(address):
        with tempfile.TemporaryDirectory(prefix="bridge_assets_") as folder:
            yield local_copy(address, Path(folder))
        return
    local_path = Path(url2pathname(urlsplit(address).path)) if address.lower().startswith("file://") else Path(path)
    yield restore(local_path) if not local_path.exists() and is_tracked(local_path) else local_path


def _files_with_years(source: Path, survey_year: int | None) -> list[tuple[Path, int | None]]:
    """The files of a source, each with the survey year to read from it."""
    if not source.is_dir():
        return [(source, survey_year)]
    by_year = survey_files(source)
    for year, paths in by_year.items():
        check_no_conflicts(year, [path.relative_to(source).as_posix() for path in paths], source)
    if survey_year is not None:
        if survey_year not in by_year:
            raise no_survey_file_error(survey_year, by_year, source, left_alone(source, by_year))
        return [(path, survey_year) for path in by_year[survey_year]]
    if not by_year:
        raise SourceError(
            "no survey file in the folder",
            where=source,
            why=left_alone_sentence(left_alone(source, by_year)) or "It is empty",
            do="put survey files there under names with their year, such as NBI_2016.txt or AK19.txt",
        )
    if meant := {name: why for name, why in left_alone(source, by_year).items() if looks_like_data(name)}:
        _log.warning("%s: %s", source, left_alone_sentence(meant))
    # A table with a survey year column is listed under each of its years but read only once.
    years_by_path: dict[Path, int | None] = {}
    for year, paths in by_year.items():
        for path in paths:
            years_by_path[path] = None if path.parent == source and survey_year_of(path.name) is None else year
    return list(years_by_path.items())


def _checked_columns(columns: Sequence[str] | None) -> list[str]:
    """The columns to return. Raises ValueError if they cannot be returned."""
    if columns is None:
        return list(BRIDGE_SCHEMA)
    if isinstance(columns, str):
        raise ValueError(f"columns must be a list of names, such as [{columns!r}], not one text")
    names = list(columns)
    if not names:
        raise ValueError("columns names no column. Leave it out for all of them")
    if unknown := [name for name in names if name not in BRIDGE_SCHEMA]:
        similar = difflib.get_close_matches(str(unknown[0]), BRIDGE_SCHEMA, n=3, cutoff=0.5)
        hint = f" Similar ones: {', '.join(similar)}." if similar else ""
        raise ValueError(
            f"columns names {unknown[0]!r}, which is no column of bridge data.{hint} All of them: "
            "list(bridge_assets.data.ingestion.BRIDGE_SCHEMA)"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"columns names {twice[0]} twice")
    return names


def _table(file: Path, survey_year: int | None, columns: list[str]) -> pa.Table:
    """Some columns of the records of a file, in file order, coded items as text."""
    schema = pa.schema([_plain(BRIDGE_ARROW_SCHEMA.field(name)) for name in columns])
    tables, positions = [], []
    spreadsheet = SpreadsheetCheck()
    for each in read_survey_file(file, survey_year):
        spreadsheet.add(each.file, each.batch.table, each.batch.rejected)
        table = decode_bridges(each.batch, each.file, each.survey_year).select(columns).cast(schema)
        if len(columns) < len(BRIDGE_SCHEMA):
            # A copy: the numbers of a batch are parts of one array, which a single column would keep in memory.
            table = table.take(np.arange(table.num_rows))
        tables.append(table)
        positions.append(each.row_positions)
    for warning in spreadsheet.warnings():
        _log.warning(warning)
    table = pa.concat_tables(tables)
    if any(rows is None for rows in positions):
        return table
    rows = pl.concat(rows for rows in positions if rows is not None)
    return table if rows.is_sorted() else table.take(rows.arg_sort().to_arrow())


def _plain(field: pa.Field) -> pa.Field:
    """A column as text if its codes are a dictionary."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
