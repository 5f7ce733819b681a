"""Bridge data as one pandas table, from anywhere; and tables back into files.

Belongs here: the promised functions for people who call the library without Dagster. They hold a table in memory as a
whole; the platform itself goes through `ingestion.ingest`, which does not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import polars as pl

from bridge_assets.data.reading.file_names import check_no_conflicts, survey_year_of
from bridge_assets.data.reading.formats import read_survey_file
from bridge_assets.data.records.bridges import BRIDGE_SCHEMA, decode_bridges, to_polars
from bridge_assets.data.sources.survey_files import no_survey_file_error, survey_files
from bridge_assets.errors import SourceError
from bridge_assets.nbi.delimited.records import REJECTED_SCHEMA
from bridge_assets.nbi.tables.by_year import YearBatch
from bridge_assets.storage import atomic_write, write_parquet

if TYPE_CHECKING:
    import pandas as pd


def load_bridge_data(path: str | Path, survey_year: int | None = None) -> pd.DataFrame:
    """Read bridge data from anywhere into one table.

    Parameters
    ----------
    path : str or Path
        A delimited NBI file in one of the published layouts, a CSV or Parquet file with canonical names, or an
        InfoBridge export; also compressed (gzip, or a zip with one delimited file). A folder of such files, state files
        of one year or of several. An address: http(s)://, s3://, gs://, abfs://. A file or folder that DVC tracks.
    survey_year : int, optional
        Where a file holds several years, or a folder files of several: the one that is wanted, all by default.
        Otherwise the survey year of the file, by default the one in its name.

    Returns
    -------
    pd.DataFrame of shape (n_records, n_columns)
        The columns of `BRIDGE_SCHEMA`, records in the order of the file. Lengths in metres, ratings in metric tons,
        whatever the file has. Rejected rows are not in it; `rejected_bridge_data` has them.

    Raises
    ------
    SourceError
        If the file is missing, empty, a web page, a damaged or ambiguous archive, or of an unknown survey year.
    LayoutError
        If its header is none that is known.
    """
    with _local_path(path) as place:
        tables = [_table(file, year) for file, year in _files_with_years(place, survey_year)]
    return pl.concat(tables).to_pandas()


def rejected_bridge_data(path: str | Path, survey_year: int | None = None) -> pd.DataFrame:
    """The rejected records of a source: file, line_number, reason, detail, line. Parameters as `load_bridge_data`."""
    with _local_path(path) as place:
        rejected = [
            each.batch.rejected
            for file, year in _files_with_years(place, survey_year)
            for each in read_survey_file(file, year)
        ]
    return pl.concat([pl.DataFrame(schema=REJECTED_SCHEMA), *rejected]).to_pandas()


def save_processed_data(df: pd.DataFrame, path: str | Path) -> None:
    """Write a table as Parquet or CSV, by the suffix of the path, atomically.

    What `load_bridge_data` gave comes back from either as it was. In the CSV a missing value is empty, a text with a
    comma, a quote or a line break stands in double quotes; numbers have all their digits.

    Raises
    ------
    ValueError
        If the suffix is neither `.parquet` nor `.csv`.
    StorageError
        If it cannot be written; a previous file is untouched then.
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
    """The path of a source on this machine, for as long as it is read."""
    from bridge_assets.data.dvc.versions import is_tracked, restore
    from bridge_assets.data.sources.fsspec_files import is_remote, local_copy

    address = str(path)
    if is_remote(address):
        with tempfile.TemporaryDirectory(prefix="bridge_assets_") as folder:
            yield local_copy(address, Path(folder))
        return
    place = Path(url2pathname(urlsplit(address).path)) if address.lower().startswith("file://") else Path(path)
    yield restore(place) if not place.exists() and is_tracked(place) else place


def _files_with_years(place: Path, survey_year: int | None) -> list[tuple[Path, int | None]]:
    """The files of a source, each with the survey year to ask it for."""
    if not place.is_dir():
        return [(place, survey_year)]
    by_year = survey_files(place)
    for year, paths in by_year.items():
        check_no_conflicts(year, [path.relative_to(place).as_posix() for path in paths], place)
    if survey_year is not None:
        if survey_year not in by_year:
            raise no_survey_file_error(survey_year, by_year, place)
        return [(path, survey_year) for path in by_year[survey_year]]
    if not by_year:
        raise SourceError(
            "no survey file in the folder",
            where=place,
            why="No file in it has a survey year in its name or inside",
            do="put survey files there under names with their year, such as NBI_2016.txt or AK19.txt",
        )
    # A table with years inside is listed under each of them, and read once.
    years_by_path: dict[Path, int | None] = {}
    for year, paths in by_year.items():
        for path in paths:
            years_by_path[path] = None if path.parent == place and survey_year_of(path.name) is None else year
    return list(years_by_path.items())


def _table(file: Path, survey_year: int | None) -> pl.DataFrame:
    batches = list(read_survey_file(file, survey_year))
    table = pl.concat(_to_bridges(each) for each in batches)
    if any(each.row_positions is None for each in batches):
        return table
    rows = pl.concat(each.row_positions for each in batches if each.row_positions is not None)
    return table if rows.is_sorted() else table[rows.arg_sort()]


def _to_bridges(batch: YearBatch) -> pl.DataFrame:
    return to_polars(decode_bridges(batch.batch, batch.file, batch.survey_year))
