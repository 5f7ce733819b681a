"""Parse the body of a request, JSON or CSV, within limits that act before it is parsed.

A parsed value takes up to forty times its bytes: 15 MB of `[],[],[],` would take 500 MB. So the structure of a JSON
body is counted first, and a CSV body is read row by row.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bridge_assets.serve.requests.request_rows import (
    MAX_ROWS,
    RequestError,
    check_columns,
    check_row_count,
    describe_value,
    list_names,
    rows_of_table,
    shown,
)

if TYPE_CHECKING:
    import numpy as np

#: Deepest nesting of a JSON body. A chosen limit: the deepest valid request, a tensor of rows (KServe), has 5 levels.
MAX_DEPTH = 32

#: Bytes of a body up to which it may have other characters than ASCII. A chosen limit: names of features and numbers
#: are ASCII, and one other character makes Python store each character of the body in up to four bytes.
MAX_UNICODE_BYTES = 1 << 20

#: Values and objects in addition to those of the rows, such as names and shapes of tensors. A chosen limit.
_OTHER_VALUES = 1024

#: Characters in a line of CSV. A chosen limit: 1,000 per feature of a model with 64.
_MAX_LINE = 1 << 16

#: For `bytes.translate`: everything except what opens, closes or separates strings, lists and objects.
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}",\\'))

#: For `bytes.translate`: how a bracket changes the depth, as int8.
_STEPS = bytes(1 if each in b"[{" else 255 if each in b"]}" else 0 for each in range(256))

#: Brackets for which the depth is computed at once, in 5 bytes each.
_STEPS_AT_ONCE = 1 << 20


def parse_json_object(
    body: bytes | bytearray, allowed_keys: Sequence[str], features: Sequence[str], lists: int = MAX_ROWS
) -> dict[str, Any]:
    """Parse a body as a JSON object that has only allowed keys. Every number becomes a float.

    Parameters
    ----------
    body : bytes or bytearray
    allowed_keys : sequence of str
    features : sequence of str
        The model's features; a row has at most one value of each.
    lists : int
        Maximum number of lists, apart from a few for anything but rows.

    Raises
    ------
    RequestError
        400 if it is not such an object, names a key twice, or is nested too deep; 413 if it has more values, lists or
        objects than the largest valid request.
    """
    check_size_of_parsed(body, features, lists)
    value = strict_json(body, parse_int=float)  # as floats, integers may have any length
    if not isinstance(value, dict):
        raise RequestError(
            f"the body: expected an object with {list_names(allowed_keys)}, found {describe_value(value)}"
        )
    if unknown := [key for key in value if key not in allowed_keys]:
        raise RequestError(f"the body: unknown key {shown(unknown[0])}; expected {list_names(allowed_keys)}")
    return value


def strict_json(body: bytes | bytearray, parse_int: Callable[[str], float] = int) -> Any:
    """The value of a JSON body in which no object has a key twice, and no number is NaN or Infinity.

    Raises
    ------
    RequestError
        400 if it is not such JSON.
    """
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            parse_int=parse_int,
            parse_constant=_reject_constant,
            object_pairs_hook=_unique_keys,
        )
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None


def rows_of_csv(body: bytes | bytearray, features: Sequence[str]) -> np.ndarray:
    """Rows of a CSV body, whose first row names the features, in the format of `rows_of_instances`.

    Raises
    ------
    RequestError
        400 if it is not CSV in UTF-8; 422 for an invalid name, row or value; 413 for too many rows, or too long a line.
    """
    check_characters(body)
    try:
        lines = csv.reader(_lines(body), strict=True)
        first = next(lines, None)
        if not first:
            what = "the body is empty" if first is None else "the first row is empty"
            raise RequestError(f"{what}; the first row of a CSV must have the feature names", 422)
        head = [name.strip() for name in first]
        check_columns(head, features)
        rows: list[list[float | str | None]] = []
        for number, line in enumerate(lines):
            if len(line) != len(head):
                raise RequestError(f"row {number}: expected {len(head)} values, one per column, found {len(line)}", 422)
            if number == MAX_ROWS:
                check_row_count(number + 1, is_complete=False)
            rows.append([parse_number(cell) for cell in line])
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"the body is not CSV: {error}") from None
    return rows_of_table(head, rows, features)


def parse_number(cell: str) -> float | str | None:
    """Parse a cell of a CSV table; anything but a number stays text, so that a later error has its row and feature."""
    text = cell.strip()
    try:
        number = float(text) if text and "_" not in text else None
    except ValueError:
        return text
    return text or None if number is None or number != number else number  # float() accepts the text "nan"


def check_characters(body: bytes | bytearray) -> None:
    """Raise RequestError 413 for a large body with other characters than ASCII."""
    if len(body) > MAX_UNICODE_BYTES and not body.isascii():
        raise RequestError(
            f"a body of more than {MAX_UNICODE_BYTES >> 20} MiB may have only ASCII characters, like the names of "
            "features and numbers",
            413,
        )


def check_size_of_parsed(body: bytes | bytearray, features: Sequence[str], lists: int = MAX_ROWS) -> None:
    """Refuse a JSON body that would take much more memory when it is parsed than the largest valid request.

    Raises
    ------
    RequestError
        400 if it is nested too deep, 413 for too many values, lists or objects, or other characters than ASCII.
    """
    check_characters(body)
    _check_structure(body, len(features), lists)


def _check_structure(body: bytes | bytearray, features: int, lists: int) -> None:
    """Compare the commas, lists, objects and depth of a JSON body with those of the largest valid request.

    Commas and brackets inside strings are counted as well, except for the depth: a name of a feature has none.
    """
    marks = body.translate(None, _NO_STRUCTURE)
    if b"\\" in marks:  # escaped backslashes first: a quote after an even number of them ends its string
        marks = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NO_STRUCTURE)
    if _is_deeper(marks, MAX_DEPTH):
        raise RequestError(f"the body is not JSON of a request: it is nested more than {MAX_DEPTH} levels deep")
    for character, limit, what in (
        (b",", (MAX_ROWS + _OTHER_VALUES) * (features + 1), "values"),
        (b"[", lists + _OTHER_VALUES, "lists"),
        (b"{", MAX_ROWS + _OTHER_VALUES, "objects"),
    ):
        if marks.count(character) > limit:
            raise RequestError(
                f"more than {limit:,} {what} are too many for one request; send at most {MAX_ROWS:,} rows of "
                f"{features} features",
                413,
            )


def _is_deeper(marks: bytes | bytearray, limit: int) -> bool:
    """Whether the lists and objects of a body are nested deeper than a limit.

    Parameters
    ----------
    marks : bytes
        The body's commas, brackets and quotes; brackets between quotes do not count.
    limit : int
    """
    import numpy as np

    if marks.count(b"[") + marks.count(b"{") <= limit:
        return False
    outside = marks.translate(None, b",").replace(b'""', b"").split(b'"')[::2]
    steps, depth = b"".join(outside).translate(_STEPS), 0
    for start in range(0, len(steps), _STEPS_AT_ONCE):
        depths = depth + np.cumsum(np.frombuffer(steps[start : start + _STEPS_AT_ONCE], np.int8), dtype=np.int32)
        if depths.max() > limit:
            return True
        depth = int(depths[-1])
    return False


def _lines(body: bytes | bytearray) -> Iterator[str]:
    """The lines of a body, decoded a few kilobytes at a time."""
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    while line := text.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise RequestError(f"a line of the CSV has more than {_MAX_LINE:,} characters", 413)
        yield line


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. A key that is given twice is ambiguous: each parser decides by itself which value counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise RequestError(f"key {shown(duplicate)} is given twice in the same object")
    return found


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number; use null for a missing value")
