"""Reads the Parquet tables of the lake through DuckDB, read-only.

Queries run in a DuckDB in memory, over the files as they are at that moment: the warehouse is never opened, and no lock
is taken, so a run that writes meanwhile is not delayed. Writers replace a file whole, by a rename, and a query reads
the files that it opened first. A query that met a file that was removed meanwhile is tried once more.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from bridge_assets.errors import SourceError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Row: TypeAlias = dict[str, Any]

#: `{bridge_predictions}` is a table, or all survey years of one; `{bridge_predictions:2025}` is one survey year.
_TABLE = re.compile(r"\{([a-z_]+)(?::([0-9]{4}))?\}")

#: Where Linux lists the files that this process has open.
_DESCRIPTORS = Path("/proc/self/fd")

#: Seconds until a query is tried again. A rename takes microseconds; a year that is dropped takes milliseconds.
_RETRY_SECONDS = 0.1


class MissingTableError(SourceError):
    """A table that a page needs does not exist, or cannot be read. `stage` is the asset that writes it."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a lake, for reading only.

    Attributes
    ----------
    folder : Path
        The lake.
    memory_mb, threads : int
        What all queries of this process may use; beyond the memory, DuckDB goes to disk.
    """

    folder: Path
    memory_mb: int = 400
    threads: int = 2

    def years(self, name: str) -> list[int]:
        """The survey years of a yearly table, ascending."""
        return sorted(int(path.stem) for path in (self.folder / name).glob("[12][0-9][0-9][0-9].parquet"))

    def has(self, name: str) -> bool:
        """Whether a table, or at least one survey year of it, exists."""
        return (self.folder / f"{name}.parquet").is_file() or bool(self.years(name))

    def last_year(self, name: str) -> int:
        """The last survey year of a yearly table. Raises MissingTableError if there is none."""
        years = self.years(name)
        if not years:
            raise _missing(name, self.folder / name)
        return years[-1]

    def stamp(self, *names: str) -> tuple[tuple[str, int, int], ...]:
        """Changes whenever a file of these tables does: path, time and size. A key for caches."""
        found = []
        for name in names:
            for path in [self.folder / f"{name}.parquet", *sorted((self.folder / name).glob("*.parquet"))]:
                try:
                    status = path.stat()
                except OSError:
                    continue
                found.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(found)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows of a query, as dictionaries.

        Parameters
        ----------
        sql : str
            `{name}` stands for a table, `{name:2025}` for one survey year of it. Values that a reader gave go into
            `parameters`, never into the text.
        parameters : sequence
            For the question marks in `sql`.

        Raises
        ------
        MissingTableError
            If a table does not exist, is damaged, or lacks a column.
        """
        return self._read(sql, parameters, _rows)

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The result of a query as an Arrow table; parameters and errors as for `rows`."""
        return self._read(sql, parameters, _arrow)

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `function(connection, table, *arguments)`, where `table` stands for a table in SQL.

        For several queries over the same bytes of a table. Parameters of the table and errors as for `rows`.
        """
        return self._read(f"{{{name}}}", (), lambda connection, table, _: function(connection, table, *arguments))

    def copy(self, sql: str, path: Path, options: str, parameters: Sequence[object] = ()) -> None:
        """Write the result of a query into a file, without holding it in memory.

        Parameters
        ----------
        sql, parameters
            As for `rows`.
        path : Path
        options : str
            DuckDB's, such as `format parquet`.
        """
        target = str(path).replace("'", "''")
        self._read(f"copy ({sql}) to '{target}' ({options})", parameters, _run)

    def _read(self, sql: str, parameters: Sequence[object], fetch: Callable[..., Any]) -> Any:
        import duckdb

        for attempt in (1, 2):
            with OpenFiles() as files:
                try:
                    # Files of one version have the same columns, so the first is enough to know them: much faster.
                    text = self._with_files(sql, files, by_name=attempt == 2)
                    with _database(self.memory_mb, self.threads).cursor() as connection:
                        return fetch(connection, text, list(parameters))
                except (duckdb.Error, FileNotFoundError) as error:
                    if attempt == 2:
                        raise self._unreadable(sql, files, error) from error
            time.sleep(_RETRY_SECONDS)
        raise AssertionError("unreachable")

    def _with_files(self, sql: str, files: OpenFiles, by_name: bool) -> str:
        return _TABLE.sub(lambda found: self._source(found[1], found[2], files, by_name), sql)

    def _source(self, name: str, year: str | None, files: OpenFiles, by_name: bool) -> str:
        single = self.folder / f"{name}.parquet"
        if year:
            paths = [self.folder / name / f"{year}.parquet"]
        elif single.is_file():
            paths = [single]
        else:
            paths = [self.folder / name / f"{each}.parquet" for each in self.years(name)] or [single]
        if not paths[0].is_file():
            raise _missing(f"{name}[{year}]" if year else name, paths[0])
        listed = ", ".join(f"'{files.open(path)}'" for path in paths)
        return f"read_parquet([{listed}], union_by_name = {str(by_name).lower()})"

    def _unreadable(self, sql: str, files: OpenFiles, error: Exception) -> Exception:
        """The error for a reader: which table is damaged or of another form. Anything else stays as it is."""
        import duckdb

        names = [found[1] for found in _TABLE.finditer(sql)]
        if not names or isinstance(error, (duckdb.ParserException, duckdb.OutOfMemoryException)):
            return error
        text = str(error).splitlines()[0]
        damaged = files.named_in(text)
        name = next((each for each in names if damaged and each in (damaged.stem, damaged.parent.name)), names[0])
        lacks_column = isinstance(error, duckdb.BinderException)
        return MissingTableError(
            f"{name} cannot be read",
            where=damaged or self.folder / name,
            why="It was written by another version and lacks a column" if lacks_column else "A file is not whole",
            do=f"materialise {name} again",
            stage=name,
        )


class OpenFiles:
    """Files that a query reads, opened once, so that it reads the same bytes from its first to its last look at them.

    DuckDB opens a file more than once for a query. A table that is replaced in between would be read half from the old
    and half from the new file; the descriptor stays with the old one, also after that has no name any more.
    """

    def __init__(self) -> None:
        self._opened: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._opened.values():
            os.close(descriptor)
        self._opened.clear()

    def open(self, path: Path) -> str:
        """A name under which DuckDB finds the file, for the text of a query. Raises FileNotFoundError."""
        if not _DESCRIPTORS.is_dir():  # not Linux
            return str(path).replace("'", "''")
        if path not in self._opened:
            self._opened[path] = os.open(path, os.O_RDONLY)
        return str(_DESCRIPTORS / str(self._opened[path]))

    def named_in(self, text: str) -> Path | None:
        """The file that an error message of DuckDB names, if it names one."""
        for path, descriptor in self._opened.items():
            if re.search(rf"{_DESCRIPTORS}/{descriptor}\b", text):
                return path
        return next((path for path in self._opened if str(path) in text), None)


@cache
def _database(memory_mb: int, threads: int) -> duckdb.DuckDBPyConnection:
    """One database in memory for the whole process, so that all queries together keep to its memory."""
    import duckdb

    settings = {
        "memory_limit": f"{memory_mb}MB",
        "threads": threads,
        "temp_directory": str(Path(tempfile.gettempdir(), f"bridge_assets_dashboard_{os.getpid()}")),
        "autoinstall_known_extensions": False,  # nothing is downloaded
        "autoload_known_extensions": False,
        "enable_external_file_cache": False,  # a replaced file is read anew
    }
    return duckdb.connect(":memory:", config=settings)


def _run(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[object]) -> None:
    connection.execute(sql, parameters)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[object]) -> list[Row]:
    connection.execute(sql, parameters)
    names = [column[0] for column in connection.description or ()]
    return [dict(zip(names, row, strict=True)) for row in connection.fetchall()]


def _arrow(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[object]) -> pa.Table:
    return connection.sql(sql, params=parameters).to_arrow_table()


def _missing(what: str, path: Path) -> MissingTableError:
    name = what.partition("[")[0]
    return MissingTableError(
        f"{what} has not been built yet",
        where=path,
        why="The file does not exist",
        do=f"materialise {name}",
        stage=name,
    )
