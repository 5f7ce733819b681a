"""Parse the rows of a request into an array of features in natural units, with errors that name row and feature.

A value is missing if it is null or the feature is omitted; nothing else is treated as missing. Rows are numbered from
0.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge_assets.data.features.limits import SLACK, FeatureLimit, feature_limits

if TYPE_CHECKING:
    import numpy as np

#: Maximum number of rows per request. A chosen limit: batch scoring (`bridge-assets run --job scoring`) is faster for
#: more rows.
MAX_ROWS = 10_000

_NUMBER_TYPES = {float, int, type(None)}

#: Characters of a name or value from a request that an error message shows. A chosen limit.
_SHOWN = 60


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


def rows_of_instances(instances: Any, features: Sequence[str]) -> np.ndarray:
    """Rows of {feature: number or null} as an array.

    Parameters
    ----------
    instances : list of dict
    features : sequence of str
        The model's features, in order.

    Returns
    -------
    np.ndarray
        Shape (n, len(features)), float64, columns in the model's order. A missing value is NaN.

    Raises
    ------
    RequestError
        400 or 422, with the row, the feature, and the found and expected value; 413 for too many rows.
    """
    if not isinstance(instances, list):
        raise RequestError(f"instances: expected a list of rows, found {describe_value(instances)}", 422)
    check_row_count(len(instances))
    known = frozenset(features)
    for number, row in enumerate(instances):
        if not isinstance(row, dict):
            raise RequestError(f"row {number}: expected an object of features, found {describe_value(row)}", 422)
        if not row.keys() <= known:
            name = next(name for name in row if name not in known)
            raise RequestError(f"row {number}: {_unknown_feature_message(name, features)}", 422)
        if not row:
            raise RequestError(f"row {number}: no feature is given; use null for a missing value", 422)
    return _array(features, [[row.get(name) for name in features] for row in instances], features)


def rows_of_table(columns: Any, rows: Any, features: Sequence[str]) -> np.ndarray:
    """Column names and rows of values as an array, in the format of `rows_of_instances`."""
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise RequestError(f"columns: expected a list of feature names, found {describe_value(columns)}", 422)
    check_columns(columns, features)
    if not isinstance(rows, list):
        raise RequestError(f"data: expected a list of rows, found {describe_value(rows)}", 422)
    check_row_count(len(rows))
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            found = f"{len(row)}" if isinstance(row, list) else describe_value(row)
            raise RequestError(f"row {number}: expected {len(columns)} values, one per column, found {found}", 422)
    return _array(columns, rows, features)


def check_columns(columns: Sequence[str], features: Sequence[str]) -> None:
    """Raise RequestError 422 if a column is not a feature, or is given twice."""
    known, seen = frozenset(features), set()
    for name in columns:
        if name not in known:
            raise RequestError(_unknown_feature_message(name, features), 422)
        if name in seen:
            raise RequestError(f"columns: feature {shown(name)} is given twice", 422)
        seen.add(name)


def _array(columns: Sequence[str], rows: Sequence[Sequence[Any]], features: Sequence[str]) -> np.ndarray:
    """Rows of values of some features as an array of all features."""
    import numpy as np

    for number, row in enumerate(rows):
        if not _NUMBER_TYPES.issuperset(map(type, row)):
            name, value = next(each for each in zip(columns, row, strict=True) if type(each[1]) not in _NUMBER_TYPES)
            raise _invalid_value_error(number, name, describe_value(value))
    # One matrix, in which None becomes NaN: column by column, a small request would take several times as long.
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
    if len(infinite := np.argwhere(np.isinf(values))):
        number, place = (int(index) for index in infinite[0])
        raise _invalid_value_error(number, columns[place], "a number that is too large")
    if limits := feature_limits(tuple(features)):
        _check_limits(values, columns, [limits[features.index(name)] for name in columns])
    if tuple(columns) == tuple(features):
        return values
    matrix = np.full((len(rows), len(features)), np.nan)
    matrix[:, [features.index(name) for name in columns]] = values
    return matrix


def _check_limits(values: np.ndarray, columns: Sequence[str], limits: Sequence[FeatureLimit]) -> None:
    """Raise RequestError 422 if a value is none that its feature can have."""
    import numpy as np

    least, most = (np.array([each.limit[side] for each in limits]) for side in (0, 1))
    if len(found := np.argwhere((values < least - SLACK) | (values > most + SLACK))):
        row, column = (int(index) for index in found[0])
        raise RequestError(f"row {row}: {limits[column].message(columns[column], values[row, column])}", 422)


def check_row_count(rows: int, *, is_complete: bool = True) -> None:
    """Raise RequestError 413 for more than `MAX_ROWS`; `is_complete`: there are no more rows than those counted."""
    if rows > MAX_ROWS:
        counted = f"{rows:,} rows" if is_complete else f"{rows:,} rows or more"
        raise RequestError(f"{counted} are too many for one request; send at most {MAX_ROWS:,}", 413)


def _unknown_feature_message(name: str, features: Sequence[str]) -> str:
    # Cut before comparing: the search builds an index of every character of the name.
    near = difflib.get_close_matches(name[:_SHOWN], features, n=1)
    suggestion = f"did you mean {near[0]!r}?" if near else f"expected {list_names(features)}"
    return f"unknown feature {shown(name)}; {suggestion}"


def _invalid_value_error(row: int, name: str, found: str) -> RequestError:
    return RequestError(f"row {row}: feature {name!r}: expected a finite number or null, found {found}", 422)


def describe_value(value: Any) -> str:
    """What kind of JSON value it is, for an error message."""
    if value is None:
        return "null"
    kinds = {bool: "a boolean", dict: "an object", list: "a list", tuple: "a list", float: "a number", int: "a number"}
    return kinds.get(type(value)) or f"the text {shown(value, 40)}"


def shown(value: Any, length: int = _SHOWN) -> str:
    """A value of a request as an error message shows it, cut to a length: it may have millions of characters."""
    return repr(value[:length] if isinstance(value, str) else value)[:length]


def list_names(names: Sequence[str]) -> str:
    """The first names of a list, for an error message."""
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
