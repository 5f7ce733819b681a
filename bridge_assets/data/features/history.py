"""Features that the ratings tell, and the inspections before: the condition and the past."""

from __future__ import annotations

import polars as pl

from bridge_assets.data.features.base import Feature
from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS
from bridge_assets.nbi.derived import rating

DAYS_PER_YEAR = 365.25

#: Columns of fct_condition_transitions that tell the past of a structure, beside its record.
HISTORY_COLUMNS = {
    "previous_inspection_date": pl.Date,
    "falls_so_far": pl.Int16,
    "rises_so_far": pl.Int16,
    "entered_at": pl.Date,
    "entry_seen": pl.Boolean,
    "deterioration_spell": pl.Int16,
    "spell_since": pl.Date,
    "falls_in_spell": pl.Int16,
}

#: What `peers` adds to a record.
PEERS_FALL_RATE = "peers_fall_rate"

#: Version of that feature: raise it when `peers` groups inspections or computes the rate differently.
PEERS_VERSION = 1


def years_since_date(date: str) -> pl.Expr:
    """Years from a date to the inspection."""
    return (pl.col("inspection_date") - pl.col(date)).dt.total_days() / DAYS_PER_YEAR


#: Time that an inspection found the structure in one condition.
YEARS_IN_CONDITION = years_since_date("entered_at")

_RATINGS = [rating(item) for item in CONDITION_ITEMS]
_COMPONENTS_AT_LOWEST = pl.sum_horizontal((each == pl.col("condition")).cast(pl.Int8) for each in _RATINGS)

CONDITION = (
    Feature("condition", "rating 0-9", "58-60, 62", "Where it stands", pl.col("condition")),
    *(
        Feature(name, "rating 0-9", BY, "Where each component stands", each)
        for name, BY, each in zip(
            ("deck", "superstructure", "substructure", "culvert_rating"),
            ("58", "59", "60", "62"),
            _RATINGS,
            strict=True,
        )
    ),
    Feature("components_at_lowest", "count", "58-60, 62", "Any one of them may fall", _COMPONENTS_AT_LOWEST),
    Feature(
        "years_in_condition",
        "year",
        "90 and earlier files",
        "Time in one condition",
        YEARS_IN_CONDITION,
    ),
    Feature(
        "months_since_previous",
        "month",
        "90 and earlier files",
        "Interval between inspections",
        years_since_date("previous_inspection_date") * 12,
    ),
    Feature("inspection_frequency", "month", "91", "Interval to the next one", pl.col("INSPECT_FREQ_MONTHS_091")),
    Feature("falls_so_far", "count", "earlier files", "Has fallen before", pl.col("falls_so_far")),
    Feature("rises_so_far", "count", "earlier files", "Repairs, and second thoughts", pl.col("rises_so_far")),
)

_YEARS_IN_SPELL = years_since_date("spell_since")
HISTORY = (
    Feature(
        "condition_change_seen",
        "0/1",
        "earlier files",
        "Whether the condition ever changed on file: if not, the time in it is a least",
        pl.col("entry_seen"),
    ),
    Feature(
        "repairs_so_far",
        "count",
        "27, 106, 43, 107, 108, 113 and earlier files",
        "Inspections that found work done (fct_component_rises)",
        pl.col("deterioration_spell") - 1,
    ),
    Feature(
        "years_since_repair",
        "year",
        "27, 106, 43, 107, 108, 113 and earlier files",
        "Time since an inspection last found work done; nothing where none did",
        pl.when(pl.col("deterioration_spell") > 1).then(_YEARS_IN_SPELL),
    ),
    Feature(
        "falls_per_year",
        "falls/year",
        "earlier files",
        "The trend since work was last found, or since the files begin; nothing before a year has passed",
        pl.when(_YEARS_IN_SPELL >= 1).then(pl.col("falls_in_spell") / _YEARS_IN_SPELL),
    ),
    Feature(
        PEERS_FALL_RATE,
        "share",
        "1, 43A, 58-60, 62 and earlier files",
        "How often others had fallen: as long in the same condition, of one material, in one state (`peers`)",
        pl.col(PEERS_FALL_RATE),
        version=PEERS_VERSION,
    ),
)
