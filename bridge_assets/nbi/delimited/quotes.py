"""Finds rows that a comma inside a quoted text shifted, although they have as many fields as the header.

A comma inside a text makes two fields of it, each with a quote at one end only. If another field is missing, the row
has the right number of fields, and every value between the two places is in the column of its neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

#: The items whose text is in quotes in every published file, so in each of the 4,306 real rows of the tests.
QUOTED_ITEMS = ("FEATURES_DESC_006A", "FACILITY_CARRIED_007", "LOCATION_009")


def rows_with_quotes(columns: Sequence[pa.Array]) -> list[int]:
    """The rows with a text that begins or ends with a quote, once its pair of quotes is removed; few, such as `DUKES'`.

    Parameters
    ----------
    columns : sequence of pa.Array
        The columns of `QUOTED_ITEMS`, strings as the reader returns them.
    """
    texts = (pl.Series(column) for column in columns)
    masks = [text.str.starts_with("'") | text.str.ends_with("'") for text in texts]
    return sorted({row for mask in masks for row in mask.fill_null(False).arg_true()})


def one_sided_text(line: bytes, positions: dict[str, int]) -> str:
    """The first item of a row whose text has a quote at one end only; empty if there is none, or if no text is quoted.

    A table that was written without quotes may have a text such as `DUKES'`, so a row without any pair of quotes is not
    judged.

    Parameters
    ----------
    line : bytes
    positions : dict of str to int
        Item -> its field in the line.
    """
    fields = [field.strip(b" \t\r") for field in line.split(b",")]
    ends = [(field.startswith(b"'"), field.endswith(b"'"), len(field) > 1) for field in fields]
    if not any(all(end) for end in ends):
        return ""
    for item, position in positions.items():
        first, last, may_be_pair = ends[position]
        if first != last or (first and not may_be_pair):
            return item
    return ""
