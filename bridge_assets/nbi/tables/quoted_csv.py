"""Reads standard CSV (double quotes, doubled inside; any separator) without losing a row.

Belongs here: parsing bytes into rows of text with their line numbers, for files written by other programs. Does not
belong here: the published NBI files, which are not CSV (`delimited.records`), and the meaning of the columns
(`canonical`, `infobridge`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl

from bridge_assets.errors import LayoutError, SourceError
from bridge_assets.nbi.delimited.records import BLANK_CHARACTERS

#: Rows read at a time: at 143 columns of text, about 150 MB of Python objects.
CHUNK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Consecutive rows of a file.

    Attributes
    ----------
    text : pl.DataFrame
        The wanted columns as String, unchanged; "" for empty cells.
    line_numbers : list of int
        First line of each row; a quoted text may contain line breaks.
    lines : list of str
        The text of each row, unchanged.
    rejected : list of (int, str, str, str)
        Line number, reason, detail and text of rows that could not be parsed.
    """

    text: pl.DataFrame
    line_numbers: list[int]
    lines: list[str]
    rejected: list[tuple[int, str, str, str]]


class CsvFile:
    """A CSV file whose header row has been read.

    Parameters
    ----------
    file : BinaryIO
        Positioned at its start; UTF-8, with or without a byte order mark, or Latin-1.
    where : path
        The file, for errors.
    separator : str
        One character.

    Raises
    ------
    SourceError
        If there is no header row.
    LayoutError
        If the header row is not valid CSV.
    """

    def __init__(self, file: BinaryIO, where: Path | str, separator: str = ",") -> None:
        self._lines = _LineReader(file)
        self._reader = csv.reader(self._lines, strict=True, delimiter=separator)
        self.separator = separator
        try:
            headings = next(self._reader, [])
        except csv.Error as error:
            raise LayoutError(
                "the header row cannot be read", where=where, why=str(error), do="write the file again as CSV"
            ) from error
        self.headings = [heading.strip() for heading in headings]
        if not any(self.headings):
            raise SourceError("the file is empty", where=where, why="It has no header row", do="write the file again")

    def rows(self, wanted: Mapping[int, str], chunk_rows: int = CHUNK_ROWS) -> Iterator[CsvRows]:
        """Yield the rows below the header, with the columns at the wanted positions under the given names."""
        while True:
            accepted, numbers, lines, rejected, ended = self._read_chunk(chunk_rows)
            columns = list(zip(*accepted, strict=True)) if accepted else [()] * len(self.headings)
            text = pl.DataFrame(
                {name: pl.Series(columns[position], dtype=pl.String) for position, name in wanted.items()}
            )
            yield CsvRows(text, numbers, lines, rejected)
            if ended:
                return

    def warnings(self) -> list[str]:
        """Nothing: CSV is text."""
        return []

    def _read_chunk(
        self, at_most: int
    ) -> tuple[list[list[str]], list[int], list[str], list[tuple[int, str, str, str]], bool]:
        accepted: list[list[str]] = []
        numbers: list[int] = []
        lines: list[str] = []
        rejected: list[tuple[int, str, str, str]] = []
        while len(accepted) + len(rejected) < at_most:
            self._lines.consumed.clear()
            number, row, csv_error = self._lines.number + 1, None, ""
            try:
                row = next(self._reader)
            except StopIteration:
                return accepted, numbers, lines, rejected, True
            except csv.Error as error:
                csv_error = str(error)
            line = "".join(self._lines.consumed).rstrip("\r\n")
            if not line.strip(BLANK_CHARACTERS):
                continue
            if "\0" in line:
                rejected.append((number, "unreadable", f"{line.count(chr(0))} NUL bytes", line.replace("\0", "\\0")))
            elif row is None:
                rejected.append((number, "unreadable", f"Not valid CSV: {csv_error}", line))
            elif len(row) != len(self.headings):
                expected = f"{len(self.headings)} fields expected, {len(row)} found"
                rejected.append((number, "field_count", expected, line))
            else:
                accepted.append(row)
                numbers.append(number)
                lines.append(line)
        return accepted, numbers, lines, rejected, False


class _LineReader:
    """Iterates over the lines of a file as text; `consumed` collects the lines since it was last cleared."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.consumed: list[str] = []

    def __iter__(self) -> _LineReader:
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
            text = line.decode("latin-1")  # never fails, and loses no byte
        self.consumed.append(text)
        return text
