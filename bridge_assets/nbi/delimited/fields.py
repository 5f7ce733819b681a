"""Parses the bytes of complete lines into Arrow columns with compiled loops.

A national file has 76 million fields of four bytes on average: the cost is not the disk but creating an object for each
field. Here no field becomes a Python object, and the bytes are scanned once, in order. Numbers are parsed in place,
texts are copied once, and a coded item, which has few distinct values, becomes a dictionary that grows as the file is
read.

Belongs here: bytes and columns. Does not belong here: the meaning of the items (`items`), and the handling of malformed
lines (`records`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bridge_assets.nbi.delimited.kernels import (
    DEFERRED,
    MALFORMED,
    MAX_PACKED_BYTES,
    NEW,
    NO_QUOTE,
    OTHER_PAIR,
    PAIR,
    POWERS_OF_TEN,
    ROW,
    FieldType,
    copy_texts,
    find_separators,
    read_lines,
    rehash,
)

#: Initial slots of a hash table. All tables grow when more than half of the slots of one are filled.
_INITIAL_SLOTS, _GROWTH_FACTOR = 512, 4


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The contents of consecutive lines.

    Attributes
    ----------
    columns : list of pa.Array
        One for each column, with n_rows values: string, dictionary of strings, int32 or float64. Null for fields that
        are empty without their padding, and for numbers that are not plain decimals.
    unparsed_numbers : dict
        Column -> row -> text of the non-empty fields of numeric columns that are not plain decimal numbers.
    lines : np.ndarray of int64, shape (n_rows, 3)
        Line (from 0), first byte and end of each row.
    quotes : np.ndarray of int16, shape (n_rows, 3)
        Number of `quoted` fields in a pair of single quotes, of fields with a quote at one end only, and of other
        fields in a pair, without the `uncounted` ones, of each row.
    malformed : np.ndarray of int64, shape (n_malformed, 5)
        Line, first byte, end, number of fields and number of NULs of each line that is not a row: too few or too many
        fields, or a NUL. Blank lines are included.
    """

    columns: list[pa.Array]
    unparsed_numbers: dict[int, dict[int, str]]
    lines: np.ndarray
    quotes: np.ndarray
    malformed: np.ndarray


class FieldReader:
    """Reads lines of one layout; remembers the values of the coded columns between calls.

    Parameters
    ----------
    field_types : sequence of FieldType
        One for each column.
    quoted : collection of int
        The columns that are in single quotes.
    uncounted : collection of int
        The columns whose pairs of single quotes are not counted.
    """

    def __init__(
        self, field_types: Sequence[FieldType], quoted: Collection[int] = (), uncounted: Collection[int] = ()
    ) -> None:
        self._field_types = np.array(field_types, dtype=np.uint8)
        self._pair_counter = np.full(len(field_types), OTHER_PAIR, dtype=np.uint8)
        self._pair_counter[list(quoted)] = PAIR
        self._pair_counter[list(uncounted)] = NO_QUOTE
        kinds = (
            self._field_types == FieldType.TEXT,
            self._field_types == FieldType.CODE,
            self._field_types >= FieldType.INTEGER,
        )
        of_kind = [np.flatnonzero(kind) for kind in kinds]
        self._texts, self._coded, self._numbers = (len(columns) for columns in of_kind)
        self._type_index = np.zeros(len(field_types), dtype=np.int64)
        for columns in of_kind:
            self._type_index[columns] = np.arange(len(columns))
        self._dictionaries = [_Dictionary() for _ in range(self._coded)]
        self._dictionary_sizes = np.zeros(self._coded, dtype=np.int32)
        # In these tables ordinal 0 marks an empty slot, and the first value has ordinal 1.
        self._slots = np.zeros((self._coded, _INITIAL_SLOTS), dtype=np.uint64)
        self._ordinals = np.zeros((self._coded, _INITIAL_SLOTS), dtype=np.int32)

    def read(self, lines: bytes) -> ParsedRows:
        """Read complete lines: UTF-8, each ending in a newline."""
        buffer = np.frombuffer(lines, dtype=np.uint8)
        rows, columns = lines.count(b"\n"), len(self._field_types)
        # One element more than needed, because the branch-free loop writes before it knows whether a byte counts.
        separators = np.empty(lines.count(b",") + rows + 1, dtype=np.int32)
        line_ends = np.empty(rows + 1, dtype=np.int32)
        find_separators(buffer, separators, line_ends)
        state = np.zeros(5, dtype=np.int64)
        line_bounds, quotes = np.empty((rows, 3), dtype=np.int64), np.zeros((rows, 3), dtype=np.int16)
        codes = np.empty((self._coded, rows), dtype=np.int32)
        values, is_valid = np.empty((self._numbers, rows)), np.empty((self._numbers, rows), dtype=np.bool_)
        text_bounds = np.empty((self._texts, rows, 2), dtype=np.int32)
        malformed, deferred = np.empty((rows, 5), dtype=np.int64), np.empty((4 * columns, 4), dtype=np.int64)
        new = np.empty((4 * columns, 2), dtype=np.uint64)
        finished = False
        while not finished:
            finished = read_lines(
                buffer, separators, line_ends, b"\0" in lines, self._field_types, self._pair_counter, self._type_index,
                POWERS_OF_TEN, self._slots, self._ordinals, self._dictionary_sizes, state, line_bounds, codes, values,
                is_valid, text_bounds, quotes, malformed, deferred, new,
            )  # fmt: skip
            for index, key in new[: state[NEW]].tolist():
                self._dictionaries[index].add(key.to_bytes(MAX_PACKED_BYTES, "big").lstrip(b"\0").decode())
            state[NEW] = 0
            self._grow_hash_tables()
            if state[DEFERRED] + columns > len(deferred):
                deferred = np.concatenate([deferred, np.empty_like(deferred)])

        n_rows_read = int(state[ROW])
        unparsed_numbers: dict[int, dict[int, str]] = {}
        for row, column, start, end in deferred[: state[DEFERRED]].tolist():
            unparsed_numbers.setdefault(column, {})[row] = lines[start:end].decode()
        arrays: list[pa.Array] = []
        for column, (field_type, index) in enumerate(
            zip(self._field_types.tolist(), self._type_index.tolist(), strict=True)
        ):
            if field_type == FieldType.TEXT:
                arrays.append(_text_array(buffer, text_bounds[index, :n_rows_read]))
            elif field_type == FieldType.CODE:
                arrays.append(
                    self._dictionaries[index].array(codes[index, :n_rows_read], unparsed_numbers.pop(column, {}))
                )
                self._dictionary_sizes[index] = len(self._dictionaries[index].values)
            else:
                number = values[index, :n_rows_read]
                whole = field_type == FieldType.INTEGER
                arrays.append(
                    pa.array(number.astype(np.int32) if whole else number, mask=~is_valid[index, :n_rows_read])
                )
        self._grow_hash_tables()
        return ParsedRows(
            arrays, unparsed_numbers, line_bounds[:n_rows_read], quotes[:n_rows_read], malformed[: state[MALFORMED]]
        )

    def _grow_hash_tables(self) -> None:
        while self._coded and 2 * self._dictionary_sizes.max() > self._slots.shape[1] - 1:
            shape = (self._coded, _GROWTH_FACTOR * self._slots.shape[1])
            slots, ordinals = np.zeros(shape, dtype=np.uint64), np.zeros(shape, dtype=np.int32)
            rehash(self._slots, self._ordinals, slots, ordinals)
            self._slots, self._ordinals = slots, ordinals


@dataclass(slots=True)
class _Dictionary:
    """The distinct values of a coded column, in order of first appearance."""

    values: list[str] = field(default_factory=list)
    _long_values: dict[str, int] = field(default_factory=dict)
    _array: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def add(self, value: str) -> None:
        self.values.append(value)

    def array(self, codes: np.ndarray, long: dict[int, str]) -> pa.DictionaryArray:
        """The column, from the codes of the compiled loop and the rows whose value was too long for it."""
        for row, value in long.items():
            if value not in self._long_values:
                self._long_values[value] = len(self.values)
                self.add(value)
            codes[row] = self._long_values[value]
        if len(self._array) < len(self.values):
            self._array = pa.array(self.values, pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), self._array)


def _text_array(buffer: np.ndarray, bounds: np.ndarray) -> pa.StringArray:
    rows = len(bounds)
    offsets, is_valid = np.empty(rows + 1, dtype=np.int32), np.empty(rows, dtype=np.bool_)
    texts = np.empty(int((bounds[:, 1] - bounds[:, 0]).sum()), dtype=np.uint8)
    copy_texts(buffer, bounds, offsets, texts, is_valid)
    validity = np.packbits(is_valid, bitorder="little")
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(texts), pa.py_buffer(validity))
