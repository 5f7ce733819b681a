"""Atomic writes, so that a half-written output is never visible: write a temporary file, flush, rename.

Every output of the platform goes through `atomic_write`; running again writes the same bytes to the same place.

A folder that others cannot enter (`private_folder`) passes its permissions on to what is written in it. So a folder of
mode 0700 holds files of 0600, and one that was opened to a group with `chmod 2770` holds files of 0660.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bridge_assets.errors import StorageError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


#: Permission bits of everybody who is neither the owner nor in the group.
_OTHERS = 0o007


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; it replaces `path` when the block ends without an error.

    In a private folder, the file gets the folder's permissions.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written. `path` is then unchanged.
    """
    temp_path = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        mode = make_folder(path.parent)
        yield temp_path
        if not mode & _OTHERS:
            temp_path.chmod(mode & 0o666)
        with temp_path.open("rb") as written:
            os.fsync(written.fileno())
        temp_path.replace(path)
    except OSError as error:
        raise _storage_error(error, path) from error
    finally:
        with suppress(OSError):  # already renamed, or whatever prevented writing it also prevents removing it
            temp_path.unlink()


def private_folder(folder: Path) -> Path:
    """Create a folder that only its owner can enter, or close an existing one, and all that it holds, to others.

    The permissions that an existing folder gives its group are kept, and passed on to what it holds. What belongs to
    another user is left as it is.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(0o700)
    with suppress(PermissionError):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~_OTHERS)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & _OTHERS:
        for parent, folders, files in os.walk(folder):
            for name in folders:
                _set_mode(Path(parent, name), mode)
            for name in files:
                _set_mode(Path(parent, name), mode & 0o666)
    return folder


def private_file(path: Path) -> None:
    """Create an empty file that only its owner can read, or close an existing one to others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # it belongs to another user
        path.touch(mode=0o600)
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)


def make_folder(folder: Path) -> int:
    """Create a folder and its parents, with the permissions of the one above if that is private; returns its mode."""
    try:
        return stat.S_IMODE(folder.stat().st_mode)
    except FileNotFoundError:
        above = make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    if not above & _OTHERS:
        _set_mode(folder, above)
    return stat.S_IMODE(folder.stat().st_mode)


def _set_mode(path: Path, mode: int) -> None:
    """Set the permissions of a file or folder; a link, and what is gone or another user's, stays."""
    with suppress(FileNotFoundError, PermissionError):
        found = path.lstat().st_mode
        if not stat.S_ISLNK(found) and stat.S_IMODE(found) != mode:
            path.chmod(mode)


class TableNotes(NamedTuple):
    """What a Parquet file says about itself.

    Attributes
    ----------
    row : str
        What a row is: `description` in the metadata of the file.
    columns : mapping
        Column -> its meaning and its unit (empty: none): `description` and `unit` in the metadata of the Arrow field.
    """

    row: str
    columns: Mapping[str, tuple[str, str]]


def with_notes(schema: pa.Schema, notes: TableNotes) -> pa.Schema:
    """An Arrow schema with the notes of its columns, and of the table, as metadata. Types are unchanged."""
    fields = []
    for each in schema:
        meaning, unit = notes.columns.get(each.name, ("", ""))
        found = {key: text for key, text in (("description", meaning), ("unit", unit)) if text}
        fields.append(each.with_metadata({**(each.metadata or {}), **found}) if found else each)
    import pyarrow as pa

    return pa.schema(fields, metadata={**(schema.metadata or {}), "description": notes.row})


def stored_schema(schema: pa.Schema) -> str:
    """An Arrow schema as Parquet keeps it under the key `ARROW:schema`, where readers find the notes of the fields."""
    return base64.b64encode(schema.serialize()).decode("ascii")


def write_parquet(table: pl.DataFrame, path: Path, notes: TableNotes | None = None) -> Path:
    """Write a table as one Parquet file (zstd), atomically, with what it says about itself."""
    import polars as pl

    described: dict[str, Any] = {}
    if notes:
        described = {
            "arrow_schema": with_notes(table.clear().to_arrow().schema, notes),
            "metadata": {"description": notes.row},
        }
    with atomic_write(path) as temp_path:
        try:
            table.write_parquet(temp_path, compression="zstd", statistics=True, **described)
        except pl.exceptions.ComputeError as error:  # polars wraps some disk failures in its own error
            raise OSError(str(error)) from error
    return path


def write_text(text: str, path: Path) -> Path:
    """Write UTF-8 text, atomically."""
    with atomic_write(path) as temp_path:
        temp_path.write_text(text, encoding="utf-8")
    return path


def write_json(value: Any, path: Path) -> Path:
    """Write JSON (`to_json`), atomically."""
    return write_text(to_json(value), path)


def to_json(value: Any) -> str:
    """JSON with sorted keys and indentation: the same value gives the same bytes."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 of a value of JSON types and dates, in hex; the order of keys does not matter.

    Raises
    ------
    TypeError
        For any other type, because the printed form of an object may change with the version of its library.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_date_text).encode()).hexdigest()


def _date_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"cannot compute a digest of {type(value).__name__}: only JSON types and dates are supported")


def _storage_error(error: OSError, path: Path) -> StorageError:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free / 1e6
    return StorageError(
        f"{path} was not written: {error.strerror or error} ({free:.0f} MB free in {folder})",
        why="The previous version, if there was one, is untouched, and nothing half-written is left",
        do="free some space or correct the permissions, then run again",
    )
