"""Parse the rows of a request into a table of features in natural units, with errors that name row and feature.

A value is missing if it is null or the feature is omitted; nothing else is treated as missing. Rows are numbered from
0.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

#: Maximum number of rows per request. A chosen limit: batch scoring (`bridge-assets run --job scoring`) is faster for
#: more rows.
MAX_ROWS = 10_000

_NUMBER_TYPES = {float, int, type(None)}


class RequestError(Exception):
    """An invalid request. The message is sent to the client.

    Attributes
    ----------
    status : int
        HTTP status code.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def parse_json_object(body: bytes, allowed_keys: Sequence[str]) -> dict[str, Any]:
    """Parse a body as a JSON object that has only allowed keys. Every number becomes a float."""
    try:
        # Parsed as floats, integers may have any length; NaN and Infinity are not valid JSON.
        value = json.loads(body, parse_int=float, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RequestError(
            f"the body: expected an object with {_list_names(allowed_keys)}, found {_describe_value(value)}"
        )
    if unknown := [key for key in value if key not in allowed_keys]:
        raise RequestError(f"the body: unknown key {unknown[0]!r:.60}; expected {_list_names(allowed_keys)}")
    return value


def table_of_instances(instances: Any, features: Sequence[str]) -> pl.DataFrame:
    """Rows of {feature: number or null} as a table.

    Parameters
    ----------
    instances : list of dict
    features : sequence of str
        The model's features, in order.

    Returns
    -------
    pl.DataFrame
        One Float64 column per feature, in the model's order. Missing values are NaN, which scaling fills like null.

    Raises
    ------
    RequestError
        400 or 422, with the row, the feature, and the found and expected value; 413 for too many rows.
    """
    if not isinstance(instances, list):
        raise RequestError(f"instances: expected a list of rows, found {_describe_value(instances)}", 422)
    _check_count(len(instances))
    known = frozenset(features)
    for number, row in enumerate(instances):
        if not isinstance(row, dict):
            raise RequestError(f"row {number}: expected an object of features, found {_describe_value(row)}", 422)
        if not row.keys() <= known:
            name = next(name for name in row if name not in known)
            raise RequestError(f"row {number}: {_unknown_feature_message(name, features)}", 422)
        if not row:
            raise RequestError(f"row {number}: no feature is given; use null for a missing value", 422)
    return _table(features, [[row.get(name) for name in features] for row in instances], features)


def table_of_rows(columns: Any, rows: Any, features: Sequence[str]) -> pl.DataFrame:
    """Column names and rows of values as a table, in the format of `table_of_instances`."""
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise RequestError(f"columns: expected a list of feature names, found {_describe_value(columns)}", 422)
    if unknown := [name for name in columns if name not in features]:
        raise RequestError(_unknown_feature_message(unknown[0], features), 422)
    if len(set(columns)) < len(columns):
        duplicate = next(name for name in columns if columns.count(name) > 1)
        raise RequestError(f"columns: feature {duplicate!r:.60} is given twice", 422)
    if not isinstance(rows, list):
        raise RequestError(f"data: expected a list of rows, found {_describe_value(rows)}", 422)
    _check_count(len(rows))
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            found = f"{len(row)}" if isinstance(row, list) else _describe_value(row)
            raise RequestError(f"row {number}: expected {len(columns)} values, one per column, found {found}", 422)
    return _table(columns, rows, features)


def parse_number(cell: str) -> float | str | None:
    """Parse a cell of a CSV table; anything but a number stays text, so that a later error has its row and feature."""
    text = cell.strip()
    try:
        number = float(text) if text and "_" not in text else None
    except ValueError:
        return text
    return text or None if number is None or number != number else number  # float() accepts the text "nan"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], features: Sequence[str]) -> pl.DataFrame:
    """Rows of values of some features as a table of all features."""
    import numpy as np
    import polars as pl

    for number, row in enumerate(rows):
        if not _NUMBER_TYPES.issuperset(map(type, row)):
            name, value = next(each for each in zip(columns, row, strict=True) if type(each[1]) not in _NUMBER_TYPES)
            raise _invalid_value_error(number, name, _describe_value(value))
    # One matrix, in which None becomes NaN: column by column, a small request would take several times as long.
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
    if len(infinite := np.argwhere(np.isinf(values))):
        number, place = (int(index) for index in infinite[0])
        raise _invalid_value_error(number, columns[place], "a number that is too large")
    matrix = np.full((len(rows), len(features)), np.nan)
    matrix[:, [features.index(name) for name in columns]] = values
    return pl.DataFrame(matrix, schema=list(features))


def _check_count(rows: int) -> None:
    if rows > MAX_ROWS:
        raise RequestError(f"{rows:,} rows are too many for one request; send at most {MAX_ROWS:,}", 413)


def _unknown_feature_message(name: str, features: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, features, n=1)
    suggestion = f"did you mean {near[0]!r}?" if near else f"expected {_list_names(features)}"
    return f"unknown feature {name!r:.60}; {suggestion}"


def _invalid_value_error(row: int, name: str, found: str) -> RequestError:
    return RequestError(f"row {row}: feature {name!r}: expected a finite number or null, found {found}", 422)


def _describe_value(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", dict: "an object", list: "a list", tuple: "a list", float: "a number", int: "a number"}
    return kinds.get(type(value)) or f"the text {value!r:.40}"


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number; use null for a missing value")
