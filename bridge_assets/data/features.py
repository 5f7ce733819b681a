"""The features of a bridge, declared once: name, unit, source items, reason, and the expression that makes it.

Every feature is a function of one record and of the structure's inspections up to it; nothing of the future and no
column that FHWA computes from the ratings. Missing stays missing here (null); `normalization` fills it.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from bridge_assets.nbi.decode import rating
from bridge_assets.nbi.items import CONDITION_ITEMS

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the model.

    Attributes
    ----------
    name : str
    unit : str
    source : str
        The NBI items it is made from.
    reason : str
        Why it should say something about deterioration.
    expression : pl.Expr
        Makes it from a record with the columns of `HISTORY_COLUMNS`; numeric or Boolean.
    """

    name: str
    unit: str
    source: str
    reason: str
    expression: pl.Expr


#: Columns of int_inspections that the condition features need beside the record itself.
HISTORY_COLUMNS = {
    "condition_since": pl.Date,
    "previous_inspection_date": pl.Date,
    "falls_so_far": pl.Int64,
    "rises_so_far": pl.Int64,
}


def _log10(item: str) -> pl.Expr:
    return (pl.when(pl.col(item) >= 0).then(pl.col(item)) + 1).log10()


def _one_of(item: str, *codes: str) -> pl.Expr:
    # `1` and `01` are one code; no item that is asked here has more than two digits.
    return pl.col(item).is_in([form for code in codes for form in dict.fromkeys((code, code.zfill(2)))])


def _years_since(year: pl.Expr) -> pl.Expr:
    age = pl.col("survey_year").cast(pl.Int32) - year
    return pl.when((year > 1600) & (age >= 0)).then(age)


_TRUCKS = pl.col("ADT_029") * pl.col("PERCENT_ADT_TRUCK_109") / 100
_LANES = pl.when(pl.col("TRAFFIC_LANES_ON_028A") > 0).then(pl.col("TRAFFIC_LANES_ON_028A"))
_RECONSTRUCTED = pl.when(pl.col("YEAR_RECONSTRUCTED_106") > 0).then(pl.col("YEAR_RECONSTRUCTED_106"))
_RATINGS = [rating(item) for item in CONDITION_ITEMS]
_AT_LOWEST = pl.sum_horizontal((each == pl.col("condition")).cast(pl.Int8) for each in _RATINGS)

TRAFFIC = (
    Feature("log_adt", "log10(1/day)", "29", "Load cycles and de-icing follow traffic", _log10("ADT_029")),
    Feature("log_trucks", "log10(1/day)", "29, 109", "Heavy axles do the damage", (_TRUCKS + 1).log10()),
    Feature(
        "log_adt_per_lane", "log10(1/day)", "29, 28A", "Wear of one lane", (pl.col("ADT_029") / _LANES + 1).log10()
    ),
    Feature(
        "traffic_growth",
        "log10 ratio",
        "29, 114",
        "Expected change of the load",
        _log10("FUTURE_ADT_114") - _log10("ADT_029"),
    ),
    Feature("log_detour", "log10(km)", "19", "Bridges without a detour are kept in repair", _log10("DETOUR_KILOS_019")),
    Feature(
        "on_nhs", "0/1", "104", "The National Highway System has its own funds", _one_of("HIGHWAY_SYSTEM_104", "1")
    ),
)

ENVIRONMENT = (
    Feature("latitude", "deg", "16", "Frost and de-icing salt", pl.col("latitude")),
    Feature("longitude", "deg", "17", "Climate and coast", pl.col("longitude")),
    Feature("over_water", "0/1", "42B", "Scour and moisture", _one_of("SERVICE_UND_042B", "5", "6", "7", "8", "9")),
    Feature("scour", "code 0-9", "113", "Low codes are scour critical", rating("SCOUR_CRITICAL_113")),
    Feature("channel", "rating 0-9", "61", "State of the channel", rating("CHANNEL_COND_061")),
    Feature("waterway", "rating 0-9", "71", "Chance of overtopping", rating("WATERWAY_EVAL_071")),
)

STRUCTURE = (
    Feature("age", "year", "27", "Time in the weather", _years_since(pl.col("YEAR_BUILT_027"))),
    Feature(
        "age_since_work",
        "year",
        "27, 106",
        "Time since it was built or reconstructed",
        _years_since(pl.max_horizontal(pl.col("YEAR_BUILT_027"), _RECONSTRUCTED)),
    ),
    Feature("reconstructed", "0/1", "106", "Has been reconstructed", _RECONSTRUCTED.is_not_null()),
    Feature("concrete", "0/1", "43A", "Kind of material", _one_of("STRUCTURE_KIND_043A", "1", "2")),
    Feature("steel", "0/1", "43A", "Kind of material", _one_of("STRUCTURE_KIND_043A", "3", "4")),
    Feature("prestressed", "0/1", "43A", "Kind of material", _one_of("STRUCTURE_KIND_043A", "5", "6")),
    Feature("timber", "0/1", "43A", "Kind of material", _one_of("STRUCTURE_KIND_043A", "7")),
    Feature("continuous", "0/1", "43A", "Fewer joints", _one_of("STRUCTURE_KIND_043A", "2", "4", "6")),
    Feature("culvert", "0/1", "43B", "Has no deck of its own", pl.col("is_culvert")),
    Feature("slab", "0/1", "43B", "Type of design", _one_of("STRUCTURE_TYPE_043B", "1")),
    Feature("stringer", "0/1", "43B", "Type of design", _one_of("STRUCTURE_TYPE_043B", "2")),
    Feature("truss", "0/1", "43B", "Type of design", _one_of("STRUCTURE_TYPE_043B", "9", "10")),
    Feature("log_length", "log10(m)", "49", "More to go wrong", _log10("STRUCTURE_LEN_MT_049")),
    Feature("log_max_span", "log10(m)", "48", "Longer spans move more", _log10("MAX_SPAN_LEN_MT_048")),
    Feature(
        "log_spans",
        "log10",
        "45, 46",
        "Joints",
        (pl.col("MAIN_UNIT_SPANS_045") + pl.col("APPR_SPANS_046").fill_null(0) + 1).log10(),
    ),
    Feature(
        "skew",
        "deg",
        "34",
        "Uneven bearing",
        pl.when(pl.col("DEGREES_SKEW_034") <= 90).then(pl.col("DEGREES_SKEW_034")),
    ),
    Feature(
        "deck_protected",
        "0/1",
        "108C",
        "Keeps chloride from the steel",
        _one_of("DECK_PROTECTION_108C", "1", "2", "3", "4", "5", "6", "7", "8"),
    ),
    Feature(
        "membrane", "0/1", "108B", "Keeps water out of the deck", _one_of("MEMBRANE_TYPE_108B", "1", "2", "3", "8")
    ),
    Feature("bituminous_surface", "0/1", "108A", "Hides the deck and holds water", _one_of("SURFACE_TYPE_108A", "6")),
    Feature(
        "inventory_rating",
        "t",
        "66",
        "Reserve of strength",
        pl.when(pl.col("INVENTORY_RATING_066") < 99).then(pl.col("INVENTORY_RATING_066")),
    ),
    Feature("state_owned", "0/1", "22", "State agencies maintain otherwise than counties", _one_of("OWNER_022", "1")),
)

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
    Feature("components_at_lowest", "count", "58-60, 62", "Any one of them may fall", _AT_LOWEST),
    Feature(
        "years_in_condition",
        "year",
        "90 and earlier files",
        "Time in one condition",
        (pl.col("inspection_date") - pl.col("condition_since")).dt.total_days() / DAYS_PER_YEAR,
    ),
    Feature(
        "months_since_previous",
        "month",
        "90 and earlier files",
        "Interval between inspections",
        (pl.col("inspection_date") - pl.col("previous_inspection_date")).dt.total_days() * 12 / DAYS_PER_YEAR,
    ),
    Feature("inspection_frequency", "month", "91", "Interval to the next one", pl.col("INSPECT_FREQ_MONTHS_091")),
    Feature("falls_so_far", "count", "earlier files", "Has fallen before", pl.col("falls_so_far")),
    Feature("rises_so_far", "count", "earlier files", "Has been repaired before", pl.col("rises_so_far")),
)

FEATURES: tuple[Feature, ...] = TRAFFIC + ENVIRONMENT + STRUCTURE + CONDITION
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def expressions(features: tuple[Feature, ...]) -> list[pl.Expr]:
    """The features as Float32 columns under their names; what is not finite is null."""
    columns = [feature.expression.cast(pl.Float32).alias(feature.name) for feature in features]
    return [
        pl.when(column.is_finite()).then(column).alias(feature.name)
        for column, feature in zip(columns, features, strict=True)
    ]


def record_columns() -> tuple[str, ...]:
    """The columns of a record that the features are made from, in alphabetical order."""
    asked = {name for feature in FEATURES for name in feature.expression.meta.root_names()}
    return tuple(sorted(asked - set(HISTORY_COLUMNS)))
