"""The table `pipeline_metrics`: the JSON lines as one Parquet file, one row for each run, step and asset.

Lines are rotated away after some time; the table keeps them. Each update reads only what was appended since the last
one: how far each file was read is remembered by the file's first line, because a rotated file has another name. A row
is in the table once, however often its line is read, so a kill between the two writes, or a lost memory, repeats
nothing.

Belongs here: reading lines, and the table. Does not belong here: writing lines (`pipeline_metrics`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bridge_assets.data.table_columns import described
from bridge_assets.file_lock import file_lock
from bridge_assets.storage import write_json, write_parquet

if TYPE_CHECKING:
    import polars as pl

#: Columns, with their types in DuckDB and what they mean.
COLUMNS: dict[str, tuple[str, str]] = {
    "ended_at": ("timestamp with time zone", "When it ended: `at` of the line, a word that SQL reserves."),
    "kind": ("varchar", "run, step or asset."),
    "run": ("varchar", "Id of the run."),
    "job": ("varchar", "Name of the job."),
    "step": ("varchar", "Key of the step; empty for a run."),
    "asset": ("varchar", "Key of the asset that was materialized; empty for a run or step."),
    "partition": ("varchar", "Survey year, or the first and last of a range; empty if there is none."),
    "outcome": ("varchar", "success, failure, skipped or canceled."),
    "seconds": ("double", "Duration of a run or step; null if its start was not seen by the same process."),
    "seconds_into_step": ("double", "Of an asset: time since its step started."),
    "rows": ("bigint", "Rows of the asset, if it reports them."),
    "bytes": ("bigint", "Size of the asset's file, if it names one."),
    "peak_memory_mb": ("double", "Largest memory of the process up to then."),
    "data_version": ("varchar", "Data version of the asset."),
    "code_version": ("varchar", "Code version of the asset."),
}

_KINDS = ("run", "step", "asset")

_STRINGS = tuple(name for name, (kind, _) in COLUMNS.items() if kind == "varchar")
_NUMBERS = tuple(name for name, (kind, _) in COLUMNS.items() if kind in ("double", "bigint"))

_ROW = "One row for each run, step and materialised asset."

#: What tells two rows apart. The time is a float of microseconds, so two events of a step differ in it.
_KEY = ["ended_at", "kind", "run", "step", "asset", "partition", "outcome"]

#: Lines that are not rows, of which an update names the place.
_MAX_NAMED = 20

#: Seconds to wait for another update.
_LOCK_SECONDS = 60.0

#: The largest number of a BIGINT.
_MAX_INTEGER = 2**63 - 1


@dataclass
class TableUpdate:
    """What an update did.

    Attributes
    ----------
    rows : int
        Of the table.
    added : int
        Rows that are new.
    torn : int
        Lines that are not whole JSON, because a disk was full or a machine died while they were written.
    foreign : int
        Lines of JSON that are not the platform's: of another form, or with a value of another type.
    named : list of str
        The first of those, with file, byte and reason.
    """

    rows: int = 0
    added: int = 0
    torn: int = 0
    foreign: int = 0
    named: list[str] = field(default_factory=list)

    def count(self, path: Path, position: int, reason: str, torn: bool) -> None:
        if torn:
            self.torn += 1
        else:
            self.foreign += 1
        if len(self.named) < _MAX_NAMED:
            self.named.append(f"{path.name}, byte {position}: {reason}")


def update_pipeline_table(lines: Path, table: Path) -> tuple[pl.DataFrame, TableUpdate]:
    """Add to the table the lines that were written since it was last updated.

    Parameters
    ----------
    lines : Path
        The newest file, such as `metrics/pipeline.jsonl`; older ones are beside it as `pipeline.1.jsonl` and so on.
    table : Path
        The Parquet file. `<name>.json` beside it remembers how far the lines were read.

    Returns
    -------
    pl.DataFrame, TableUpdate
        The whole table, in the order of `ended_at`, and what was done.

    Raises
    ------
    StorageError
        If the table cannot be written. It is unchanged then, and the next update adds the same lines.
    LockHeldError
        If another update does not end within a minute.
    """
    import polars as pl

    with file_lock(table.with_name(f".{table.name}.lock"), _LOCK_SECONDS):
        memory_path = table.with_suffix(".json")
        existing, read = _existing(table), _memory(memory_path) if table.is_file() else {}
        update, found, now = TableUpdate(), [], {}
        for path, file, size in _snapshot(lines):
            first = file.readline()
            key = hashlib.sha256(first).hexdigest()
            start = read.get(key, 0)
            start = start if start <= size else 0  # somebody cut the file
            file.seek(start)
            added, now[key] = _read_lines(file.read(size - start), path, start, update, is_newest=path == lines)
            found += added
        new = pl.DataFrame(found, schema=_schema(), orient="row")
        rows = pl.concat([existing, new])
        result = rows.unique(_KEY, keep="first", maintain_order=True).sort("ended_at", maintain_order=True)
        update.rows, update.added = result.height, result.height - existing.height
        if update.added or not table.is_file():
            write_parquet(result, table, described({name: text for name, (_, text) in COLUMNS.items()}, _ROW))
        write_json(now, memory_path)
    return result, update


def _snapshot(lines: Path) -> Iterator[tuple[Path, BinaryIO, int]]:
    """The files of lines and their sizes at one moment, oldest first. Nobody writes while they are opened."""
    if not lines.parent.is_dir():
        return
    with ExitStack() as stack:
        with file_lock(lines.with_name(f".{lines.name}.lock"), _LOCK_SECONDS):
            older = [path for path in lines.parent.glob(f"{lines.stem}.*{lines.suffix}") if _number(path) > 0]
            paths = [*sorted(older, key=_number, reverse=True), *([lines] if lines.is_file() else [])]
            files = [(path, stack.enter_context(path.open("rb"))) for path in paths]
            sizes = [os.fstat(file.fileno()).st_size for _, file in files]
        for (path, file), size in zip(files, sizes, strict=True):
            yield path, file, size


def _number(path: Path) -> int:
    number = path.stem.rpartition(".")[2]
    return int(number) if number.isdecimal() else 0


def _read_lines(
    content: bytes, path: Path, start: int, update: TableUpdate, is_newest: bool
) -> tuple[list[dict[str, Any]], int]:
    """Rows of what was appended, and the position behind it. The last line of the newest file may be continued."""
    rows, position = [], start
    *whole, rest = content.split(b"\n")
    for line in whole if is_newest else [*whole, rest]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            if line.strip():
                update.count(path, position, "not whole JSON", torn=True)
        else:
            if reason := _not_ours(value):
                update.count(path, position, reason, torn=False)
            else:
                rows.append(_row(value))
        position += len(line) + 1
    return rows, min(position, start + len(content))


def _not_ours(value: Any) -> str:
    """Why a value is not a line of the platform; empty if it is."""
    if not isinstance(value, dict):
        return f"a {type(value).__name__} in place of an object"
    if value.get("kind") not in _KINDS:
        return "its kind is not run, step or asset"
    at = value.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < 253_402_300_800:  # until the year 9999
        return "its time (at) is not a number of seconds"
    wrong = [name for name in _STRINGS if not isinstance(value.get(name, ""), str)]
    wrong += [name for name in _NUMBERS if not _is_number(value.get(name))]
    return f"{wrong[0]} is of another type" if wrong else ""


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and abs(value) <= _MAX_INTEGER)


def _row(value: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"ended_at": round(value["at"] * 1e6)}
    for name, (kind, _) in COLUMNS.items():
        if kind == "varchar":
            row[name] = value.get(name, "").encode("utf-8", "replace").decode()  # JSON may hold half a character
        elif name in _NUMBERS:
            found = value.get(name)
            row[name] = None if found is None else (int(found) if kind == "bigint" else float(found))
    return row


def _schema() -> pl.Schema:
    import polars as pl

    types = {
        "varchar": pl.String,
        "double": pl.Float64,
        "bigint": pl.Int64,
        "timestamp with time zone": pl.Datetime("us", "UTC"),
    }
    return pl.Schema({name: types[kind] for name, (kind, _) in COLUMNS.items()})


def _existing(table: Path) -> pl.DataFrame:
    """The table as it is; empty if there is none, or if it is of another version."""
    import polars as pl

    if not table.is_file():
        return pl.DataFrame(schema=_schema())
    found = pl.read_parquet(table)
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in _schema().items() if name not in found.columns]
    return found.with_columns(missing).select(list(_schema())).cast(_schema())


def _memory(path: Path) -> dict[str, int]:
    """First line of a file -> bytes that were read; empty if it cannot be read: then all lines are read again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): int(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
