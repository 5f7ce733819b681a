"""Opens a source file (plain, gzip, or a zip archive with one delimited member) as one stream of bytes.

Belongs here: decompression, and limits on the expanded size. Does not belong here: the meaning of the bytes
(`reading.formats`). Nothing is ever extracted to the disk, so the path of a member (`../x`) is harmless.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO

from bridge_assets.data.reading.encodings import as_utf8, decode_start, utf16_name
from bridge_assets.errors import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Maximum expanded size: seven times the largest national file, which has 300 MB.
MAX_EXPANDED_BYTES = 2 << 30
#: Maximum ratio of expanded to compressed bytes: forty times that of Alaska's file of 2019 (5.2). The limit of Deflate
#: is 1032.
MAX_EXPANSION_RATIO = 200
#: Below this expanded size the ratio is not checked: a small file of identical rows may exceed it.
RATIO_CHECK_MIN_BYTES = 64 << 20

GZIP, ZIP, ZIP_EMPTY = b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06"
#: First bytes of archives that are not read -> their names.
_OTHER_ARCHIVES = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_ARCHIVES = (GZIP, ZIP, ZIP_EMPTY, *_OTHER_ARCHIVES)

_PEEK_BYTES = 64

#: Exceptions of the standard library for damaged archives. Without `ValueError`, which would catch our own errors.
_ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, struct.error, NotImplementedError, RuntimeError,
    OverflowError, UnicodeError, MemoryError,
)  # fmt: skip

#: In the first line of a delimited member: STRUCTURE_NUMBER_008 (`_` read as a blank) or "8 - Structure Number".
_KEY_HEADING = b"structure number"


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """The expanded bytes of a source file, positioned at the start.

    Attributes
    ----------
    file : BinaryIO
        Expanded bytes. Reading raises SourceError if an archive turns out to be damaged or too large.
    name : str
        For errors and the column `file`: the name of the file, or `archive.zip/member.txt` for a zip.
    compressed : bool
        Whether the file is compressed and can only be read sequentially.
    encoding : str or None
        `utf-16-le` or `utf-16-be` if the file is written so; `file` is in UTF-8 then.
    """

    file: BinaryIO
    name: str
    compressed: bool = False
    encoding: str | None = None


@contextmanager
def open_survey_file(path: Path) -> Iterator[OpenedFile]:
    """Open a source file; gzip and zip are recognised by their first bytes, not by the name.

    Parameters
    ----------
    path : Path
        A plain file, a gzip file, or a zip archive with exactly one delimited member. Folders, hidden files, `__MACOSX`
        and members without a structure number heading (a README) are ignored.

    Yields
    ------
    OpenedFile

    Raises
    ------
    SourceError
        If the file is missing or cannot be opened; if it is an archive of another kind; if an archive is damaged,
        encrypted or nested, has no or several delimited members, or expands beyond `MAX_EXPANDED_BYTES` or, from
        `RATIO_CHECK_MIN_BYTES` on, `MAX_EXPANSION_RATIO`. Damage that is detected only at the end of the stream (a
        wrong checksum) is raised while reading.
    """
    with _open_expanded(path) as source:
        beginning = source.file.peek(_PEEK_BYTES) if isinstance(source.file, io.BufferedReader) else b""
        yield replace(source, file=as_utf8(source.file, beginning, path), encoding=utf16_name(beginning))


@contextmanager
def _open_expanded(path: Path) -> Iterator[OpenedFile]:
    with _open_file(path) as file:
        try:
            beginning = file.read(6)
            magic = beginning[:4]
            file.seek(0)
        except OSError as error:
            raise _unreadable_error(path, error) from error
        if magic[:2] == GZIP:
            stream = _BoundedStream(gzip.GzipFile(fileobj=file), path, path.stat().st_size)
            with io.BufferedReader(stream, 1 << 20) as expanded:
                _check_not_nested(expanded.peek(8)[:8], path)
                yield OpenedFile(expanded, path.name, compressed=True)
        elif magic in (ZIP, ZIP_EMPTY):
            with _open_zip(file, path) as archive:
                member = _delimited_member(archive, path)
                with _open_member(archive, member, path) as expanded:
                    yield OpenedFile(expanded, f"{path.name}/{member.filename}", compressed=True)
        else:
            _check_known(beginning, path)
            yield OpenedFile(file, path.name)


class _BoundedStream(io.RawIOBase):
    """A decompressed stream that enforces the size limits and raises SourceError for damage.

    The limits apply to the bytes actually read, because the size in the header of an archive may be wrong.
    """

    def __init__(
        self, source: IO[bytes] | gzip.GzipFile, path: Path, compressed: int, declared_size: int | None = None
    ) -> None:
        self._source, self._path, self._compressed, self._declared_size = source, path, compressed, declared_size
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._source.read(len(view))
        except _ARCHIVE_ERRORS as error:
            raise _damaged_archive_error(self._path, error) from error
        self._read += len(data)
        check_expanded_size(self._read, self._compressed, self._path)
        if not data and self._declared_size not in (None, self._read):
            raise _damaged_archive_error(self._path, f"{self._declared_size} bytes declared, {self._read} found")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def _open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise SourceError(
            "the file does not exist", where=path, why="Nothing was read", do="check the path and the source folder"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable_error(path, error) from error


def _unreadable_error(path: Path, error: Exception) -> SourceError:
    message = getattr(error, "strerror", None) or error
    return SourceError(
        "the file cannot be opened",
        where=path,
        why=f"Operating system error: {message}",
        do="check the path and its permissions",
    )


def _open_zip(file: BinaryIO, path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (*_ARCHIVE_ERRORS, ValueError) as error:
        raise _damaged_archive_error(path, error) from error


@contextmanager
def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Iterator[BinaryIO]:
    try:
        source = archive.open(member)
    except (*_ARCHIVE_ERRORS, ValueError) as error:
        raise _damaged_archive_error(path, error) from error
    bounded = _BoundedStream(source, path, member.compress_size, member.file_size)
    with io.BufferedReader(bounded, 1 << 20) as expanded:
        yield expanded


def _delimited_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if _is_data_member(member)]
    if any(member.flag_bits & 0x1 for member in members):
        raise SourceError(
            "the archive is encrypted",
            where=path,
            why="Its members can only be read with a password",
            do="unpack it with the password and use the unpacked file",
        )
    for member in members:
        check_expanded_size(member.file_size, member.compress_size, path)
    named = [member for member in members if PurePosixPath(member.filename).suffix.lower() in (".txt", ".csv")]
    starts = [_read_member_head(archive, member, path) for member in members]
    # The name of the member is unpredictable (fluna_991992-20160919110712.txt), so the first line decides. If no first
    # line matches, the only text file is used anyway: its reader then reports the problem.
    found = [member for member, start in zip(members, starts, strict=True) if _KEY_HEADING in _first_line(start)]
    if not found and len(named) == 1:
        found = named
    if len(found) == 1:
        return found[0]
    nested = any(start.startswith(_ARCHIVES) for start in starts)
    listed = ", ".join(repr(member.filename[:60]) for member in (found or members)[:8]) or "nothing"
    more = len(found or members) - 8
    raise SourceError(
        f"the archive contains {len(found) or 'no'} delimited files; exactly one is expected",
        where=path,
        why=f"It contains {listed}" + (f" and {more} more" if more > 0 else ""),
        do=f"unpack {'the inner archive' if nested and not found else 'it'} and use the unpacked file or folder",
    )


def _is_data_member(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    return bool(parts) and not member.is_dir() and "__MACOSX" not in parts and not parts[-1].startswith(".")


def _read_member_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    with _open_member(archive, member, path) as expanded:
        return expanded.read(1 << 14)


def _first_line(start: bytes) -> bytes:
    start = decode_start(start).removeprefix(b"\xef\xbb\xbf")
    line = start.lstrip().split(b"\n", 1)[0].lower().replace(b"_", b" ")
    return line if any(separator in line for separator in (b",", b";", b"\t", b"|")) else b""


def _check_known(beginning: bytes, path: Path) -> None:
    for magic, name in _OTHER_ARCHIVES.items():
        if beginning.startswith(magic):
            raise SourceError(
                f"this is a {name} archive, which is not read",
                where=path,
                why="Only gzip and zip are",
                do="unpack it, or compress the file with gzip or zip",
            )


def _check_not_nested(beginning: bytes, path: Path) -> None:
    if beginning.startswith(_ARCHIVES):
        raise SourceError(
            "the file is an archive inside an archive",
            where=path,
            why="The compressed file is itself compressed",
            do="unpack the outer archive and use the inner one",
        )


def check_expanded_size(expanded: int, compressed: int, path: Path) -> None:
    """Raise SourceError if an archive expands beyond the limits."""
    ratio = expanded / max(compressed, 1)
    if expanded > MAX_EXPANDED_BYTES or (expanded > RATIO_CHECK_MIN_BYTES and ratio > MAX_EXPANSION_RATIO):
        raise SourceError(
            "the archive expands beyond the limit",
            where=path,
            why=f"{compressed / 1e6:,.1f} MB expand to {expanded / 1e6:,.0f} MB; the limits are "
            f"{MAX_EXPANDED_BYTES / 1e6:,.0f} MB and {MAX_EXPANSION_RATIO} times, and the largest national file has "
            "300 MB",
            do="check the contents; if you trust it, unpack it yourself",
        )


def _damaged_archive_error(path: Path, error: Exception | str) -> SourceError:
    kind = type(error).__name__ if isinstance(error, Exception) else "Length"
    return SourceError(
        "the archive is damaged",
        where=path,
        why=f"{kind}: {error}. The file is truncated or was changed",
        do="download it again",
    )
