"""Restores cells that a program changed when it wrote a table: `7.0` for the code 7, `NA` for an empty cell.

pandas makes decimals of a column of digits with an empty cell; R, pandas and databases write a word for an empty cell.
Belongs here: recognising both where the text can mean nothing else. Does not belong here: digits that are lost, which
nothing can restore (`nbi.spreadsheet`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import polars as pl

from bridge_assets.nbi.coding_guide.codes import accepted_codes, codes_of
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME, ItemKind

#: What programs write for a missing value: R, pandas, SQL databases and their exports, Excel, Python.
MISSING_MARKS = ("NA", "<NA>", "nan", "NaN", "NULL", "null", r"\N", "#N/A", "None")

#: Their cells are never changed: records would get another key.
_KEY_COLUMNS = ("STATE_CODE_001", "STRUCTURE_NUMBER_008")

#: Items named in a warning.
_NAMED_ITEMS = 5

_DECIMAL_CODE = r"^[0-9]+\.0+$"


class ChangedCells:
    """Restores the cells of one file, chunk by chunk, and says afterwards what it restored."""

    def __init__(self) -> None:
        self._marks: set[str] = set()
        self._emptied: dict[str, Counter[str]] = {}
        self._whole: Counter[str] = Counter()
        self._example = ""

    def restore(self, text: pl.DataFrame) -> pl.DataFrame:
        """The chunk with empty cells for missing values, and codes without decimals.

        Parameters
        ----------
        text : pl.DataFrame
            Columns under canonical names; those that are not String or not items are returned unchanged, and so is a
            table with the column `unparsed`, which this platform has written from records.
        """
        if "unparsed" in text.columns:
            return text
        names = [
            name
            for name, dtype in text.schema.items()
            if dtype == pl.String and name in ITEMS_BY_NAME and name not in _KEY_COLUMNS
        ]
        cells = {name: text[name].str.strip_chars(" \t") for name in names}
        for name in names:
            if _has_known_values(name):
                cells[name] = self._without(cells[name], [mark for mark in MISSING_MARKS if not _is_code(name, mark)])
        for name in names:
            # Any text may be in such a column, so the word must be a mark elsewhere, and take the place of "" here.
            if self._marks and not _has_known_values(name) and not (cells[name] == "").any():
                cells[name] = self._without(cells[name], sorted(self._marks))
        for name in names:
            if ITEMS_BY_NAME[name].kind is ItemKind.CODE:
                cells[name] = self._without_decimals(cells[name])
        changed = [column for name, column in cells.items() if not column.equals(text[name], null_equal=True)]
        return text.with_columns(changed)

    def _without(self, column: pl.Series, marks: list[str]) -> pl.Series:
        is_mark = column.is_in(marks).fill_null(False)
        if not is_mark.any():
            return column
        for mark, count in column.filter(is_mark).value_counts().iter_rows():
            self._marks.add(mark)
            self._emptied.setdefault(mark, Counter())[column.name] += count
        return pl.select(pl.when(~is_mark).then(column).otherwise(pl.lit("")).alias(column.name)).to_series()

    def _without_decimals(self, column: pl.Series) -> pl.Series:
        is_decimal = column.str.contains(_DECIMAL_CODE).fill_null(False)
        if not is_decimal.any():
            return column
        if not codes_of(column.name) and not (is_decimal | (column == "").fill_null(True)).all():
            return column
        self._whole[column.name] += int(is_decimal.sum())
        self._example = self._example or f"{column.filter(is_decimal)[0]!r} in {column.name}"
        whole = column.str.replace(r"\.0+$", "")
        return pl.select(pl.when(is_decimal).then(whole).otherwise(column).alias(column.name)).to_series()

    def warnings(self) -> Iterator[str]:
        """What was restored, one sentence for each mark and one for decimals."""
        for mark, items in self._emptied.items():
            yield (
                f"{items.total():,} cells say {mark!r}, as programs write a missing value, and are read as empty: "
                f"{_listed(items)}"
            )
        if self._whole:
            total = self._whole.total()
            yield (
                f"{total:,} codes are written as decimals, such as {self._example}, and are read as whole numbers: "
                f"{_listed(self._whole)}"
            )


def _has_known_values(name: str) -> bool:
    return ITEMS_BY_NAME[name].kind in (ItemKind.INTEGER, ItemKind.DECIMAL) or bool(codes_of(name))


def _is_code(name: str, mark: str) -> bool:
    return bool(codes_of(name)) and mark.upper() in accepted_codes(name)


def _listed(items: Counter[str]) -> str:
    named = ", ".join(f"{count:,} of {name}" for name, count in items.most_common(_NAMED_ITEMS))
    more = len(items) - _NAMED_ITEMS
    return f"{named}, and some of {more} more items" if more > 0 else named
