"""One raw NBI record that a person or a program sends, instead of a file: checked item by item, with NBI's own words.

A file is loaded whatever its values are, and a wrong one is flagged. Whoever sends one record can correct it, so here a
wrong value is an error that names the item, what was found, and what is allowed.

Belongs here: names, values and codes of the items of one record. Does not belong here: the layouts of files
(`nbi.delimited`), and contradictions between items (`nbi.flags`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

import polars as pl

from bridge_assets.nbi.coding_guide.codes import codes_of, is_code, meaning_of, summarize_codes
from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS, ITEMS, ITEMS_BY_NAME, Item, ItemKind
from bridge_assets.nbi.delimited.records import RECORD_SCHEMA
from bridge_assets.nbi.derived import CENTURY_LOOKAHEAD, DECODED_ITEMS, derived_columns
from bridge_assets.nbi.flags import REQUIRED_COLUMNS as FLAGGED_COLUMNS

#: Not an item: the year of the file that a record is in.
SURVEY_YEAR = "survey_year"

#: The first survey year whose file FHWA publishes.
FIRST_SURVEY_YEAR = 1992

_STATE, _NUMBER, _RECORD_TYPE, _DATE = (
    "STATE_CODE_001",
    "STRUCTURE_NUMBER_008",
    "RECORD_TYPE_005A",
    "DATE_OF_INSPECT_090",
)

#: Item -> its digits, as the Coding Guide packs them.
_PACKED = {"LAT_016": "DDMMSSss, such as 42215430", "LONG_017": "DDDMMSSss, such as 071035210"}

#: Items that derived columns and flags are computed from.
_DECODED_AND_FLAGGED = frozenset({*DECODED_ITEMS, *FLAGGED_COLUMNS})

#: Characters of a value. A chosen limit: the longest item of a file, 7 or 9, has 25.
_MAX_TEXT = 200

#: Codes that a message lists, and characters of a value that it shows. Chosen limits.
_LISTED_CODES, _SHOWN = 14, 40

#: Largest number that an item may have: the tables have 32 bits.
_MAX_INTEGER = 2**31 - 1


class RecordError(ValueError):
    """A record that cannot be used. The message says which item, why, and what is allowed.

    Attributes
    ----------
    record : int or None
        Its number among several.
    """

    def __init__(self, message: str, record: int | None = None) -> None:
        super().__init__(message)
        self.record = record


@dataclass(frozen=True)
class SingleRecord:
    """A checked record.

    Attributes
    ----------
    items : dict
        Item -> text or number; items that are blank are left out.
    survey_year : int or None
        As given.
    """

    items: dict[str, str | int | float]
    survey_year: int | None = None

    @property
    def structure_key(self) -> str | None:
        """The key of its structure; None without a structure number."""
        number = self.items.get(_NUMBER)
        return None if number is None else structure_key(str(self.items[_STATE]), str(number))

    @property
    def has_inspection_date(self) -> bool:
        """Whether item 90 is filled in: neither blank nor 0."""
        return bool(str(self.items.get(_DATE, "")).strip("0 "))

    def inspection_year(self, survey_year: int) -> int | None:
        """The year of item 90, read as in the file of a survey year (`derived.inspection_date`); None if unknown."""
        text = str(self.items.get(_DATE, ""))
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) // 100 <= 12):
            return None
        latest = survey_year + CENTURY_LOOKAHEAD
        return latest - (latest - int(text)) % 100


def structure_key(state: str, number: str) -> str:
    """`SS-NUMBER` as in `nbi.derived.structure_key`."""
    return f"{state.zfill(2)[:2]}-{number.strip().lstrip('0') or '0'}"


def parse_record(values: Mapping[str, Any]) -> SingleRecord:
    """Check a record.

    Parameters
    ----------
    values : mapping
        Item name (`DECK_COND_058`) or number (`58`, `058`) -> value, as in the file: text or number; blank or None for
        none. `survey_year` may be given beside the items.

    Raises
    ------
    RecordError
        For an unknown or repeated item, a value that the item cannot have, no state, or no condition rating.
    """
    if len(values) > len(ITEMS) + 1:
        raise RecordError(f"{len(values):,} items are too many; a record has at most {len(ITEMS)}")
    items: dict[str, str | int | float] = {}
    survey_year = None
    seen = set[str]()
    for key, value in values.items():
        if key.strip().lower() == SURVEY_YEAR:
            survey_year = _survey_year(value)
            continue
        item = _find_item(key)
        if item.name in seen:
            raise RecordError(f"{describe_item(item)} is given twice, once as {key[:_SHOWN]!r}")
        seen.add(item.name)
        if (parsed := _parse_value(item, value)) is not None:
            items[item.name] = parsed
    _check_required(items)
    return SingleRecord({_RECORD_TYPE: "1", **items, _STATE: str(items[_STATE]).zfill(2)[:2]}, survey_year)


def record_table(records: Sequence[SingleRecord], survey_year: int, items: frozenset[str]) -> pl.DataFrame:
    """Records as a table with the items that are read and the derived columns, in the order given.

    Parameters
    ----------
    records : sequence of SingleRecord
    survey_year : int
    items : frozenset of str
        The items that the table is for; those of the derived columns and flags are added. A table takes some time for
        each column.

    Raises
    ------
    RecordError
        If item 90 is not a date.
    """
    schema, derived = _columns(items), _derived_columns(survey_year)
    # A blank number: the key is not used, but the derived columns are computed from it.
    rows = [{_NUMBER: "0", **record.items} for record in records]
    table = pl.DataFrame([[row.get(name) for name in schema] for row in rows], schema=schema, orient="row")
    table = table.hstack(table.lazy().select(derived).collect())
    for number, (record, date) in enumerate(zip(records, table["inspection_date"], strict=True)):
        if date is None and record.has_inspection_date:
            found, item = record.items[_DATE], describe_item(ITEMS_BY_NAME[_DATE])
            raise RecordError(f"{item}: {found!r} is not MMYY, such as 0624 for June 2024", number)
    return table


@cache
def _columns(items: frozenset[str]) -> pl.Schema:
    wanted = (items | _DECODED_AND_FLAGGED) & ITEMS_BY_NAME.keys()
    return pl.Schema({name: kind for name, kind in RECORD_SCHEMA.items() if name in wanted})


@cache
def _derived_columns(survey_year: int) -> list[pl.Expr]:
    return derived_columns(survey_year)


def describe_item(item: Item) -> str:
    """Such as `item 58 (DECK_COND_058, deck condition)`, with the unit if it has one."""
    meaning = item.meaning[:1].lower() + item.meaning[1:]
    unit = f", in {item.unit}" if item.unit and item.unit not in ("year", "/day") else ""
    per_day = ", vehicles per day" if item.unit == "/day" else ""
    names = f"({item.name}, {meaning}{unit}{per_day})"
    return f"item {item.number} {names}" if item.number else f"the column {names}"


@cache
def _items_by_number() -> dict[str, Item]:
    return {item.number.upper(): item for item in ITEMS if item.number}


def _find_item(key: str) -> Item:
    name = key.strip().upper()
    item = ITEMS_BY_NAME.get(name) or _items_by_number().get(name.removeprefix("ITEM").strip().lstrip("0"))
    if item is not None:
        return item
    near = get_close_matches(name[:_SHOWN], ITEMS_BY_NAME, n=1, cutoff=0.6)
    meant = f"; did you mean {describe_item(ITEMS_BY_NAME[near[0]])}?" if near else ""
    raise RecordError(
        f"{key[:_SHOWN]!r} is not an NBI item{meant or '; use a name such as DECK_COND_058 or a number such as 58'}"
    )


def _survey_year(value: Any) -> int:
    year = int(value) if isinstance(value, str) and value.isascii() and value.strip().isdigit() else value
    if isinstance(year, float) and year.is_integer():
        year = int(year)
    if isinstance(year, bool) or not isinstance(year, int) or not FIRST_SURVEY_YEAR <= year <= 9999:
        raise RecordError(f"survey_year: {_shown(value)} is not the year of an NBI file, {FIRST_SURVEY_YEAR} or later")
    return year


def _parse_value(item: Item, value: Any) -> str | int | float | None:
    if value is None or (isinstance(value, str) and not (value := _unquoted(value))):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        kinds = {bool: "true or false", dict: "an object", list: "a list"}
        raise RecordError(f"{describe_item(item)}: expected a text or a number, found {kinds.get(type(value), 'it')}")
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        raise RecordError(f"{describe_item(item)}: {len(value):,} characters are too many; at most {_MAX_TEXT}")
    return _parse_number(item, value) if item.kind in (ItemKind.INTEGER, ItemKind.DECIMAL) else _parse_code(item, value)


def _unquoted(text: str) -> str:
    """Without padding and without the pair of single quotes in which a file has texts."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == "'" else text


def _parse_number(item: Item, value: str | float) -> int | float:
    try:
        number = float(value) if not isinstance(value, str) or value.isascii() else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or abs(number) > _MAX_INTEGER:
        what = "too large a number" if math.isinf(number) or abs(number) > _MAX_INTEGER else "not a number"
        raise RecordError(f"{describe_item(item)}: {_shown(value)} is {what}")
    if item.kind is ItemKind.DECIMAL:
        return number
    if not number.is_integer():
        raise RecordError(f"{describe_item(item)}: {_shown(value)} is not a whole number")
    return int(number)


def _parse_code(item: Item, value: str | float) -> str:
    if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
        raise RecordError(f"{describe_item(item)}: {_shown(value)} is not a code; send codes as text, such as '01'")
    text = value if isinstance(value, str) else str(int(value))
    if len(text) > _MAX_TEXT:
        raise RecordError(f"{describe_item(item)}: {len(text):,} characters are too many; at most {_MAX_TEXT}")
    if not text.isprintable():
        raise RecordError(f"{describe_item(item)}: it has a character that cannot be printed")
    if item.name in _PACKED and not text.isdigit():
        raise RecordError(f"{describe_item(item)}: {_shown(value)} is not {_PACKED[item.name]}")
    if item.kind is ItemKind.CODE and not is_code(item.name, text):
        raise RecordError(f"{describe_item(item)}: {_shown(value)} is not one of its codes; allowed: {_allowed(item)}")
    return text


def _allowed(item: Item) -> str:
    if item.name in CONDITION_ITEMS:
        return "0 (failed) to 9 (excellent), or N (not applicable)"
    codes = list(codes_of(item.name))
    if not codes or len(codes) > _LISTED_CODES:
        return summarize_codes(item.name, _LISTED_CODES)
    return ", ".join(f"{code} ({(meaning_of(item.name, code) or '').partition(':')[0]})" for code in codes)


def _shown(value: Any) -> str:
    return repr(value[:_SHOWN] if isinstance(value, str) else value)[: _SHOWN + 2]


def _check_required(items: Mapping[str, str | int | float]) -> None:
    if _STATE not in items:
        raise RecordError(
            f"{describe_item(ITEMS_BY_NAME[_STATE])} is missing: climate and similar bridges are those of the state"
        )
    if items.get(_RECORD_TYPE, "1") != "1":
        found = items[_RECORD_TYPE]
        raise RecordError(
            f"{describe_item(ITEMS_BY_NAME[_RECORD_TYPE])}: {found!r} is a route under a bridge; only record type 1 "
            "has condition ratings"
        )
    if not any(str(items.get(item, "N")).upper() != "N" for item in CONDITION_ITEMS):
        raise RecordError(
            "the record has no condition rating: items 58 (deck), 59 (superstructure), 60 (substructure) and 62 "
            "(culvert) are all blank or N; at least one must be 0 to 9"
        )
