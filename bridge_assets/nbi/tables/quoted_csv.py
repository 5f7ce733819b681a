"""Rows of real CSV (double quotes, doubled inside), without losing one.

Belongs here: from bytes to rows of text with their line numbers, for the formats that other programs write. The
published NBI files are not CSV and are read by `records`. What the columns mean is `canonical` and `infobridge`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bridge_assets.errors import LayoutError, SourceError

#: Rows taken at a time: 143 columns of text of so many rows are about 150 MB as Python objects.
ROWS_AT_A_TIME = 20_000

#: What a line may hold and still be blank; 0x1A ends files of the DOS years.
_BLANK = " \t\r\n\x1a"


@dataclass(frozen=True, slots=True)
class Rows:
    """A run of rows.

    Attributes
    ----------
    text : pl.DataFrame
        The wanted columns as String, as they stand in the file; "" where nothing stands.
    line_numbers : list of int
        First line of each row; a text may hold line breaks.
    lines : list of str
        Each row as it stands in the file.
    rejected : list of (int, str, str, str)
        Line number, reason, detail and line of rows that are no rows of this table.
    """

    text: pl.DataFrame
    line_numbers: list[int]
    lines: list[str]
    rejected: list[tuple[int, str, str, str]]


class QuotedFile:
    """A CSV file whose heading row has been read.

    Parameters
    ----------
    file : BinaryIO
        At its start; UTF-8, with or without a byte order mark, or Latin-1.
    where : path
        The file, for errors.

    Raises
    ------
    SourceError
        If there is no heading row.
    LayoutError
        If it is no CSV.
    """

    def __init__(self, file: BinaryIO, where: Path | str) -> None:
        self._lines = _Lines(file)
        self._reader = csv.reader(self._lines, strict=True)
        try:
            headings = next(self._reader, [])
        except csv.Error as error:
            raise LayoutError(
                "the header row cannot be read", where=where, why=str(error), do="write the file again as CSV"
            ) from error
        self.headings = [heading.strip() for heading in headings]
        if not any(self.headings):
            raise SourceError("the file is empty", where=where, why="It has no header row", do="write it again")

    def rows(self, wanted: Mapping[int, str], at_a_time: int = ROWS_AT_A_TIME) -> Iterator[Rows]:
        """The rows below the headings; of each, the columns whose positions are wanted, under the given names."""
        while True:
            kept, numbers, lines, rejected, ended = self._take(at_a_time)
            columns = list(zip(*kept, strict=True)) if kept else [()] * len(self.headings)
            text = pl.DataFrame(
                {name: pl.Series(columns[position], dtype=pl.String) for position, name in wanted.items()}
            )
            yield Rows(text, numbers, lines, rejected)
            if ended:
                return

    def _take(
        self, at_most: int
    ) -> tuple[list[list[str]], list[int], list[str], list[tuple[int, str, str, str]], bool]:
        kept: list[list[str]] = []
        numbers: list[int] = []
        lines: list[str] = []
        rejected: list[tuple[int, str, str, str]] = []
        while len(kept) + len(rejected) < at_most:
            self._lines.taken.clear()
            number, row, damage = self._lines.number + 1, None, ""
            try:
                row = next(self._reader)
            except StopIteration:
                return kept, numbers, lines, rejected, True
            except csv.Error as error:
                damage = str(error)
            line = "".join(self._lines.taken).rstrip("\r\n")
            if not line.strip(_BLANK):
                continue
            if "\0" in line:
                rejected.append((number, "unreadable", f"{line.count(chr(0))} NUL bytes", line.replace("\0", "\\0")))
            elif row is None:
                rejected.append((number, "unreadable", f"No row of CSV: {damage}", line))
            elif len(row) != len(self.headings):
                expected = f"{len(self.headings)} fields expected, {len(row)} found"
                rejected.append((number, "field_count", expected, line))
            else:
                kept.append(row)
                numbers.append(number)
                lines.append(line)
        return kept, numbers, lines, rejected, False


class _Lines:
    """The lines of a file as text, remembering those taken since `taken` was cleared."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            text = line.decode("latin-1")  # never fails, and keeps every byte
        self.taken.append(text)
        return text
