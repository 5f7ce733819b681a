"""The codes of each coded item and what they mean, from `codes.csv`.

Belongs here: which codes an item may have, the forms in which files write them, and how to check a value. Does not
belong here: the list of items (`items`), the conversion of codes to numbers and dates (`derived`), and the search for
rows with invalid codes (`code_check`).

The table follows the Coding Guide [1]_ with its errata; the meanings are shortened to one line. `*` in items 67 to 69
and `Y` in the status columns are not in the guide: FHWA computes those columns, and its files contain these values.

References
----------
.. [1] FHWA-PD-96-001, Recording and Coding Guide for the Structure Inventory and Appraisal of the Nation's Bridges,
   1995, with the 2022 errata. Item 1: FIPS PUB 5-2, now ANSI INCITS 38; 03, 07, 14, 43 and 52 were reserved for
   territories.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_NO_CODES: Mapping[str, str] = MappingProxyType({})

#: Items whose codes follow a pattern rather than a list: (regular expression, the pattern in words).
PATTERNS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("FRACTURE_092A", "UNDWATER_LOOK_SEE_092B", "SPEC_INSPECT_092C"),
        (r"Y\d\d|N|N00", "N, or Y and the interval in months"),
    ),
    **dict.fromkeys(
        ("FRACTURE_LAST_DATE_093A", "UNDWATER_LAST_DATE_093B", "SPEC_LAST_DATE_093C"),
        (r"(0?[1-9]|1[0-2])\d\d|0+", "MMYY"),
    ),
}


@cache
def _load_coding_guide() -> dict[str, Mapping[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    text = files("bridge_assets.nbi.coding_guide").joinpath("codes.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines(), delimiter=";"):
        for item in row["items"].split():
            tables.setdefault(item, {})[row["code"]] = row["meaning"]
    return {item: MappingProxyType(table) for item, table in tables.items()}


def codes_of(item: str) -> Mapping[str, str]:
    """Code -> meaning of an item, in the order of the guide; empty if any text is allowed.

    Codes have the width they have in the guide: `01`, not `1`, for an item of two digits.
    """
    return _load_coding_guide().get(item, _NO_CODES)


def coded_items() -> tuple[str, ...]:
    """Names of the items with a list of codes, in the order of `codes.csv`."""
    return tuple(_load_coding_guide())


@cache
def accepted_codes(item: str) -> frozenset[str]:
    """Every accepted form of the codes of an item, in upper case.

    A code is the same with and without leading zeros: a published file has owner `01`, a table that went through a
    spreadsheet `1`. No two codes of an item differ only in leading zeros. The state in item 1 may have the FHWA region
    as its third digit, as in the guide (`014`); the state in item 98A may lack it.
    """
    codes = set(codes_of(item))
    unpadded = {code.lstrip("0") or "0" for code in codes}
    if item == "STATE_CODE_001":
        codes |= set(codes_of("OTHER_STATE_CODE_098A")) - {"CAN", "MEX"}
    elif item == "OTHER_STATE_CODE_098A":
        codes |= set(codes_of("STATE_CODE_001"))
        unpadded = set()  # 20 is Kansas, not Alaska's 020
    return frozenset(codes | unpadded)


def is_code(item: str, value: str) -> bool:
    """Whether a value, without padding, is one of the codes of an item, in upper or lower case.

    True for every value of an item without a code list.
    """
    value = value.upper()
    if item in PATTERNS:
        return re.fullmatch(PATTERNS[item][0], value) is not None
    known = accepted_codes(item)
    return not known or value in known or (value.lstrip("0") or "0") in known


def meaning_of(item: str, value: str) -> str | None:
    """The meaning of a code in any accepted form; None if the value is not a code or the item has no code list.

    >>> meaning_of("OWNER_022", "1")
    'State highway agency'
    """
    table = codes_of(item)
    value = value.upper()
    if value in table:
        return table[value]
    if item in ("STATE_CODE_001", "OTHER_STATE_CODE_098A"):
        return codes_of("STATE_CODE_001").get(value.zfill(2)[:2])
    unpadded = value.lstrip("0") or "0"
    return next((meaning for code, meaning in table.items() if (code.lstrip("0") or "0") == unpadded), None)


def summarize_codes(item: str, limit: int = 12) -> str:
    """The codes of an item on one line, such as `0, 1, N`; at most `limit`, then `…`. Empty if it has no code list."""
    if item in PATTERNS:
        return PATTERNS[item][1]
    codes = list(codes_of(item))
    return ", ".join(codes[:limit]) + (", …" if len(codes) > limit else "")


#: Item 1: two-digit code -> state or territory.
STATE_NAMES: Mapping[str, str] = codes_of("STATE_CODE_001")
