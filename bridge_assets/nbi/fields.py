"""From the bytes of whole lines to Arrow columns, compiled.

A national file holds 76 million fields of four bytes on average: what costs is not the disk but every object made of a
field. Here no field becomes a Python object, and the bytes are gone through once, in their order. Numbers are read
where they stand, texts are copied once, and a coded item, of which a file holds few distinct values, becomes a
dictionary that grows as the file is read.

Belongs here: bytes and columns. Does not belong here: which item is what (`items`), what is made of lines that are not
whole (`records`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import pyarrow as pa
from numba import njit


class Reading(IntEnum):
    """How the fields of a column are read."""

    TEXT = 0
    CODE = 1
    """Text of which a file holds few distinct values."""
    INTEGER = 2
    DECIMAL = 3


_TEXT, _CODE, _INTEGER = int(Reading.TEXT), int(Reading.CODE), int(Reading.INTEGER)

_COMMA, _NEWLINE, _QUOTE, _SPACE, _TAB, _RETURN = (ord(character) for character in ",\n' \t\r")
_MINUS, _POINT, _ZERO, _NINE = (ord(character) for character in "-.09")

#: Codes of up to eight bytes are compared as one integer; longer ones are rare and looked up in a Python dictionary.
_PACKED = 8

#: An integer of 15 digits and a power of ten up to 10**15 are exact in a double, and so is the rounding of their ratio.
_EXACT_DIGITS = 15
_POWERS_OF_TEN = np.power(10.0, np.arange(_EXACT_DIGITS + 1))

_INT32_MAX = float(np.iinfo(np.int32).max)

#: 2**64 / golden ratio: multiplying by it spreads near keys over the table (Knuth, TAOCP vol. 3, 6.4).
_SPREAD, _SPREAD_SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(40)
_BYTE = np.uint64(8)

#: Slots of a dictionary at first; half of them are filled before all grow.
_FIRST_SLOTS, _GROWTH = 512, 4
_BLANK, _LONG = -1, -2

# Where a reading of lines stands, so that it can go on after Python has made room.
_LINE, _ROW, _BROKEN, _NOTED, _NEW = range(5)


@njit(inline="always")
def _bare(buffer, start, end):
    """Bounds of a field without its padding and one balanced pair of single quotes."""
    if start == end or (buffer[start] > _QUOTE and buffer[end - 1] > _QUOTE):  # blanks and the quote are the lowest
        return start, end
    while start < end and (buffer[start] == _SPACE or buffer[start] == _TAB or buffer[start] == _RETURN):
        start += 1
    while end > start and (buffer[end - 1] == _SPACE or buffer[end - 1] == _TAB or buffer[end - 1] == _RETURN):
        end -= 1
    if end - start > 1 and buffer[start] == _QUOTE and buffer[end - 1] == _QUOTE:
        start, end = start + 1, end - 1
        while start < end and (buffer[start] == _SPACE or buffer[start] == _TAB):
            start += 1
        while end > start and (buffer[end - 1] == _SPACE or buffer[end - 1] == _TAB):
            end -= 1
    return start, end


@njit(inline="always")
def _number(buffer, start, end, whole, powers):
    """Value of a plain decimal number, and whether it is one."""
    negative = buffer[start] == _MINUS
    position = start + 1 if negative else start
    mantissa, digits, decimals = np.int64(0), 0, -1
    while position < end and digits <= _EXACT_DIGITS:
        byte = buffer[position]
        if _ZERO <= byte <= _NINE:
            mantissa = mantissa * 10 + np.int64(byte - _ZERO)
            digits += 1
            if decimals >= 0:
                decimals += 1
        elif byte == _POINT and decimals < 0:
            decimals = 0
        else:
            return 0.0, False
        position += 1
    if digits == 0 or digits > _EXACT_DIGITS:
        return 0.0, False
    value = float(mantissa)
    if decimals > 0:
        value = value / powers[decimals]
    if whole and (value > _INT32_MAX or value != np.floor(value)):
        return 0.0, False
    return (-value if negative else value), True


@njit(cache=True, nogil=True)
def _find_separators(buffer, separators, line_ends):
    """Positions of commas and newlines, and which of them are the newlines. Without a branch: twice as fast."""
    found, lines = 0, 0
    for position in range(len(buffer)):
        newline = buffer[position] == _NEWLINE
        separators[found], line_ends[lines] = position, found
        found += newline | (buffer[position] == _COMMA)
        lines += newline


@njit(cache=True, nogil=True)
def _read_lines(
    buffer, separators, line_ends, has_nuls, readings, places, powers, slots, ordinals, known, state, line_bounds,
    codes, values, filled, text_bounds, broken, noted, new,
):  # fmt: skip
    """Read lines from `state` on, until they end or an array is full. True where they ended.

    A line with another number of fields, or with NULs, goes into `broken`: line, start, end, fields, NULs. A number in
    another form and a code of more than eight bytes go into `noted`: row, column, start, end. A code that was not known
    goes into `new`: place, key.
    """
    columns, lines, mask = len(readings), len(line_ends) - 1, slots.shape[1] - 1
    line, row, broken_lines, notes, added = state[_LINE], state[_ROW], state[_BROKEN], state[_NOTED], state[_NEW]
    full = False
    while line < lines:
        if full or notes + columns > len(noted) or added + columns > len(new):
            break
        first = line_ends[line - 1] + 1 if line else 0
        line_start = separators[first - 1] + 1 if line else 0
        line_end = separators[line_ends[line]]
        fields, nuls = line_ends[line] - first + 1, 0
        if has_nuls:
            for position in range(line_start, line_end):
                nuls += buffer[position] == 0
        if fields != columns or nuls:
            broken[broken_lines, 0], broken[broken_lines, 1], broken[broken_lines, 2] = line, line_start, line_end
            broken[broken_lines, 3], broken[broken_lines, 4] = fields, nuls
            broken_lines += 1
            line += 1
            continue
        field_start = line_start
        for column in range(columns):
            field_end = separators[first + column]
            start, end = _bare(buffer, field_start, field_end)
            field_start = field_end + 1
            reading, place = readings[column], places[column]
            if reading == _TEXT:
                text_bounds[place, row, 0], text_bounds[place, row, 1] = start, end
            elif reading == _CODE:
                if start == end:
                    codes[place, row] = _BLANK
                elif end - start > _PACKED:
                    codes[place, row] = _LONG
                    noted[notes, 0], noted[notes, 1], noted[notes, 2], noted[notes, 3] = row, column, start, end
                    notes += 1
                else:
                    key = np.uint64(0)
                    for index in range(start, end):
                        key = (key << _BYTE) | np.uint64(buffer[index])
                    slot = np.int64((key * _SPREAD) >> _SPREAD_SHIFT) & mask
                    while ordinals[place, slot] and slots[place, slot] != key:
                        slot = (slot + 1) & mask
                    if not ordinals[place, slot]:
                        new[added, 0], new[added, 1] = np.uint64(place), key
                        added += 1
                        known[place] += 1
                        slots[place, slot], ordinals[place, slot] = key, known[place]
                        full = full or 2 * known[place] > mask
                    codes[place, row] = ordinals[place, slot] - 1
            elif start == end:
                values[place, row], filled[place, row] = 0.0, False
            else:
                value, plain = _number(buffer, start, end, reading == _INTEGER, powers)
                values[place, row], filled[place, row] = value, plain
                if not plain:
                    noted[notes, 0], noted[notes, 1], noted[notes, 2], noted[notes, 3] = row, column, start, end
                    notes += 1
        line_bounds[row, 0], line_bounds[row, 1], line_bounds[row, 2] = line, line_start, line_end
        row, line = row + 1, line + 1
    state[_LINE], state[_ROW], state[_BROKEN], state[_NOTED], state[_NEW] = line, row, broken_lines, notes, added
    return line == lines


@njit(cache=True, nogil=True)
def _copy_texts(buffer, bounds, offsets, texts, filled):
    written = 0
    offsets[0] = 0
    for row in range(len(bounds)):
        filled[row] = bounds[row, 1] > bounds[row, 0]
        for position in range(bounds[row, 0], bounds[row, 1]):
            texts[written] = buffer[position]
            written += 1
        offsets[row + 1] = written


@njit(cache=True, nogil=True)
def _move(old_slots, old_ordinals, slots, ordinals):
    """Enter what stands in one set of tables into a larger one."""
    mask = slots.shape[1] - 1
    for place in range(len(old_slots)):
        for old in range(old_slots.shape[1]):
            if old_ordinals[place, old]:
                slot = np.int64((old_slots[place, old] * _SPREAD) >> _SPREAD_SHIFT) & mask
                while ordinals[place, slot]:
                    slot = (slot + 1) & mask
                slots[place, slot], ordinals[place, slot] = old_slots[place, old], old_ordinals[place, old]


@dataclass(frozen=True, slots=True)
class Rows:
    """What a run of lines holds.

    Attributes
    ----------
    columns : list of pa.Array
        One a column, n_rows each: string, dictionary of strings, int32 or float64; null where nothing is left of the
        field once its padding is gone, and where a number has another form.
    odd_numbers : dict
        Column -> row -> text of the fields of numeric columns that are filled but no plain decimal numbers.
    lines : np.ndarray of int64, shape (n_rows, 3)
        Line (from 0), first byte and end of each row.
    broken : np.ndarray of int64, shape (n_broken, 5)
        Line, first byte, end, number of fields and of NULs of each line that is no row: too few fields, too many, or a
        NUL. Blank lines are among them.
    """

    columns: list[pa.Array]
    odd_numbers: dict[int, dict[int, str]]
    lines: np.ndarray
    broken: np.ndarray


class FieldReader:
    """Reads lines of one layout; remembers the values of the coded columns from one run of lines to the next.

    Parameters
    ----------
    readings : sequence of Reading
        One a column.
    """

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = np.array(readings, dtype=np.uint8)
        of_kind = [np.flatnonzero(kind) for kind in (self._is(Reading.TEXT), self._is(Reading.CODE), self._is_number())]
        self._texts, self._coded, self._numbers = (len(columns) for columns in of_kind)
        self._places = np.zeros(len(readings), dtype=np.int64)
        for columns in of_kind:
            self._places[columns] = np.arange(len(columns))
        self._dictionaries = [_Dictionary() for _ in range(self._coded)]
        self._known = np.zeros(self._coded, dtype=np.int32)
        # In these tables 0 is an empty slot, and the first value has the ordinal 1.
        self._slots = np.zeros((self._coded, _FIRST_SLOTS), dtype=np.uint64)
        self._ordinals = np.zeros((self._coded, _FIRST_SLOTS), dtype=np.int32)

    def read(self, lines: bytes) -> Rows:
        """Read whole lines: UTF-8, each ended by a newline."""
        buffer = np.frombuffer(lines, dtype=np.uint8)
        rows, columns = lines.count(b"\n"), len(self._readings)
        # One place more than there are of each: the loop writes before it knows.
        separators = np.empty(lines.count(b",") + rows + 1, dtype=np.int32)
        line_ends = np.empty(rows + 1, dtype=np.int32)
        _find_separators(buffer, separators, line_ends)
        state = np.zeros(5, dtype=np.int64)
        line_bounds = np.empty((rows, 3), dtype=np.int64)
        codes = np.empty((self._coded, rows), dtype=np.int32)
        values, filled = np.empty((self._numbers, rows)), np.empty((self._numbers, rows), dtype=np.bool_)
        text_bounds = np.empty((self._texts, rows, 2), dtype=np.int32)
        broken, noted = np.empty((rows, 5), dtype=np.int64), np.empty((4 * columns, 4), dtype=np.int64)
        new = np.empty((4 * columns, 2), dtype=np.uint64)
        ended = False
        while not ended:
            ended = _read_lines(
                buffer, separators, line_ends, b"\0" in lines, self._readings, self._places, _POWERS_OF_TEN,
                self._slots, self._ordinals, self._known, state, line_bounds, codes, values, filled, text_bounds,
                broken, noted, new,
            )  # fmt: skip
            for place, key in new[: state[_NEW]].tolist():
                self._dictionaries[place].add(key.to_bytes(_PACKED, "big").lstrip(b"\0").decode())
            state[_NEW] = 0
            self._make_room()
            if state[_NOTED] + columns > len(noted):
                noted = np.concatenate([noted, np.empty_like(noted)])

        read = int(state[_ROW])
        notes: dict[int, dict[int, str]] = {}
        for row, column, start, end in noted[: state[_NOTED]].tolist():
            notes.setdefault(column, {})[row] = lines[start:end].decode()
        arrays: list[pa.Array] = []
        for column, place in enumerate(self._places.tolist()):
            if self._is(Reading.TEXT)[column]:
                arrays.append(_texts(buffer, text_bounds[place, :read]))
            elif self._is(Reading.CODE)[column]:
                arrays.append(self._dictionaries[place].array(codes[place, :read], notes.pop(column, {})))
                self._known[place] = len(self._dictionaries[place].values)
            else:
                number = values[place, :read]
                whole = self._is(Reading.INTEGER)[column]
                arrays.append(pa.array(number.astype(np.int32) if whole else number, mask=~filled[place, :read]))
        self._make_room()
        return Rows(arrays, notes, line_bounds[:read], broken[: state[_BROKEN]])

    def _is(self, reading: Reading) -> np.ndarray:
        return self._readings == reading

    def _is_number(self) -> np.ndarray:
        return self._readings >= Reading.INTEGER

    def _make_room(self) -> None:
        while self._coded and 2 * self._known.max() > self._slots.shape[1] - 1:
            shape = (self._coded, _GROWTH * self._slots.shape[1])
            slots, ordinals = np.zeros(shape, dtype=np.uint64), np.zeros(shape, dtype=np.int32)
            _move(self._slots, self._ordinals, slots, ordinals)
            self._slots, self._ordinals = slots, ordinals


@dataclass(slots=True)
class _Dictionary:
    """The distinct values of a coded column, in the order in which the file shows them."""

    values: list[str] = field(default_factory=list)
    _long: dict[str, int] = field(default_factory=dict)
    _array: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))

    def add(self, value: str) -> None:
        self.values.append(value)

    def array(self, codes: np.ndarray, long: dict[int, str]) -> pa.DictionaryArray:
        """The column, of the codes that the compiled loop gave and the rows whose value was too long for it."""
        for row, value in long.items():
            if value not in self._long:
                self._long[value] = len(self.values)
                self.add(value)
            codes[row] = self._long[value]
        if len(self._array) < len(self.values):
            self._array = pa.array(self.values, pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), self._array)


def _texts(buffer: np.ndarray, bounds: np.ndarray) -> pa.StringArray:
    rows = len(bounds)
    offsets, filled = np.empty(rows + 1, dtype=np.int32), np.empty(rows, dtype=np.bool_)
    texts = np.empty(int((bounds[:, 1] - bounds[:, 0]).sum()), dtype=np.uint8)
    _copy_texts(buffer, bounds, offsets, texts, filled)
    validity = np.packbits(filled, bitorder="little")
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(texts), pa.py_buffer(validity))
