"""Reads UTF-16, the `Unicode Text` of Excel, as UTF-8.

Belongs here: recognising the encoding, and recoding a stream. UTF-8 and Latin-1 are left to the readers, which decide
line by line.
"""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bridge_assets.errors import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

#: Bytes at the start that decide: a header row in ASCII has a zero in every second byte of them.
_SNIFF_BYTES = 64
_CHUNK_BYTES = 1 << 20


def utf16_name(beginning: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be`, by the byte order mark or the zeros of a header row without one; otherwise None."""
    if beginning.startswith(codecs.BOM_UTF32_LE):
        return None
    for mark, name in _MARKS.items():
        if beginning.startswith(mark):
            return name
    start = beginning[:_SNIFF_BYTES]
    even, odd = start[::2], start[1::2]
    if len(start) == _SNIFF_BYTES and b"\0" not in even and not odd.strip(b"\0"):
        return "utf-16-le"
    if len(start) == _SNIFF_BYTES and b"\0" not in odd and not even.strip(b"\0"):
        return "utf-16-be"
    return None


def decode_start(beginning: bytes) -> bytes:
    """The first bytes of a file in UTF-8 if they are UTF-16; otherwise unchanged."""
    name = utf16_name(beginning)
    if name is None:
        return beginning
    return beginning.decode(name, errors="ignore").removeprefix("\ufeff").encode("utf-8", errors="replace")


def as_utf8(file: BinaryIO, beginning: bytes, path: Path) -> BinaryIO:
    """The same text in UTF-8, without its byte order mark; the file itself if it is not UTF-16.

    Parameters
    ----------
    file : BinaryIO
        Positioned at its start.
    beginning : bytes
        Its first bytes, 64 or more unless it is shorter.
    path : Path
        For errors.
    """
    name = utf16_name(beginning)
    return file if name is None else io.BufferedReader(_Recoded(file, name, path), _CHUNK_BYTES)


class _Recoded(io.RawIOBase):
    """UTF-16 as a stream of UTF-8; bytes that are not UTF-16 raise SourceError, so that no character is replaced."""

    def __init__(self, file: BinaryIO, encoding: str, path: Path) -> None:
        self._file, self._path = file, path
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready, self._is_start = b"", True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        ended = False
        while not self._ready and not ended:
            block = self._file.read(_CHUNK_BYTES)
            ended = not block
            self._ready = self._recode(block, final=ended)
        data, self._ready = self._ready[: len(view)], self._ready[len(view) :]
        view[: len(data)] = data
        return len(data)

    def _recode(self, block: bytes, *, final: bool) -> bytes:
        try:
            text = self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            raise SourceError(
                "the file is damaged",
                where=self._path,
                why=f"It begins as UTF-16 text, but not all of it is ({error.reason})",
                do="save it again, best as CSV UTF-8",
            ) from error
        if self._is_start and text:
            text, self._is_start = text.removeprefix("\ufeff"), False
        return text.encode()
