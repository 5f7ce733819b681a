"""The history of a structure after a record that may be its next inspection.

The warehouse computes the history of all inspections in SQL (`int_inspections`, `fct_component_rises`,
`fct_condition_transitions`). A request has one record of each structure, so the same rules continue the history from
the last inspection that is on file. A test runs both on the same records.

Belongs here: continuing a history by one record. Does not belong here: the features derived from it (`history`).
"""

from __future__ import annotations

from functools import cache

import polars as pl

from bridge_assets.data.features.history import HISTORY_COLUMNS
from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS
from bridge_assets.nbi.derived import rating

#: Years that show a replacement or a reconstruction: items 27 and 106, null if 0 or blank.
YEAR_ITEMS = ("YEAR_BUILT_027", "YEAR_RECONSTRUCTED_106")

#: Items whose change, together with a higher rating, shows repair work: 43A, 43B, 107, 108A, 108B, 108C and 113.
EVIDENCE_ITEMS = (
    "STRUCTURE_KIND_043A",
    "STRUCTURE_TYPE_043B",
    "DECK_STRUCTURE_TYPE_107",
    "SURFACE_TYPE_108A",
    "MEMBRANE_TYPE_108B",
    "DECK_PROTECTION_108C",
    "SCOUR_CRITICAL_113",
)

_RATINGS = ("deck_rating_058", "superstructure_rating_059", "substructure_rating_060", "culvert_rating_062")

#: For each of `_RATINGS`, the items of `EVIDENCE_ITEMS` that only work on that component changes.
_WORK_ITEMS = (
    ("DECK_STRUCTURE_TYPE_107", "SURFACE_TYPE_108A", "MEMBRANE_TYPE_108B", "DECK_PROTECTION_108C"),
    ("STRUCTURE_KIND_043A", "STRUCTURE_TYPE_043B"),
    ("SCOUR_CRITICAL_113",),
    ("STRUCTURE_KIND_043A", "SCOUR_CRITICAL_113"),
)

#: Code of item 113: countermeasures have been installed.
_COUNTERMEASURES = "7"

#: Points by which a rating rises only after work (`fct_component_rises`).
_REPAIR_POINTS = 2

#: What is known after the last inspection of a structure: column -> type. All null for a structure without one.
STATE_COLUMNS: dict[str, type[pl.DataType]] = {
    "inspection_date": pl.Date,
    "inspection_number": pl.Int16,
    "condition": pl.Int8,
    **HISTORY_COLUMNS,
    **dict.fromkeys(_RATINGS, pl.Int8),
    **dict.fromkeys(YEAR_ITEMS, pl.Int32),
    **dict.fromkeys(EVIDENCE_ITEMS, pl.String),
}

_BEFORE = "before_"
_STATE_NAMES = {name: f"{_BEFORE}{name}" for name in STATE_COLUMNS}


def history_after(records: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    """The history columns of records, each after the last inspection of its structure.

    A record is an inspection if its date is later than that of the last one; otherwise it carries that one forward.

    Parameters
    ----------
    records : pl.DataFrame
        With the items of `YEAR_ITEMS`, `EVIDENCE_ITEMS` and `CONDITION_ITEMS`, and the derived columns
        `inspection_date`, `inspected_in_future` and `condition`.
    states : pl.DataFrame
        `STATE_COLUMNS` of the same rows.

    Returns
    -------
    pl.DataFrame
        `HISTORY_COLUMNS`, then `is_new_inspection` (Boolean).
    """
    both = pl.concat([records, states.rename(_STATE_NAMES)], how="horizontal")
    return both.lazy().select(_known_columns()).select(_history_columns()).collect()


@cache
def _known_columns() -> list[pl.Expr]:
    """The record and the last inspection, as the warehouse reads them."""
    return [
        pl.col("condition"),
        pl.when(~pl.col("inspected_in_future")).then(pl.col("inspection_date")).alias("inspection_date"),
        *(pl.when(pl.col(item) > 0).then(pl.col(item)).alias(item) for item in YEAR_ITEMS),
        *(pl.col(item).cast(pl.String) for item in EVIDENCE_ITEMS),
        *(rating(item).alias(name) for item, name in zip(CONDITION_ITEMS, _RATINGS, strict=True)),
        *(_before(name) for name in STATE_COLUMNS),
    ]


@cache
def _history_columns() -> list[pl.Expr]:
    """`HISTORY_COLUMNS` and `is_new_inspection`, from `_known_columns`."""
    date, last_date = pl.col("inspection_date"), _before("inspection_date")
    is_new = (date.is_not_null() & (last_date.is_null() | (date > last_date))).fill_null(False)
    after = zip(HISTORY_COLUMNS.items(), _after_inspection(), strict=True)
    return [
        *(
            pl.when(is_new).then(expression).otherwise(_before(name)).cast(kind).alias(name)
            for (name, kind), expression in after
        ),
        is_new.alias("is_new_inspection"),
    ]


def _before(name: str) -> pl.Expr:
    return pl.col(f"{_BEFORE}{name}")


def _after_inspection() -> list[pl.Expr]:
    """`HISTORY_COLUMNS`, in order, if the record is an inspection."""
    date, condition, previous = pl.col("inspection_date"), pl.col("condition"), _before("condition")
    is_first = _before("inspection_date").is_null()
    fell, rose = ((each.fill_null(False)).cast(pl.Int16) for each in (condition < previous, condition > previous))
    begins_spell = is_first | _work_found()
    falls = _before("falls_so_far").fill_null(0) + fell
    rises = _before("rises_so_far").fill_null(0) + rose
    return [
        _before("inspection_date"),
        falls,
        rises,
        pl.when(condition.ne_missing(previous)).then(date).otherwise(_before("entered_at")),
        falls + rises > 0,
        _before("deterioration_spell").fill_null(0) + begins_spell.cast(pl.Int16),
        pl.when(begins_spell).then(date).otherwise(_before("spell_since")),
        pl.when(begins_spell).then(0).otherwise(_before("falls_in_spell") + fell),
    ]


def _work_found() -> pl.Expr:
    """Whether the record shows that work was done since the last inspection; the rules of `fct_component_rises`."""
    last_year = _before("inspection_date").dt.year()
    renewed = [
        (pl.col(item) > earlier) & (pl.col(item) >= last_year)
        for item, earlier in zip(YEAR_ITEMS, (_before(YEAR_ITEMS[0]), _before(YEAR_ITEMS[1]).fill_null(0)), strict=True)
    ]
    repaired = [
        (pl.col(name) > _before(name))
        & ((pl.col(name) - _before(name) >= _REPAIR_POINTS) | pl.any_horizontal(_work_shown_by(item) for item in items))
        for name, items in zip(_RATINGS, _WORK_ITEMS, strict=True)
    ]
    return pl.any_horizontal(each.fill_null(False) for each in (*renewed, *repaired))


def _work_shown_by(item: str) -> pl.Expr:
    after, before = pl.col(item), _before(item)
    changed = (after.str.strip_chars_start("0") != before.str.strip_chars_start("0")) & ~(
        (after.str.to_uppercase() == "N") | (before.str.to_uppercase() == "N")
    )
    if item == "SCOUR_CRITICAL_113":
        changed &= after == _COUNTERMEASURES
    return changed.fill_null(False)
