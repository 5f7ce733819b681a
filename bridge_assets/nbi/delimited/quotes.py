"""Finds rows that commas inside quoted texts shifted, although they have as many fields as the header.

A comma inside a text makes two fields of it, each with a quote at one end only, two commas make three. If as many other
fields are missing, the row has the right number of fields, and every value between the two places is in the column of
its neighbour. Such a row differs from the others of its file in its quotes, wherever the pieces are.
"""

from __future__ import annotations

import numpy as np

from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME, ItemKind
from bridge_assets.nbi.coding_guide.layouts import Layout
from bridge_assets.nbi.delimited.kernels import ONE_SIDED, OTHER_PAIR, PAIR

#: The items whose text is in quotes in every published file, so in each of the 4,306 real rows of the tests. Nothing
#: else is in quotes in those rows, and no field has a quote at one end only.
QUOTED_ITEMS = ("FEATURES_DESC_006A", "FACILITY_CARRIED_007", "LOCATION_009")


class QuoteChecker:
    """Judges the rows of one file by their quotes.

    Fields other than texts may be in quotes if one of nine of ten of the first rows of the file is. A table without
    quotes may have a text such as `DUKES'`, so a row without any pair of quotes is judged only if the texts of most of
    the first rows have one.

    Parameters
    ----------
    layout : Layout

    Attributes
    ----------
    required : list of int
        The columns of `QUOTED_ITEMS`.
    """

    def __init__(self, layout: Layout) -> None:
        self._names = (*layout.canonical_columns, *(() if layout.ignored is None else (layout.ignored,)))
        self.required = [self._names.index(item) for item in QUOTED_ITEMS]
        items = {index: ITEMS_BY_NAME.get(name) for index, name in enumerate(self._names)}
        #: The published columns that are not texts. A column after them is not read, so that it shifts nothing.
        self._bare = [index for index, item in items.items() if item is not None and item.kind is not ItemKind.TEXT]
        self._ignored = len(layout.columns)
        self._usual: set[int] = set()
        self._is_quoted = False

    def suspects(self, quotes: np.ndarray) -> list[int]:
        """The rows that need `problem`, by the counts of `ParsedRows.quotes`: in a published file, none."""
        unusual = (quotes[:, PAIR] != len(QUOTED_ITEMS)) & (self._is_quoted | quotes.any(axis=1))
        return np.flatnonzero(unusual | (quotes[:, ONE_SIDED] > 0) | (quotes[:, OTHER_PAIR] > 0)).tolist()

    @property
    def uncounted(self) -> set[int]:
        """The columns that may be in quotes or not: texts that are not required to be, and what `learn` has found."""
        return set(range(len(self._names))).difference(self.required, self._bare) | self._usual

    def learn(self, first_lines: bytes) -> None:
        """Take the quotes that nine of ten of the first rows of the file have as usual; the others may be shifted.

        Where a field that is not a text is in quotes in nine of ten rows, any other may be too: some programs put
        quotes around `N` and none around 7.
        """
        rows = [_stripped_fields(line) for line in first_lines.split(b"\n")]
        rows = [fields for fields in rows if len(fields) == len(self._names)]

        def quoted(index: int) -> tuple[int, int]:
            cells = [fields[index] for fields in rows if fields[index]]
            return sum(map(_is_pair, cells)), len(cells)

        if rows and any(10 * quoted(index)[0] >= 9 * len(rows) for index in self._bare):
            self._usual = set(self._bare)
        pairs, cells = (sum(each) for each in zip(*map(quoted, self.required), strict=True))
        self._is_quoted = 2 * pairs > cells

    def problem(self, line: bytes) -> tuple[str, str]:
        """Reason code and detail for a row that may be shifted; two empty texts if it is not."""
        fields = _stripped_fields(line)
        if not self._is_quoted and not any(map(_is_pair, fields[: self._ignored])):
            return "", ""
        for index, field in enumerate(fields[: self._ignored]):
            if not _is_pair(field) and (field.startswith(b"'") or field.endswith(b"'")):
                return "one_sided_quote", one_sided_detail(self._names[index])
        for index in self.required:
            if fields[index] and not _is_pair(fields[index]):
                return "unexpected_quotes", f"{self._names[index]} is not in quotes, as the other texts of the row are"
        for index in self._bare:
            if _is_pair(fields[index]) and index not in self._usual:
                return "unexpected_quotes", f"{self._names[index]} is in quotes, although it is not a text"
        return "", ""


def one_sided_detail(item: str) -> str:
    """The detail of a row that is rejected as `one_sided_quote`."""
    return f"{item} begins or ends with a quote but not both"


def _stripped_fields(line: bytes) -> list[bytes]:
    return [field.strip(b" \t\r") for field in line.split(b",")]


def _is_pair(field: bytes) -> bool:
    return len(field) > 1 and field.startswith(b"'") and field.endswith(b"'")
