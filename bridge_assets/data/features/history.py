"""Features computed from the ratings and from earlier inspections."""

from __future__ import annotations

import polars as pl

from bridge_assets.data.features.base import Feature
from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS
from bridge_assets.nbi.derived import DAYS_PER_YEAR, rating

#: Columns of fct_condition_transitions with the history of a structure.
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

#: The column that `peers` adds to a record.
PEERS_FALL_RATE = "peers_fall_rate"

#: Version of that feature: increase it when `peers` groups inspections or computes the rate differently.
PEERS_VERSION = 1


def years_since_date(date: str) -> pl.Expr:
    """Years from a date to the inspection."""
    return (pl.col("inspection_date") - pl.col(date)).dt.total_days() / DAYS_PER_YEAR


#: Years for which the structure has been in its present condition.
YEARS_IN_CONDITION = years_since_date("entered_at")

_RATINGS = [rating(item) for item in CONDITION_ITEMS]
_COMPONENTS_AT_LOWEST = pl.sum_horizontal((each == pl.col("condition")).cast(pl.Int8) for each in _RATINGS)

CONDITION = (
    Feature("condition", "rating 0-9", "58-60, 62", "Lowest component rating", pl.col("condition")),
    *(
        Feature(name, "rating 0-9", item, "Rating of the component", expression)
        for name, item, expression in zip(
            ("deck", "superstructure", "substructure", "culvert_rating"),
            ("58", "59", "60", "62"),
            _RATINGS,
            strict=True,
        )
    ),
    Feature(
        "components_at_lowest",
        "count",
        "58-60, 62",
        "A drop of any one of them lowers the condition",
        _COMPONENTS_AT_LOWEST,
    ),
    Feature(
        "years_in_condition",
        "year",
        "90 and earlier files",
        "Time in the present condition",
        YEARS_IN_CONDITION,
    ),
    Feature(
        "months_since_previous",
        "month",
        "90 and earlier files",
        "Interval between inspections",
        years_since_date("previous_inspection_date") * 12,
    ),
    Feature(
        "inspection_frequency",
        "month",
        "91",
        "Planned interval to the next inspection",
        pl.col("INSPECT_FREQ_MONTHS_091"),
    ),
    Feature("falls_so_far", "count", "earlier files", "Drops in condition so far", pl.col("falls_so_far")),
    Feature(
        "rises_so_far",
        "count",
        "earlier files",
        "Rises in condition so far: repairs, and corrected ratings",
        pl.col("rises_so_far"),
    ),
)

_YEARS_IN_SPELL = years_since_date("spell_since")
HISTORY = (
    Feature(
        "condition_change_seen",
        "0/1",
        "earlier files",
        "Whether a change into the present condition is on file; if not, the time in it is a lower bound",
        pl.col("entry_seen"),
    ),
    Feature(
        "repairs_so_far",
        "count",
        "27, 106, 43, 107, 108, 113 and earlier files",
        "Inspections that found repair work (fct_component_rises)",
        pl.col("deterioration_spell") - 1,
    ),
    Feature(
        "years_since_repair",
        "year",
        "27, 106, 43, 107, 108, 113 and earlier files",
        "Years since an inspection last found repair work; missing if none did",
        pl.when(pl.col("deterioration_spell") > 1).then(_YEARS_IN_SPELL),
    ),
    Feature(
        "falls_per_year",
        "falls/year",
        "earlier files",
        "Drops per year since the last repair, or since the files begin; missing within the first year",
        pl.when(_YEARS_IN_SPELL >= 1).then(pl.col("falls_in_spell") / _YEARS_IN_SPELL),
    ),
    Feature(
        PEERS_FALL_RATE,
        "share",
        "1, 43A, 58-60, 62 and earlier files",
        "Share of similar bridges whose condition dropped: same condition and years in it, material, state (`peers`)",
        pl.col(PEERS_FALL_RATE),
        version=PEERS_VERSION,
    ),
)
