"""The compiled loops of `fields`: separators, lines, texts, and the tables of coded values.

Belongs here: loops over bytes that numba compiles; they know arrays and nothing else. What the arrays mean is `fields`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit


class FieldType(IntEnum):
    """How the fields of a column are read."""

    TEXT = 0
    CODE = 1
    """Text of which a file holds few distinct values."""
    INTEGER = 2
    DECIMAL = 3


_TEXT, _CODE, _INTEGER = int(FieldType.TEXT), int(FieldType.CODE), int(FieldType.INTEGER)

_COMMA, _NEWLINE, _QUOTE, _SPACE, _TAB, _RETURN = (ord(character) for character in ",\n' \t\r")
_MINUS, _POINT, _ZERO, _NINE = (ord(character) for character in "-.09")

#: Codes of up to eight bytes are compared as one integer; longer ones are rare and looked up in a Python dictionary.
MAX_PACKED_BYTES = 8

#: An integer of 15 digits and a power of ten up to 10**15 are exact in a double, and so is the rounding of their ratio.
_EXACT_DIGITS = 15
POWERS_OF_TEN = np.power(10.0, np.arange(_EXACT_DIGITS + 1))

_INT32_MAX = float(np.iinfo(np.int32).max)

#: 2**64 / golden ratio: multiplying by it spreads near keys over the table (Knuth, TAOCP vol. 3, 6.4).
_HASH_MULTIPLIER, _HASH_SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(40)
_BYTE = np.uint64(8)

_BLANK_CODE, _LONG_CODE = -1, -2

# Where a reading of lines stands, so that it can go on after Python has made room.
LINE, ROW, MALFORMED, DEFERRED, NEW = range(5)


@njit(inline="always")
def _strip_field(buffer, start, end):
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
def _parse_number(buffer, start, end, whole, powers):
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
def find_separators(buffer, separators, line_ends):
    """Positions of commas and newlines, and which of them are the newlines. Without a branch: twice as fast."""
    found, lines = 0, 0
    for position in range(len(buffer)):
        newline = buffer[position] == _NEWLINE
        separators[found], line_ends[lines] = position, found
        found += newline | (buffer[position] == _COMMA)
        lines += newline


@njit(cache=True, nogil=True)
def read_lines(
    buffer, separators, line_ends, has_nuls, field_types, type_index, powers, slots, ordinals, dictionary_sizes, state,
    line_bounds, codes, values, is_valid, text_bounds, malformed, deferred, new,
):  # fmt: skip
    """Read lines from `state` on, until they end or an array is full. True where they ended.

    A line with another number of fields, or with NULs, goes into `malformed`: line, start, end, fields, NULs. A number
    in another form and a code of more than eight bytes go into `deferred`: row, column, start, end. A code that was not
    known goes into `new`: place, key.
    """
    columns, lines, mask = len(field_types), len(line_ends) - 1, slots.shape[1] - 1
    line, row, n_malformed, n_deferred, n_new = state[LINE], state[ROW], state[MALFORMED], state[DEFERRED], state[NEW]
    full = False
    while line < lines:
        if full or n_deferred + columns > len(deferred) or n_new + columns > len(new):
            break
        first = line_ends[line - 1] + 1 if line else 0
        line_start = separators[first - 1] + 1 if line else 0
        line_end = separators[line_ends[line]]
        fields, nuls = line_ends[line] - first + 1, 0
        if has_nuls:
            for position in range(line_start, line_end):
                nuls += buffer[position] == 0
        if fields != columns or nuls:
            malformed[n_malformed, 0], malformed[n_malformed, 1], malformed[n_malformed, 2] = line, line_start, line_end
            malformed[n_malformed, 3], malformed[n_malformed, 4] = fields, nuls
            n_malformed += 1
            line += 1
            continue
        field_start = line_start
        for column in range(columns):
            field_end = separators[first + column]
            start, end = _strip_field(buffer, field_start, field_end)
            field_start = field_end + 1
            reading, index_in_type = field_types[column], type_index[column]
            if reading == _TEXT:
                text_bounds[index_in_type, row, 0], text_bounds[index_in_type, row, 1] = start, end
            elif reading == _CODE:
                if start == end:
                    codes[index_in_type, row] = _BLANK_CODE
                elif end - start > MAX_PACKED_BYTES:
                    codes[index_in_type, row] = _LONG_CODE
                    (
                        deferred[n_deferred, 0],
                        deferred[n_deferred, 1],
                        deferred[n_deferred, 2],
                        deferred[n_deferred, 3],
                    ) = row, column, start, end
                    n_deferred += 1
                else:
                    key = np.uint64(0)
                    for index in range(start, end):
                        key = (key << _BYTE) | np.uint64(buffer[index])
                    slot = np.int64((key * _HASH_MULTIPLIER) >> _HASH_SHIFT) & mask
                    while ordinals[index_in_type, slot] and slots[index_in_type, slot] != key:
                        slot = (slot + 1) & mask
                    if not ordinals[index_in_type, slot]:
                        new[n_new, 0], new[n_new, 1] = np.uint64(index_in_type), key
                        n_new += 1
                        dictionary_sizes[index_in_type] += 1
                        slots[index_in_type, slot], ordinals[index_in_type, slot] = key, dictionary_sizes[index_in_type]
                        full = full or 2 * dictionary_sizes[index_in_type] > mask
                    codes[index_in_type, row] = ordinals[index_in_type, slot] - 1
            elif start == end:
                values[index_in_type, row], is_valid[index_in_type, row] = 0.0, False
            else:
                value, is_number = _parse_number(buffer, start, end, reading == _INTEGER, powers)
                values[index_in_type, row], is_valid[index_in_type, row] = value, is_number
                if not is_number:
                    (
                        deferred[n_deferred, 0],
                        deferred[n_deferred, 1],
                        deferred[n_deferred, 2],
                        deferred[n_deferred, 3],
                    ) = row, column, start, end
                    n_deferred += 1
        line_bounds[row, 0], line_bounds[row, 1], line_bounds[row, 2] = line, line_start, line_end
        row, line = row + 1, line + 1
    state[LINE], state[ROW], state[MALFORMED], state[DEFERRED], state[NEW] = line, row, n_malformed, n_deferred, n_new
    return line == lines


@njit(cache=True, nogil=True)
def copy_texts(buffer, bounds, offsets, texts, is_valid):
    written = 0
    offsets[0] = 0
    for row in range(len(bounds)):
        is_valid[row] = bounds[row, 1] > bounds[row, 0]
        for position in range(bounds[row, 0], bounds[row, 1]):
            texts[written] = buffer[position]
            written += 1
        offsets[row + 1] = written


@njit(cache=True, nogil=True)
def rehash(old_slots, old_ordinals, slots, ordinals):
    """Enter what stands in one set of tables into a larger one."""
    mask = slots.shape[1] - 1
    for place in range(len(old_slots)):
        for old in range(old_slots.shape[1]):
            if old_ordinals[place, old]:
                slot = np.int64((old_slots[place, old] * _HASH_MULTIPLIER) >> _HASH_SHIFT) & mask
                while ordinals[place, slot]:
                    slot = (slot + 1) & mask
                slots[place, slot], ordinals[place, slot] = old_slots[place, old], old_ordinals[place, old]
