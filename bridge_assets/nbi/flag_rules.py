"""The flags that a record can have, each declared once: name, items, meaning, why, expression.

Belongs here: contradictions within a record, with the Coding Guide or with the survey year that a bridge engineer would
want to see before using the record. Does not belong here: rejected rows (`delimited.records`), numbers that could not
be parsed (column `unparsed`), values that are merely missing, and comparisons between years (dbt).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from bridge_assets.nbi.coding_guide.code_check import UNKNOWN_CODE_FLAG
from bridge_assets.nbi.coding_guide.state_extents import MARGIN_DEGREES, STATE_BOUNDS
from bridge_assets.nbi.derived import GOOD_MIN, POOR_MAX

#: The oldest bridge still in use in the US, Frankford Avenue over Pennypack Creek in Philadelphia, was built in 1697.
EARLIEST_YEAR_BUILT = 1697

#: Vehicles per day. The busiest US road, I-405 in Los Angeles, carries fewer than 400,000 (FHWA, Highway Statistics).
MAX_ADT = 500_000

#: Vehicles per day and lane: 2,400 passenger cars per hour, the capacity of a freeway lane (TRB, Highway Capacity
#: Manual), in every hour of the day.
MAX_ADT_PER_LANE = 2_400 * 24

#: Months. The longest interval between routine inspections (23 CFR 650.311, since 2022; 48 before).
MAX_INSPECTION_INTERVAL_MONTHS = 72

#: Metres. Lengths are rounded to 0.1 m, so that two of them may disagree by one step.
ROUNDING_TOLERANCE = 0.1001

#: Metres. A bridge under the NBIS is longer than 20 feet, 6.1 m in the files (23 CFR 650.305).
MIN_NBIS_LENGTH_M = 6.1

#: Helper column of the expressions: item 1 as a number, from the structure key, in which it always has two digits.
STATE_NUMBER = "state_number"

_RATING_CODES = tuple(f"{zero}{digit}" for zero in ("", "0") for digit in range(10))


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that can be wrong with a record.

    Attributes
    ----------
    name : str
        As written in the column `flags`.
    items : tuple of str
        The items that contradict each other, or the one that contradicts the Coding Guide. Empty: any coded item.
    meaning : str
        The problem, in one sentence.
    rationale : str
        Why it matters to an engineer.
    expression : callable, optional
        Survey year -> Boolean expression over the record and derived columns; null counts as False. None for the flags
        about codes, which `code_check` finds.
    prefilter : pl.Expr, optional
        Cheap test for the rows that can have the flag; an expensive `expression` is evaluated only on these.
    judged_by : tuple of str
        The items without which it cannot be judged, if these are not `items`.
    """

    name: str
    items: tuple[str, ...]
    meaning: str
    rationale: str
    expression: Callable[[int], pl.Expr] | None = None
    prefilter: pl.Expr | None = None
    judged_by: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The items without a column of which a file is not checked for this flag."""
        return self.judged_by or self.items

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the expressions read."""
        expressions = [each for each in (self.expression and self.expression(2000), self.prefilter) if each is not None]
        return tuple(dict.fromkeys(name for each in expressions for name in each.meta.root_names()))


def _has_rating(item: str) -> pl.Expr:
    return pl.col(item).is_in(_RATING_CODES)


def _has_value(item: str, placeholder_characters: str = "0 ") -> pl.Expr:
    """Whether the item is filled in: neither blank nor only placeholder characters."""
    return pl.col(item).is_not_null() & (pl.col(item).cast(pl.String).str.strip_chars(placeholder_characters) != "")


def _out_of_state(_: int) -> pl.Expr:
    state = pl.col(STATE_NUMBER)
    boxes = [STATE_BOUNDS.get(f"{code:02}") for code in range(256)]

    def bound(index: int) -> pl.Expr:
        return pl.lit(pl.Series([box and box[index] for box in boxes], dtype=pl.Float64)).gather(state)

    latitude, longitude = pl.col("latitude"), pl.col("longitude")
    return (
        (latitude < bound(0) - MARGIN_DEGREES)
        | (latitude > bound(1) + MARGIN_DEGREES)
        | (longitude < bound(2) - MARGIN_DEGREES)
        | (longitude > bound(3) + MARGIN_DEGREES)
    )


def _impossible_position(_: int) -> pl.Expr:
    return (_has_value("LAT_016", "09 ") & pl.col("latitude").is_null()) | (
        _has_value("LONG_017", "09 ") & pl.col("longitude").is_null()
    )


def _class_disagrees(_: int) -> pl.Expr:
    published, condition = pl.col("BRIDGE_CONDITION"), pl.col("condition").fill_null(-1)
    return (
        ((published == "G") & (condition < GOOD_MIN))
        | ((published == "F") & ~condition.is_between(POOR_MAX, GOOD_MIN, closed="none"))
        | ((published == "P") & ~condition.is_between(0, POOR_MAX))
    )


_DATE = ("DATE_OF_INSPECT_090",)
_NO_DATE = pl.col("inspection_date").is_null()
_POSITION = ("LAT_016", "LONG_017")
_COMPONENT_ITEMS = ("DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060")
_COMPONENTS_RATED = pl.any_horizontal(_has_rating(item) for item in _COMPONENT_ITEMS)
_CULVERT_RATED = _has_rating("CULVERT_COND_062")
_COMPONENTS_APPLY = pl.any_horizontal(pl.col(item) != "N" for item in _COMPONENT_ITEMS)
_CULVERT_APPLIES = pl.col("CULVERT_COND_062") != "N"
_ON_STRUCTURE = pl.col("on_structure")

_FLAGS = (
    Flag(
        "coordinate_impossible", _POSITION,
        "Item 16 or 17 is filled in but is not a valid position, for example 60 or more seconds",
        "The bridge cannot be located on a map",
        _impossible_position,
        prefilter=pl.col("latitude").is_null() | pl.col("longitude").is_null(),
    ),
    Flag(
        "coordinate_out_of_state", (*_POSITION, "STATE_CODE_001"),
        f"The position is more than {MARGIN_DEGREES} degrees outside the bridge's state",
        "Data joined by location (climate, traffic, floods) would describe another place",
        _out_of_state,
    ),
    Flag(
        "inspection_date_impossible", _DATE,
        "Item 90 is filled in but is not a valid month and year",
        "The age of the condition ratings is unknown",
        lambda _: _NO_DATE & _has_value("DATE_OF_INSPECT_090"),
        prefilter=_NO_DATE,
    ),
    Flag(
        "no_inspection_date", _DATE,
        "The bridge has condition ratings, but item 90 is blank or 0",
        "The age of the condition ratings is unknown",
        lambda _: _ON_STRUCTURE & pl.col("condition").is_not_null() & ~_has_value("DATE_OF_INSPECT_090"),
        prefilter=_NO_DATE,
    ),
    Flag(
        "inspection_in_future", _DATE,
        "Item 90 is later than the survey year",
        "The inspection had not taken place when the file was published: a wrong date or a planned inspection",
        lambda _: pl.col("inspected_in_future"),
    ),
    Flag(
        "inspection_stale", (*_DATE, "OPEN_CLOSED_POSTED_041"),
        f"Item 90 is more than {MAX_INSPECTION_INTERVAL_MONTHS} months before the survey year, and item 41 says "
        f"neither closed nor new",
        "Longer than any permitted inspection interval: the condition may have changed since",
        lambda year: (
            (pl.col("inspection_date") < pl.date(year - MAX_INSPECTION_INTERVAL_MONTHS // 12, 1, 1))
            & ~pl.col("OPEN_CLOSED_POSTED_041").is_in(("K", "G")).fill_null(False)
        ),
    ),
    Flag(
        "year_built_impossible", ("YEAR_BUILT_027",),
        f"Item 27 is 0 or earlier than {EARLIEST_YEAR_BUILT}, when the oldest bridge still in use was built",
        "The Coding Guide requires an estimate if the year is unknown; age is a main driver of deterioration",
        lambda _: pl.col("YEAR_BUILT_027") < EARLIEST_YEAR_BUILT,
    ),
    Flag(
        "built_after_survey", ("YEAR_BUILT_027",),
        "Item 27 is later than the survey year",
        "A planned bridge or a wrong year: the age would be negative",
        lambda year: pl.col("YEAR_BUILT_027") > year,
    ),
    Flag(
        "built_after_inspection", ("YEAR_BUILT_027", *_DATE),
        "Item 27 is later than the year of the inspection",
        "The ratings belong to the previous bridge, or one of the two dates is wrong",
        lambda _: pl.col("YEAR_BUILT_027") > pl.col("inspection_date").dt.year(),
    ),
    Flag(
        "reconstructed_before_built", ("YEAR_RECONSTRUCTED_106", "YEAR_BUILT_027"),
        "Item 106 is filled in and earlier than item 27",
        "One of the two years is wrong, and so may be the age",
        lambda _: pl.col("YEAR_RECONSTRUCTED_106").is_between(1, pl.col("YEAR_BUILT_027") - 1),
    ),
    Flag(
        "reconstructed_after_survey", ("YEAR_RECONSTRUCTED_106",),
        "Item 106 is later than the survey year",
        "A planned reconstruction or a wrong year",
        lambda year: pl.col("YEAR_RECONSTRUCTED_106") > year,
    ),
    Flag(
        "adt_impossible", ("ADT_029", "TRAFFIC_LANES_ON_028A"),
        f"Item 29 is negative, above {MAX_ADT:,} vehicles per day, or above {MAX_ADT_PER_LANE:,} per day and lane",
        "No road carries that much traffic: probably one digit too many",
        lambda _: (
            (pl.col("ADT_029") < 0)
            | (pl.col("ADT_029") > MAX_ADT)
            | (
                _ON_STRUCTURE
                & (pl.col("TRAFFIC_LANES_ON_028A") > 0)
                & (pl.col("ADT_029") > pl.col("TRAFFIC_LANES_ON_028A") * MAX_ADT_PER_LANE)
            )
        ),
        judged_by=("ADT_029",),
    ),
    Flag(
        "traffic_without_lanes", ("ADT_029", "TRAFFIC_LANES_ON_028A"),
        "Record type 1 with traffic in item 29 but no lanes in item 28A",
        "Traffic per lane, a cause of deck wear, cannot be computed",
        lambda _: _ON_STRUCTURE & (pl.col("TRAFFIC_LANES_ON_028A") == 0) & (pl.col("ADT_029") > 0),
    ),
    Flag(
        "truck_share_impossible", ("PERCENT_ADT_TRUCK_109",),
        "Item 109 is negative or above 100 %",
        "A share of traffic must be between 0 and 100 %",
        lambda _: ~pl.col("PERCENT_ADT_TRUCK_109").is_between(0, 100),
    ),
    Flag(
        "length_missing", ("STRUCTURE_LEN_MT_049",),
        "Record type 1 with item 49 blank, 0 or negative",
        "The bridge has no weight in figures by deck area",
        lambda _: _ON_STRUCTURE & ~(pl.col("STRUCTURE_LEN_MT_049") > 0).fill_null(False),
    ),
    Flag(
        "shorter_than_a_bridge", ("STRUCTURE_LEN_MT_049", "BRIDGE_LEN_IND_112"),
        f"Item 112 says that the bridge meets the NBIS length, but item 49 is below {MIN_NBIS_LENGTH_M} m",
        "Either the bridge does not count in the national figures, or its length is wrong",
        lambda _: (
            _ON_STRUCTURE
            & (pl.col("BRIDGE_LEN_IND_112") == "Y")
            & pl.col("STRUCTURE_LEN_MT_049").is_between(0, MIN_NBIS_LENGTH_M, closed="none")
        ),
    ),
    Flag(
        "span_longer_than_structure", ("MAX_SPAN_LEN_MT_048", "STRUCTURE_LEN_MT_049"),
        "The maximum span (item 48) is longer than the whole structure (item 49)",
        "One of the two lengths is wrong, often a mistake of units",
        lambda _: pl.col("MAX_SPAN_LEN_MT_048") > pl.col("STRUCTURE_LEN_MT_049") + ROUNDING_TOLERANCE,
    ),
    Flag(
        "deck_width_zero", ("DECK_WIDTH_MT_052", "DECK_COND_058"),
        "Item 52 is blank or 0, although item 58 rates a deck and item 43B is not a culvert",
        "The deck area would be 0; a width of 0 is only valid for culverts under fill",
        lambda _: (
            _has_rating("DECK_COND_058") & ~pl.col("is_culvert") & (pl.col("DECK_WIDTH_MT_052").fill_null(0) == 0)
        ),
        prefilter=(pl.col("DECK_WIDTH_MT_052").fill_null(0) == 0) & ~pl.col("is_culvert"),
        judged_by=("DECK_WIDTH_MT_052", "DECK_COND_058", "STRUCTURE_TYPE_043B"),
    ),
    Flag(
        "roadway_wider_than_deck", ("ROADWAY_WIDTH_MT_051", "DECK_WIDTH_MT_052"),
        "The roadway (item 51, curb to curb) is wider than the deck (item 52, out to out)",
        "One of the two widths is wrong, and so may be the deck area",
        lambda _: (
            (pl.col("DECK_WIDTH_MT_052") > 0)
            & (pl.col("ROADWAY_WIDTH_MT_051") > pl.col("DECK_WIDTH_MT_052") + ROUNDING_TOLERANCE)
        ),
    ),
    Flag(
        "no_condition", (*_COMPONENT_ITEMS, "CULVERT_COND_062"),
        "Record type 1 of NBIS length (item 112) with no rating in items 58, 59, 60 and 62",
        "The bridge cannot be classified as Good, Fair or Poor",
        lambda _: _ON_STRUCTURE & (pl.col("BRIDGE_LEN_IND_112") == "Y") & pl.col("condition").is_null(),
        judged_by=(*_COMPONENT_ITEMS, "CULVERT_COND_062", "BRIDGE_LEN_IND_112"),
    ),
    Flag(
        "culvert_and_deck_rated", ("CULVERT_COND_062", *_COMPONENT_ITEMS),
        "Item 62 (culvert) is rated, and so is at least one of items 58, 59 and 60",
        "A culvert has no deck, superstructure or substructure; the lowest of all four ratings is used",
        lambda _: _CULVERT_RATED & _COMPONENTS_RATED,
        prefilter=_CULVERT_APPLIES & _COMPONENTS_APPLY,
    ),
    Flag(
        "culvert_type_disagrees", ("STRUCTURE_TYPE_043B", "CULVERT_COND_062", *_COMPONENT_ITEMS),
        "Item 62 is rated but item 43B is not 19 (culvert), or 43B is 19 and only items 58 to 60 are rated",
        "It is unclear which ratings are valid and which structure type to compare it with",
        lambda _: pl.when(pl.col("is_culvert")).then(_COMPONENTS_RATED & ~_CULVERT_RATED).otherwise(_CULVERT_RATED),
        prefilter=_CULVERT_APPLIES ^ pl.col("is_culvert"),
    ),
    Flag(
        "class_disagrees", ("BRIDGE_CONDITION",),
        "The published condition class does not follow from items 58, 59, 60 and 62 (23 CFR 490.409)",
        "The published figures and ours disagree about this bridge",
        _class_disagrees,
        judged_by=("BRIDGE_CONDITION", *_COMPONENT_ITEMS, "CULVERT_COND_062"),
    ),
    Flag(
        "lowest_disagrees", ("LOWEST_RATING",),
        "The published lowest rating is not the lowest of items 58, 59, 60 and 62",
        "The published figures and ours disagree about this bridge",
        lambda _: pl.col("LOWEST_RATING").cast(pl.String).cast(pl.Int8, strict=False) != pl.col("condition"),
        judged_by=("LOWEST_RATING", *_COMPONENT_ITEMS, "CULVERT_COND_062"),
    ),
    Flag(
        "open_though_rated_closed", ("OPEN_CLOSED_POSTED_041", *_COMPONENT_ITEMS, "CULVERT_COND_062"),
        "The condition is 1 or 0, which means closed, but item 41 says open or posted (A, B, P, R)",
        "Inspect it first: either the bridge is unsafe or the record is wrong",
        lambda _: (
            _ON_STRUCTURE & (pl.col("condition") <= 1) & pl.col("OPEN_CLOSED_POSTED_041").is_in(("A", "B", "P", "R"))
        ),
        prefilter=pl.col("condition") <= 1,
        judged_by=("OPEN_CLOSED_POSTED_041",),
    ),
    Flag(
        "open_though_posting_required", ("OPEN_CLOSED_POSTED_041", "POSTING_EVAL_070"),
        "Item 70 (0 to 4) says that legal loads exceed the capacity, but item 41 says open without restriction",
        "Item 41 should say that the bridge is posted or closed: legal trucks may overload it",
        lambda _: (
            _ON_STRUCTURE
            & (pl.col("OPEN_CLOSED_POSTED_041") == "A")
            & pl.col("POSTING_EVAL_070").is_in(("0", "1", "2", "3", "4"))
        ),
        prefilter=(pl.col("POSTING_EVAL_070") != "5") & (pl.col("OPEN_CLOSED_POSTED_041") == "A"),
    ),
    Flag(
        "operating_below_inventory", ("OPERATING_RATING_064", "INVENTORY_RATING_066"),
        "Operating rating (item 64) below inventory rating (item 66), by the same method (items 63 and 65)",
        "The occasional load cannot be lower than the everyday load: the two are often swapped",
        lambda _: (
            (pl.col("OPR_RATING_METH_063") == pl.col("INV_RATING_METH_065"))
            & (pl.col("OPERATING_RATING_064") < pl.col("INVENTORY_RATING_066") - ROUNDING_TOLERANCE)
        ),
    ),
    Flag(
        "scour_not_applicable_over_water", ("SCOUR_CRITICAL_113", "SERVICE_UND_042B"),
        "Item 42B says that the bridge crosses water (5 to 8), but item 113 says that it does not",
        "Scour, the most frequent cause of bridge collapse, was not assessed",
        lambda _: (
            _ON_STRUCTURE
            & (pl.col("SCOUR_CRITICAL_113") == "N")
            & pl.col("SERVICE_UND_042B").is_in(("5", "6", "7", "8"))
        ),
        prefilter=(pl.col("SCOUR_CRITICAL_113") == "N") & (pl.col("SERVICE_UND_042B") != "1"),
    ),
    Flag(
        "lowercase_code", (),
        "A coded item has one of its codes in lower case, such as n for N",
        "We read it as upper case; software that compares letters exactly would miss it",
    ),
    Flag(
        UNKNOWN_CODE_FLAG, (),
        f"A coded item has a value outside its code list; written {UNKNOWN_CODE_FLAG}:ITEM, once per item",
        "A code from an older guide, a state-specific code, or a typing error",
    ),
)  # fmt: skip

#: Name -> flag, in the order in which the column `flags` lists them.
FLAGS: dict[str, Flag] = {flag.name: flag for flag in _FLAGS}
