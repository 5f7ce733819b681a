"""Finds codes that a spreadsheet, or a program that guesses types, turned into numbers.

Excel shows a long number as `1.00E+14`, so that hundreds of structure numbers become one, and takes the zeros at the
start of `001`. Belongs here: recognising both. Does not belong here: what becomes of the rows (`delimited.records`,
`tables.by_year`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import polars as pl
import pyarrow as pa

from bridge_assets.nbi.coding_guide.codes import codes_of

#: Items of digits -> their width (Coding Guide), which they have in each of the 4,306 real rows of the tests. Items 4,
#: 13B and 90 are not among them: files of some years have them without their zeros.
PADDED_ITEMS = {
    "STATE_CODE_001": 2,
    "COUNTY_CODE_003": 3,
    "ROUTE_NUMBER_005D": 5,
    "LRS_INV_ROUTE_013A": 10,
    "LONG_017": 9,
    "MAINTENANCE_021": 2,
    "OWNER_022": 2,
    "FUNCTIONAL_CLASS_026": 2,
    "STRUCTURE_TYPE_043B": 2,
    "APPR_TYPE_044B": 2,
    "FRACTURE_LAST_DATE_093A": 4,
    "UNDWATER_LAST_DATE_093B": 4,
    "SPEC_LAST_DATE_093C": 4,
}

#: What to do, in every message about such a file.
CURE = "export it again with these columns as text (in Excel: Data, From Text/CSV, set each of them to Text)"

#: Reason codes of the rows with such a key, and with the names of the columns in place of a key.
CHANGED_KEY, REPEATED_HEADER = "changed_key", "repeated_header"

_LISTED_LINES = 5

#: `1.00E+14` of Excel, `1e+14` of pandas: a number of which only the first digits are left.
_ROUNDED = r"^[0-9](\.[0-9]*)?[eE]\+[0-9]+$"
_DECIMAL = r"^[0-9]+\.0*$"


def changed_keys(states: pl.Series, numbers: pl.Series) -> dict[int, tuple[str, str]]:
    """The rows whose state code or structure number is not what was coded.

    Parameters
    ----------
    states, numbers : pl.Series
        Items 1 and 8, String.

    Returns
    -------
    dict of int to (str, str)
        Row -> reason code, and what its key says and what to do.
    """
    found = {}
    for row in (states.str.to_uppercase() == "STATE_CODE_001").fill_null(False).arg_true():
        found[row] = REPEATED_HEADER, "the row repeats the column names"
    for row in numbers.str.contains(_ROUNDED).fill_null(False).arg_true():
        detail = f"STRUCTURE_NUMBER_008 is the rounded number {numbers[row]}: its other digits are lost; {CURE}"
        found[row] = CHANGED_KEY, detail
    for row in states.str.contains(_DECIMAL).fill_null(False).arg_true():
        found.setdefault(row, (CHANGED_KEY, f"STATE_CODE_001 is the number {states[row]}, not a code; {CURE}"))
    return found


class PaddingCheck:
    """Counts, batch by batch, the values of `PADDED_ITEMS` in one file that are too short, and those that begin with 0.

    An item of which values are too short, and not one begins with 0, has lost its zeros.
    """

    def __init__(self) -> None:
        self._short: dict[str, int] = {}
        self._examples: dict[str, str] = {}
        self._padded: set[str] = set()

    def add(self, table: pa.Table) -> None:
        """Count the records of a batch (`Batch.table`)."""
        for name, width in PADDED_ITEMS.items():
            if name in self._padded:
                continue
            column = table[name]
            if pa.types.is_dictionary(column.type):
                values = column.combine_chunks().value_counts()
                texts, counts = values.field("values").cast(pa.string()), values.field("counts")
            else:
                texts, counts = column, None
            self._count(name, width, pl.Series(texts), None if counts is None else pl.Series(counts))

    def _count(self, name: str, width: int, texts: pl.Series, counts: pl.Series | None) -> None:
        if (texts.str.starts_with("0") & (texts.str.len_bytes() > 1)).any():
            self._padded.add(name)
            return
        short = ((texts.str.len_bytes() < width) & texts.str.contains(r"^[0-9]+$")).fill_null(False)
        if short.any():
            rows = int(short.sum()) if counts is None else int(counts.filter(short).sum())
            self._short[name] = self._short.get(name, 0) + rows
            self._examples.setdefault(name, texts.filter(short)[0])

    def lost(self) -> Mapping[str, int]:
        """Item -> records whose value is too short, for the items that have lost their zeros."""
        return {name: rows for name, rows in self._short.items() if name not in self._padded}

    def warning(self) -> str:
        """What the file has lost and what to do, in one sentence; empty if it has lost nothing."""
        lost = self.lost()
        if not lost:
            return ""
        listed = ", ".join(f"{name} in {rows:,} (such as {self._examples[name]!r})" for name, rows in lost.items())
        return (
            "codes have lost the zeros at their start, as Excel takes them: none is left, and values are too short in "
            f"records of {listed}; {CURE}"
        )


def _is_state(code: str) -> bool:
    """Whether this is a state code, as coded, without its zero (`PaddingCheck` says so) or with the FHWA region."""
    known = codes_of("STATE_CODE_001")
    return code.zfill(2) in known or (len(code) == 3 and code.isdigit() and code[:2] in known)


class SpreadsheetCheck:
    """Collects, batch by batch, what spreadsheets and people did to the codes of several files."""

    def __init__(self) -> None:
        self._padding: dict[str, PaddingCheck] = {}
        self._changed: dict[str, list[int]] = {}
        self._unknown_states: dict[str, Counter[str]] = {}

    def add(self, file: str, table: pa.Table, rejected: pl.DataFrame) -> None:
        """Add a batch of a file: `Batch.table` and `Batch.rejected`."""
        self._padding.setdefault(file, PaddingCheck()).add(table)
        states = table["STATE_CODE_001"].combine_chunks().value_counts()
        for state, count in zip(states.field("values").to_pylist(), states.field("counts").to_pylist(), strict=True):
            if state is not None and not _is_state(state):
                self._unknown_states.setdefault(file, Counter())[state] += count
        changed = rejected.filter(pl.col("reason") == CHANGED_KEY)
        for name, line in changed.select("file", "line_number").iter_rows():
            self._changed.setdefault(name, []).append(line)

    def warnings(self) -> list[str]:
        """One sentence for each file and kind of damage, beginning with the file."""
        warnings = []
        for file, lines in self._changed.items():
            first = ", ".join(map(str, lines[:_LISTED_LINES]))
            more = f" and {len(lines) - _LISTED_LINES:,} more" if len(lines) > _LISTED_LINES else ""
            warnings.append(
                f"{file}: {len(lines):,} rows are rejected, because a spreadsheet made numbers of their state codes or "
                f"structure numbers (lines {first}{more}); {CURE}"
            )
        for file, states in self._unknown_states.items():
            listed = ", ".join(repr(state) for state, _ in states.most_common(_LISTED_LINES))
            warnings.append(
                f"{file}: {states.total():,} records have state codes that are not in the Coding Guide ({listed}), so "
                "that they are not matched with other years; write the two digits of item 1, such as 04 for Arizona"
            )
        padding = ((file, check.warning()) for file, check in self._padding.items())
        return warnings + [f"{file}: {warning}" for file, warning in padding if warning]
