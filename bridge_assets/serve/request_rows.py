"""Rows of a request as a table of features in natural units, or a refusal that names the row and the feature.

A missing value is null, or a feature that is not given; nothing else is guessed. Rows are counted from 0.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

#: Most rows of one request: a choice. More of them are scored faster in a batch (`bridge-assets run --job scoring`).
MOST_ROWS = 10_000

_NUMBERS = {float, int, type(None)}


class Refused(Exception):
    """A request that is not answered. The message is for whoever sent it.

    Attributes
    ----------
    status : int
        HTTP status code.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def json_object(body: bytes, known: Sequence[str]) -> dict[str, Any]:
    """A body as a JSON object that holds no key but the known ones. Every number in it is a float."""
    try:
        # As floats, numbers of any length are read; NaN and Infinity are no JSON.
        value = json.loads(body, parse_int=float, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refused(f"the body: expected an object with {_listed(known)}, found {_found(value)}")
    if unknown := [key for key in value if key not in known]:
        raise Refused(f"the body: there is no {unknown[0]!r:.60}; expected {_listed(known)}")
    return value


def table_of_instances(instances: Any, features: Sequence[str]) -> pl.DataFrame:
    """Rows of {feature: number or null} as a table.

    Parameters
    ----------
    instances : list of dict
    features : sequence of str
        Of the model, in its order.

    Returns
    -------
    pl.DataFrame
        One Float64 column a feature, in the model's order. Missing values are NaN: scaling fills it as it fills null.

    Raises
    ------
    Refused
        400 or 422, with row, feature, what was found and what was expected; 413 for too many rows.
    """
    if not isinstance(instances, list):
        raise Refused(f"instances: expected a list of rows, found {_found(instances)}", 422)
    _check_count(len(instances))
    known = frozenset(features)
    for number, row in enumerate(instances):
        if not isinstance(row, dict):
            raise Refused(f"row {number}: expected an object of features, found {_found(row)}", 422)
        if not row.keys() <= known:
            name = next(name for name in row if name not in known)
            raise Refused(f"row {number}: {_unknown(name, features)}", 422)
        if not row:
            raise Refused(f"row {number}: no feature is given; null stands for a value that is missing", 422)
    return _table(features, [[row.get(name) for name in features] for row in instances], features)


def table_of_rows(columns: Any, rows: Any, features: Sequence[str]) -> pl.DataFrame:
    """Column names and rows of values as a table, as `table_of_instances`."""
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise Refused(f"columns: expected a list of feature names, found {_found(columns)}", 422)
    if unknown := [name for name in columns if name not in features]:
        raise Refused(_unknown(unknown[0], features), 422)
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise Refused(f"columns: feature {twice!r:.60} is given twice", 422)
    if not isinstance(rows, list):
        raise Refused(f"data: expected a list of rows, found {_found(rows)}", 422)
    _check_count(len(rows))
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            found = f"{len(row)}" if isinstance(row, list) else _found(row)
            raise Refused(f"row {number}: expected {len(columns)} values, one a column, found {found}", 422)
    return _table(columns, rows, features)


def number_of(cell: str) -> float | str | None:
    """A cell of a CSV table; what is no number stays text, to be refused with its row and feature."""
    text = cell.strip()
    try:
        number = float(text) if text and "_" not in text else None
    except ValueError:
        return text
    return text or None if number is None or number != number else number  # float() knows the text "nan"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], features: Sequence[str]) -> pl.DataFrame:
    """Rows of values by column, which are all features, as a table of all features."""
    import numpy as np
    import polars as pl

    for number, row in enumerate(rows):
        if not _NUMBERS.issuperset(map(type, row)):
            name, value = next(each for each in zip(columns, row, strict=True) if type(each[1]) not in _NUMBERS)
            raise _wrong(number, name, _found(value))
    # As one matrix, in which None is NaN: a column at a time, a small request would take several times as long.
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))
    if len(infinite := np.argwhere(np.isinf(values))):
        number, place = (int(index) for index in infinite[0])
        raise _wrong(number, columns[place], "one that is too large")
    matrix = np.full((len(rows), len(features)), np.nan)
    matrix[:, [features.index(name) for name in columns]] = values
    return pl.DataFrame(matrix, schema=list(features))


def _check_count(rows: int) -> None:
    if rows > MOST_ROWS:
        raise Refused(f"{rows:,} rows are too many for one request; send at most {MOST_ROWS:,}", 413)


def _unknown(name: str, features: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, features, n=1)
    meant = f"did you mean {near[0]!r}?" if near else f"expected {_listed(features)}"
    return f"there is no feature {name!r:.60}; {meant}"


def _wrong(row: int, name: str, found: str) -> Refused:
    return Refused(f"row {row}: feature {name!r}: expected a finite number or null, found {found}", 422)


def _found(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "a boolean", dict: "an object", list: "a list", tuple: "a list", float: "a number", int: "a number"}
    return kinds.get(type(value)) or f"the text {value!r:.40}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON; null stands for a missing value")
