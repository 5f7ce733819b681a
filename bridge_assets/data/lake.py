"""The lake: tables as Parquet files in one folder, one file per survey year or per table, with their provenance.

The provenance of a file records the digests of its inputs. Consumers compare it with the current inputs to find out
whether the table is up to date.

A writer holds a shared lock on the folder, which the kernel releases when its process ends, however it ends. So whoever
gets the exclusive lock knows that every temporary file is the leftover of a killed process (`Lake.remove_leftovers`).
What is to be removed together (`Lake.drop_year`) is written down first, so that a kill in between is made good.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.data.table_columns import notes_of_table
from bridge_assets.errors import RunInProgressError, SourceError
from bridge_assets.storage import digest, write_json, write_parquet

if TYPE_CHECKING:
    import polars as pl

#: What lists the files of a survey year that is being dropped.
_DROP_NOTE = ".drop-{}.json"


@dataclass(frozen=True, slots=True)
class YearTable:
    """One survey year of a table, read once, as input for functions that do not read the lake themselves.

    Attributes
    ----------
    name : str
    survey_year : int
    path : Path
        The file it was read from, for error messages.
    table : pl.DataFrame
    digest : str
        SHA-256 of the bytes that the table was read from.
    provenance : dict
        As written with the table. Its `digest` differs from `digest` if a run was killed between the two writes.
    """

    name: str
    survey_year: int
    path: Path
    table: pl.DataFrame
    digest: str
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lake:
    """The folder of all tables."""

    folder: Path

    def table_path(self, name: str) -> Path:
        """The file of a table that is not split by survey year."""
        return self.folder / f"{name}.parquet"

    def year_path(self, name: str, survey_year: int) -> Path:
        """The file of one survey year of a yearly table."""
        return self.folder / name / f"{survey_year}.parquet"

    def available_years(self, name: str) -> list[int]:
        """The survey years for which a yearly table exists."""
        return sorted(int(path.stem) for path in (self.folder / name).glob("[12][0-9][0-9][0-9].parquet"))

    def years_with_provenance(self, name: str) -> list[int]:
        """The survey years with provenance, of a table or of files outside the lake."""
        return sorted(int(path.stem) for path in (self.folder / name).glob("[12][0-9][0-9][0-9].json"))

    def write_provenance(self, name: str, survey_year: int, provenance: dict[str, Any]) -> dict[str, Any]:
        """Write the provenance of one survey year of a table."""
        with self.writing():
            write_json(provenance, self.year_path(name, survey_year).with_suffix(".json"))
        return provenance

    def remove_provenance(self, name: str, survey_year: int) -> None:
        """Remove the provenance of one survey year of a table, if it exists."""
        self.year_path(name, survey_year).with_suffix(".json").unlink(missing_ok=True)

    def has_provenance(self, name: str, survey_year: int) -> bool:
        """Whether one survey year of a table has provenance."""
        return self.year_path(name, survey_year).with_suffix(".json").is_file()

    def provenance(self, name: str, survey_year: int) -> dict[str, Any]:
        """The provenance of one survey year of a table.

        Raises
        ------
        SourceError
            If it does not exist.
        """
        path = self.year_path(name, survey_year).with_suffix(".json")
        if not path.is_file():
            raise _missing_table_error(f"{name}[{survey_year}]", path)
        return json.loads(path.read_text(encoding="utf-8"))

    def digest(self, name: str, survey_year: int) -> str:
        """SHA-256 of the bytes of one survey year of a table. Raises SourceError if it does not exist."""
        path = self.year_path(name, survey_year)
        if not path.is_file():
            raise _missing_table_error(f"{name}[{survey_year}]", path)
        return digest(path)

    def read_year(self, name: str, survey_year: int) -> pl.DataFrame:
        """One survey year of a table. Raises SourceError if it does not exist."""
        return self._read(self.year_path(name, survey_year), f"{name}[{survey_year}]")

    def load_year(self, name: str, survey_year: int) -> YearTable:
        """One survey year of a table with its digest and provenance. Raises SourceError if either does not exist."""
        import polars as pl

        path = self.year_path(name, survey_year)
        if not path.is_file():
            raise _missing_table_error(f"{name}[{survey_year}]", path)
        content = path.read_bytes()
        table, value = pl.read_parquet(io.BytesIO(content)), hashlib.sha256(content).hexdigest()
        return YearTable(name, survey_year, path, table, value, self.provenance(name, survey_year))

    def find_year(self, name: str, survey_year: int) -> YearTable | None:
        """As `load_year`; None if the table or its provenance does not exist."""
        if not (self.year_path(name, survey_year).is_file() and self.has_provenance(name, survey_year)):
            return None
        return self.load_year(name, survey_year)

    def write_year(
        self, table: pl.DataFrame, name: str, survey_year: int, provenance: dict[str, Any]
    ) -> dict[str, Any]:
        """Write one survey year of a table, then its provenance with the `digest` and `rows` of the table added."""
        value = self.write(table, name, survey_year)
        return self.write_provenance(name, survey_year, {"digest": value, "rows": table.height, **provenance})

    def scan_year(self, name: str, survey_year: int) -> pl.LazyFrame:
        """One survey year of a table, lazily: only the columns and rows in use are read. Raises as `read_year`."""
        import polars as pl

        path = self.year_path(name, survey_year)
        if not path.is_file():
            raise _missing_table_error(f"{name}[{survey_year}]", path)
        return pl.scan_parquet(path)

    def scan_years(self, name: str) -> pl.LazyFrame:
        """All existing survey years of a table, lazily. Raises SourceError if there are none."""
        import polars as pl

        years = self.available_years(name)
        if not years:
            raise _missing_table_error(name, self.folder / name)
        return pl.concat([self.scan_year(name, year) for year in years], how="vertical")

    def read_years(self, name: str, survey_years: list[int] | None = None) -> pl.DataFrame:
        """Several survey years of a table, by default all existing ones. Raises SourceError if one is missing."""
        import polars as pl

        years = self.available_years(name) if survey_years is None else survey_years
        if not years:
            raise _missing_table_error(name, self.folder / name)
        return pl.concat([self.read_year(name, year) for year in years], how="vertical")

    def read(self, name: str) -> pl.DataFrame:
        """A table that is not split by survey year. Raises SourceError if it does not exist."""
        return self._read(self.table_path(name), name)

    def scan(self, name: str) -> pl.LazyFrame:
        """A table that is not split by survey year, lazily. Raises SourceError if it does not exist."""
        import polars as pl

        if not self.table_path(name).is_file():
            raise _missing_table_error(name, self.table_path(name))
        return pl.scan_parquet(self.table_path(name))

    def write(self, table: pl.DataFrame, name: str, survey_year: int | None = None) -> str:
        """Write a table, or one survey year of it, and return the digest of the file."""
        with self.writing():
            return digest(
                write_parquet(
                    table,
                    self.table_path(name) if survey_year is None else self.year_path(name, survey_year),
                    notes_of_table(name),
                )
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of a writer; every temporary file in the lake is written inside such a block. May be nested."""
        with suppress(OSError):  # the write itself meets the same, and says what to do
            self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = _lock_folder(self.folder, fcntl.LOCK_SH)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def remove_leftovers(self) -> list[str]:
        """Remove the temporary files of killed processes, and what a killed `drop_year` left of its year.

        Returns their names; none, and removes nothing, while another process is writing.
        """
        descriptor = _lock_folder(self.folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if descriptor is None:
            return []
        try:
            leftovers = sorted([*self.folder.glob(".*.tmp"), *self.folder.glob("*/.*.tmp")])
            for path in leftovers:
                path.unlink(missing_ok=True)
            dropped = [name for note in sorted(self.folder.glob(_DROP_NOTE.format("*"))) for name in self._drop(note)]
            return [*(str(path.relative_to(self.folder)) for path in leftovers), *dropped]
        finally:
            os.close(descriptor)

    def files_of_year(self, survey_year: int) -> list[str]:
        """Every file of a survey year, of whatever table, relative to the lake."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(f"*/{survey_year}.*"))

    def drop_year(self, survey_year: int) -> list[str]:
        """Remove a survey year from every table, and return the names of its files.

        If the process is killed meanwhile, either nothing was removed or the next run (`remove_leftovers`) removes the
        rest.

        Raises
        ------
        RunInProgressError
            If another process is writing to the lake. Nothing was changed.
        """
        descriptor = _lock_folder(self.folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if descriptor is None:
            raise RunInProgressError(
                f"survey year {survey_year} was not dropped",
                where=self.folder,
                why="Another process is writing to the lake, or its file system has no locks; nothing was changed",
                do="wait until the run in progress has ended, then try again",
            )
        try:
            note = self.folder / _DROP_NOTE.format(survey_year)
            write_json(self.files_of_year(survey_year), note)
            return self._drop(note)
        finally:
            os.close(descriptor)

    def _drop(self, note: Path) -> list[str]:
        names = json.loads(note.read_text(encoding="utf-8"))
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        note.unlink()
        return names

    def _read(self, path: Path, what: str) -> pl.DataFrame:
        import polars as pl

        if not path.is_file():
            raise _missing_table_error(what, path)
        return pl.read_parquet(path)


def _lock_folder(folder: Path, operation: int) -> int | None:
    """Lock a folder; returns the descriptor that holds the lock, None if it is held otherwise or cannot be locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, operation)
    except (
        OSError
    ):  # another process holds it; or a file system without such locks, where nobody gets the exclusive one
        os.close(descriptor)
        return None
    return descriptor


def _missing_table_error(what: str, path: Path) -> SourceError:
    name = what.partition("[")[0]
    return SourceError(
        f"{what} has not been built yet",
        where=path,
        why="The file does not exist",
        do=f"run the pipeline up to {name} first",
        stage=name,
    )
