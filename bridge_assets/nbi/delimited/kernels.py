"""The compiled loops of `fields`: separators, lines, texts, and the hash tables of coded values.

Belongs here: loops over bytes that numba compiles, on arrays only. Does not belong here: the meaning of the arrays
(`fields`).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit

from bridge_assets.compiled import cached_njit


class FieldType(IntEnum):
    """How the fields of a column are read."""

    TEXT = 0
    CODE = 1
    """Text with few distinct values in a file."""
    INTEGER = 2
    DECIMAL = 3


_TEXT, _CODE, _INTEGER = int(FieldType.TEXT), int(FieldType.CODE), int(FieldType.INTEGER)

_COMMA, _NEWLINE, _QUOTE, _SPACE, _TAB, _RETURN = (ord(character) for character in ",\n' \t\r")
_MINUS, _POINT, _ZERO, _NINE = (ord(character) for character in "-.09")

#: Codes of up to eight bytes are compared as one integer; longer ones are rare and go into a Python dictionary.
MAX_PACKED_BYTES = 8

#: An integer of 15 digits and a power of ten up to 10**15 are exact in a double, so their ratio is correctly rounded.
_EXACT_DIGITS = 15
POWERS_OF_TEN = np.power(10.0, np.arange(_EXACT_DIGITS + 1))

_INT32_MAX = float(np.iinfo(np.int32).max)

#: 2**64 / golden ratio: multiplying by it spreads similar keys over the table (Knuth, TAOCP vol. 3, 6.4).
_HASH_MULTIPLIER, _HASH_SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(40)
_BYTE = np.uint64(8)

_BLANK_CODE, _LONG_CODE = -1, -2

# Quotes of a field; all but the last are also the columns of `quotes` of `read_lines`.
PAIR, ONE_SIDED, OTHER_PAIR, NO_QUOTE = range(4)
_PAIR, _ONE_SIDED, _NO_QUOTE = PAIR, ONE_SIDED, NO_QUOTE

# Progress counters in `state`, with which `read_lines` continues after Python has enlarged an array.
LINE, ROW, MALFORMED, DEFERRED, NEW = range(5)


@njit(inline="always")
def _strip_field(buffer, start, end):
    """Bounds of a field without its padding and one balanced pair of single quotes, and which quotes it has."""
    if start == end or (buffer[start] > _QUOTE and buffer[end - 1] > _QUOTE):  # blanks sort below the quote
        return start, end, _NO_QUOTE
    while start < end and (buffer[start] == _SPACE or buffer[start] == _TAB or buffer[start] == _RETURN):
        start += 1
    while end > start and (buffer[end - 1] == _SPACE or buffer[end - 1] == _TAB or buffer[end - 1] == _RETURN):
        end -= 1
    if start == end or (buffer[start] != _QUOTE and buffer[end - 1] != _QUOTE):
        return start, end, _NO_QUOTE
    if end - start == 1 or buffer[start] != buffer[end - 1]:
        return start, end, _ONE_SIDED
    start, end = start + 1, end - 1
    while start < end and (buffer[start] == _SPACE or buffer[start] == _TAB):
        start += 1
    while end > start and (buffer[end - 1] == _SPACE or buffer[end - 1] == _TAB):
        end -= 1
    return start, end, _PAIR


@njit(inline="always")
def _parse_number(buffer, start, end, whole, powers):
    """Value of a plain decimal number, and whether the text is one."""
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


@njit(inline="always")
def _pack(buffer, start, end):
    """The bytes of a code as one integer, big-endian."""
    key = np.uint64(0)
    for position in range(start, end):
        key = (key << _BYTE) | np.uint64(buffer[position])
    return key


@njit(inline="always")
def _find_slot(slots, ordinals, index, key, mask):
    """The slot of a key in hash table `index`, or the empty slot for it."""
    slot = np.int64((key * _HASH_MULTIPLIER) >> _HASH_SHIFT) & mask
    while ordinals[index, slot] and slots[index, slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(inline="always")
def _write_deferred(deferred, n_deferred, row, column, start, end):
    deferred[n_deferred, 0], deferred[n_deferred, 1] = row, column
    deferred[n_deferred, 2], deferred[n_deferred, 3] = start, end


@cached_njit(nogil=True)
def find_separators(buffer, separators, line_ends):
    """Find the commas and newlines, and which of them are the newlines. Branch-free, which is twice as fast."""
    found, lines = 0, 0
    for position in range(len(buffer)):
        newline = buffer[position] == _NEWLINE
        separators[found], line_ends[lines] = position, found
        found += newline | (buffer[position] == _COMMA)
        lines += newline


@cached_njit(nogil=True)
def read_lines(
    buffer, separators, line_ends, has_nuls, field_types, pair_counter, type_index, powers, slots, ordinals,
    dictionary_sizes, state, line_bounds, codes, values, is_valid, text_bounds, quotes, malformed, deferred, new,
):  # fmt: skip
    """Read lines, starting at `state`, to the last line or until an array is full. True if the last line was read.

    A line with the wrong number of fields, or with NULs, goes into `malformed`: line, start, end, fields, NULs. A
    number that is not a plain decimal and a code of more than eight bytes go into `deferred`: row, column, start, end.
    A code seen for the first time goes into `new`: index of the coded column, key. `quotes`, which must be zero, counts
    the fields of a row with a quote at one end, and those in a pair of quotes where `pair_counter` says so.
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
            start, end, quote = _strip_field(buffer, field_start, field_end)
            if quote == _PAIR:
                quote = pair_counter[column]
            if quote != _NO_QUOTE:
                quotes[row, quote] += 1
            field_start = field_end + 1
            field_type, index = field_types[column], type_index[column]
            if field_type == _TEXT:
                text_bounds[index, row, 0], text_bounds[index, row, 1] = start, end
            elif field_type == _CODE:
                if start == end:
                    codes[index, row] = _BLANK_CODE
                elif end - start > MAX_PACKED_BYTES:
                    codes[index, row] = _LONG_CODE
                    _write_deferred(deferred, n_deferred, row, column, start, end)
                    n_deferred += 1
                else:
                    key = _pack(buffer, start, end)
                    slot = _find_slot(slots, ordinals, index, key, mask)
                    if not ordinals[index, slot]:
                        new[n_new, 0], new[n_new, 1] = np.uint64(index), key
                        n_new += 1
                        dictionary_sizes[index] += 1
                        slots[index, slot], ordinals[index, slot] = key, dictionary_sizes[index]
                        full = full or 2 * dictionary_sizes[index] > mask
                    codes[index, row] = ordinals[index, slot] - 1
            elif start == end:
                values[index, row], is_valid[index, row] = 0.0, False
            else:
                value, is_number = _parse_number(buffer, start, end, field_type == _INTEGER, powers)
                values[index, row], is_valid[index, row] = value, is_number
                if not is_number:
                    _write_deferred(deferred, n_deferred, row, column, start, end)
                    n_deferred += 1
        line_bounds[row, 0], line_bounds[row, 1], line_bounds[row, 2] = line, line_start, line_end
        row, line = row + 1, line + 1
    state[LINE], state[ROW], state[MALFORMED], state[DEFERRED], state[NEW] = line, row, n_malformed, n_deferred, n_new
    return line == lines


@cached_njit(nogil=True)
def copy_texts(buffer, bounds, offsets, texts, is_valid):
    """Copy the texts between `bounds` into the offsets, bytes and validity of an Arrow string array."""
    written = 0
    offsets[0] = 0
    for row in range(len(bounds)):
        is_valid[row] = bounds[row, 1] > bounds[row, 0]
        for position in range(bounds[row, 0], bounds[row, 1]):
            texts[written] = buffer[position]
            written += 1
        offsets[row + 1] = written


@cached_njit(nogil=True)
def rehash(old_slots, old_ordinals, slots, ordinals):
    """Copy all entries of a set of hash tables into larger ones."""
    mask = slots.shape[1] - 1
    for index in range(len(old_slots)):
        for old in range(old_slots.shape[1]):
            if old_ordinals[index, old]:
                slot = _find_slot(slots, ordinals, index, old_slots[index, old], mask)
                slots[index, slot], ordinals[index, slot] = old_slots[index, old], old_ordinals[index, old]
