"""The text of every item as written to the files: items of a structure, of an inspection, and of a survey year."""

from __future__ import annotations

import numpy as np
import polars as pl

from bridge_assets.nbi.coding_guide.items import ITEM_NAMES
from bridge_assets.nbi.derived import CULVERT_DESIGN
from bridge_assets.nbi.sample.draws import draw_code

#: Items 6A, 7 and 9 -> column of the population. Padded inside their quotes in files until 2018.
QUOTED_ITEMS = {"FEATURES_DESC_006A": "features", "FACILITY_CARRIED_007": "facility", "LOCATION_009": "location"}
PADDED_UNTIL = 2018

NUMBER_WIDTH = 15

#: The padding of a structure number: each state uses one style for nine years, then the next. The structure is the
#: same.
NUMBER_PADDING = ("blanks after", "blanks before", "zeros before")

#: Items with the same value for every structure of the sample.
CONSTANT_ITEMS = {
    "RECORD_TYPE_005A": "1", "DIRECTION_005E": "0", "CRITICAL_FACILITY_006B": "", "TOLL_020": "3",
    "STRUCTURE_FLARED_035": "0", "NAV_VERT_CLR_MT_039": "0", "NAV_HORR_CLR_MT_040": "0", "APPR_KIND_044A": "0",
    "APPR_TYPE_044B": "00", "APPR_SPANS_046": "0", "SPEC_INSPECT_092C": "N  ", "SPEC_LAST_DATE_093C": "",
    "OTHER_STATE_CODE_098A": "", "TEMP_STRUCTURE_103": "", "FEDERAL_LANDS_105": "0", "BRIDGE_LEN_IND_112": "Y",
}  # fmt: skip

#: What states write in item 99 for a structure that is not on a border.
BLANK_NUMBERS = ("", " " * NUMBER_WIDTH, "_".ljust(NUMBER_WIDTH))

#: Items introduced with the Coding Guide of December 1995; blank in earlier files.
NEW_IN_1996 = (
    "KILOPOINT_011", "BASE_HWY_NETWORK_012", "LRS_INV_ROUTE_013A", "SUBROUTE_NO_013B", "OPR_RATING_METH_063",
    "INV_RATING_METH_065", "HIGHWAY_SYSTEM_104", "FEDERAL_LANDS_105",
)  # fmt: skip

#: Items that are also filled in for a route under the structure (record type 2); all others are blank.
ROUTE_ITEMS = (
    "STATE_CODE_001", "STRUCTURE_NUMBER_008", "DIRECTION_005E", "HIGHWAY_DISTRICT_002", "COUNTY_CODE_003",
    "PLACE_CODE_004", "FEATURES_DESC_006A", "FACILITY_CARRIED_007", "LOCATION_009", "LAT_016", "LONG_017",
    "DETOUR_KILOS_019", "TOLL_020", "YEAR_BUILT_027", "SERVICE_ON_042A", "SERVICE_UND_042B", "STRUCTURE_LEN_MT_049",
    "BRIDGE_LEN_IND_112", "FED_AGENCY",
)  # fmt: skip

#: Width of the blanks in the submission columns of the files of 2010 and 2011.
BLANKS_2010 = {
    "DATE_LAST_UPDATE": 1, "TYPE_LAST_UPDATE": 16, "DEDUCT_CODE": 1, "REMARKS": 2, "PROGRAM_CODE": 1, "PROJ_NO": 4,
    "PROJ_SUFFIX": 7, "NBI_TYPE_OF_IMP": 1, "DTL_TYPE_OF_IMP": 2, "SPECIAL_CODE": 2, "STEP_CODE": 1,
    "SUFFICIENCY_ASTERC": 5,
}  # fmt: skip


def format_decimal(value: pl.Expr | str, digits: int = 1) -> pl.Expr:
    """A number as written in the files: `7.3`, `16`, `0`, without trailing zeros."""
    number = pl.col(value) if isinstance(value, str) else value
    return number.round(digits).cast(pl.String).str.strip_suffix(".0")


def bool_code(condition: pl.Expr) -> pl.Expr:
    """`1` or `0`."""
    return condition.cast(pl.Int8).cast(pl.String)


def choose(condition: pl.Expr, text: pl.Expr | str, other: pl.Expr | str = "") -> pl.Expr:
    """`text` where the condition is True, else `other`."""
    chosen, rest = (pl.lit(each) if isinstance(each, str) else each for each in (text, other))
    return pl.when(condition).then(chosen).otherwise(rest)


def mmyy(month: pl.Expr) -> pl.Expr:
    """A month (12 x year + month - 1) as four digits `MMYY`."""
    return (month % 12 + 1).cast(pl.String).str.zfill(2) + (month // 12 % 100).cast(pl.String).str.zfill(2)


def pack_degrees(degrees: pl.Expr, width: int) -> pl.Expr:
    """Degrees as `DDMMSSss` (width 8) or `DDDMMSSss` (9)."""
    hundredths = (degrees * 360_000).round().cast(pl.Int64)
    parts = hundredths // 360_000 * 1_000_000 + hundredths // 6000 % 60 * 10_000 + hundredths % 6000
    return parts.cast(pl.String).str.zfill(width)


def quote(text: pl.Expr, width: int, survey_year: int) -> pl.Expr:
    """A text in single quotes, with apostrophes unescaped; padded inside the quotes until 2018."""
    padded = text.str.pad_end(width) if survey_year <= PADDED_UNTIL else text
    return "'" + padded + "'"


def padded_number(survey_year: int) -> pl.Expr:
    """Item 8: the `number` of a structure, padded in the style of its state (`state_index`) and year."""
    style = (pl.col("state_index") + (survey_year - 1992) // 9) % len(NUMBER_PADDING)
    return (
        pl.when(style == 0)
        .then(pl.col("number").str.pad_end(NUMBER_WIDTH))
        .when(style == 1)
        .then(pl.col("number").str.pad_start(NUMBER_WIDTH))
        .otherwise(pl.col("number").str.zfill(NUMBER_WIDTH))
    )


def structure_items(population: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Items that no inspection changes, one row per structure; items 6A, 7 and 9 unquoted, item 8 left out.

    Parameters
    ----------
    population : pl.DataFrame
        With the columns of `draw_appraisals` and `name_structures`.
    """
    size = population.height
    drawn = pl.DataFrame(
        {
            "place": np.where(population["urban"], (1000 + 90_000 * rng.random(size)).astype(int), 0),
            "kilopoint": (80 * rng.random(size) ** 2).round(3),
            "level": draw_code(rng, {"1": 88, "0": 8, "7": 2, "8": 2}, size),
            "through_clearance": (4.2 + 1.2 * rng.random(size)).round(2),
            "historic": draw_code(rng, {"5": 70, "4": 20, "3": 7, "2": 3}, size),
            "side": draw_code(rng, {"R": 1, "L": 1}, size),
            "lanes_under": draw_code(rng, {"2": 75, "4": 20, "6": 5}, size),
        }
    )
    columns = {
        **{name: pl.lit(text) for name, text in CONSTANT_ITEMS.items()},
        **_location_items(),
        **_route_items(),
        **_design_items(),
        **_dimension_items(),
        **_appraisal_items(),
    }
    frame = pl.concat([population, drawn], how="horizontal")
    return frame.select(**{name: columns[name] for name in ITEM_NAMES if name in columns})


#: The structure carries an Interstate.
_INTERSTATE = pl.col("road").is_in(["01", "11"])

#: Vertical clearance over the roadway: limited only on a through truss.
_CLEARANCE_OVER = choose(pl.col("design") == "10", format_decimal("through_clearance", 2), "99.99")

#: Feature under the structure: H highway, R railroad, N neither.
_FEATURE_UNDER = choose(pl.col("under").is_in(["1", "4", "6"]), "H", choose(pl.col("under") == "2", "R", "N"))


def _location_items() -> dict[str, pl.Expr]:
    """Where the structure is, whose it is, and who submitted the record."""
    federal = pl.col("owner").str.starts_with("6")
    return {
        "STATE_CODE_001": pl.col("state"),
        "HIGHWAY_DISTRICT_002": (pl.col("county").cast(pl.Int64) // 2 % 8 + 1).cast(pl.String).str.zfill(2),
        "COUNTY_CODE_003": pl.col("county"),
        "PLACE_CODE_004": pl.col("place").cast(pl.String).str.zfill(5),
        **{name: pl.col(column) for name, column in QUOTED_ITEMS.items()},
        "LAT_016": pack_degrees(pl.col("latitude"), 8),
        "LONG_017": pack_degrees(pl.col("degrees_west"), 9),
        "MAINTENANCE_021": pl.col("owner"),
        "OWNER_022": pl.col("owner"),
        "OTHER_STATE_PCNT_098B": choose(pl.col("state_index") % 2 == 0, "", "0"),
        "OTHR_STATE_STRUC_NO_099": (pl.col("state_index") % 3).replace_strict(dict(enumerate(BLANK_NUMBERS))),
        "FED_AGENCY": choose(federal, "Y", "N"),
        "SUBMITTED_BY": choose(federal, pl.col("owner"), pl.col("state")),
    }


def _route_items() -> dict[str, pl.Expr]:
    """The route on the structure, its traffic, and the lanes under it."""
    on_base_network = pl.col("major")
    return {
        "ROUTE_PREFIX_005B": pl.col("prefix"),
        "SERVICE_LEVEL_005C": pl.col("level"),
        "ROUTE_NUMBER_005D": pl.col("route_number"),
        "KILOPOINT_011": format_decimal("kilopoint", 3),
        "BASE_HWY_NETWORK_012": bool_code(on_base_network),
        "LRS_INV_ROUTE_013A": choose(on_base_network, pl.col("route_number").str.zfill(10)),
        "SUBROUTE_NO_013B": choose(on_base_network, "0"),
        "DETOUR_KILOS_019": pl.col("detour").cast(pl.String),
        "FUNCTIONAL_CLASS_026": pl.col("road"),
        "TRAFFIC_LANES_ON_028A": pl.col("lanes").cast(pl.String),
        "TRAFFIC_LANES_UND_028B": choose(_FEATURE_UNDER == "H", pl.col("lanes_under"), "0"),
        "MEDIAN_CODE_033": choose(pl.col("lanes") >= 4, "2", "0"),
        "SERVICE_ON_042A": choose(pl.col("curb") > 1, "5", "1"),
        "SERVICE_UND_042B": pl.col("under"),
        "STRAHNET_HIGHWAY_100": bool_code(_INTERSTATE),
        "PARALLEL_STRUCTURE_101": choose(_INTERSTATE, pl.col("side"), "N"),
        "TRAFFIC_DIRECTION_102": choose(_INTERSTATE, "1", choose(pl.col("lanes") == 1, "3", "2")),
        "HIGHWAY_SYSTEM_104": bool_code(pl.col("road").is_in(["01", "02", "11", "12", "14"])),
        "PERCENT_ADT_TRUCK_109": pl.col("truck_percent").cast(pl.String),
        "NATIONAL_NETWORK_110": bool_code(_INTERSTATE),
    }


def _design_items() -> dict[str, pl.Expr]:
    """Age, design and materials of the structure."""
    return {
        "YEAR_BUILT_027": pl.col("built").cast(pl.String),
        "DESIGN_LOAD_031": pl.col("design_load"),
        "HISTORY_037": choose(pl.col("built") < 1950, pl.col("historic"), "5"),
        "STRUCTURE_KIND_043A": pl.col("kind"),
        "STRUCTURE_TYPE_043B": pl.col("design"),
        "MAIN_UNIT_SPANS_045": pl.col("spans").cast(pl.String),
        "DECK_STRUCTURE_TYPE_107": pl.col("deck_type"),
        "SURFACE_TYPE_108A": pl.col("surface"),
        "MEMBRANE_TYPE_108B": pl.col("membrane"),
        "DECK_PROTECTION_108C": pl.col("protection"),
        "PIER_PROTECTION_111": choose(pl.col("over_water") & (pl.col("state_index") % 2 == 0), "1"),
    }


def _dimension_items() -> dict[str, pl.Expr]:
    """Lengths, widths, clearances and skew."""
    # The published deck area of a culvert under fill, whose deck width is 0, is length times approach width.
    width = pl.when(pl.col("deck_width") > 0).then(pl.col("deck_width")).otherwise(pl.col("approach_width"))
    return {
        "MIN_VERT_CLR_010": _CLEARANCE_OVER,
        "APPR_WIDTH_MT_032": format_decimal("approach_width"),
        "DEGREES_SKEW_034": pl.col("skew").cast(pl.String),
        "HORR_CLR_MT_047": format_decimal("clear_width"),
        "MAX_SPAN_LEN_MT_048": format_decimal("longest_span"),
        "STRUCTURE_LEN_MT_049": format_decimal("length"),
        "LEFT_CURB_MT_050A": format_decimal("curb"),
        "RIGHT_CURB_MT_050B": format_decimal("curb"),
        "ROADWAY_WIDTH_MT_051": format_decimal("roadway"),
        "DECK_WIDTH_MT_052": format_decimal("deck_width"),
        "VERT_CLR_OVER_MT_053": _CLEARANCE_OVER,
        "VERT_CLR_UND_REF_054A": _FEATURE_UNDER,
        "VERT_CLR_UND_054B": format_decimal("clearance_under", 2),
        "LAT_UND_REF_055A": _FEATURE_UNDER,
        "LAT_UND_MT_055B": format_decimal("side_clearance"),
        "LEFT_LAT_UND_MT_056": format_decimal("side_clearance"),
        "MIN_NAV_CLR_MT_116": choose(pl.col("over_water"), "0"),
        "DECK_AREA": format_decimal(pl.col("length") * width, 2),
    }


def _appraisal_items() -> dict[str, pl.Expr]:
    """Traffic safety features, waterway and appraisal codes that the sample keeps constant over the years."""
    return {
        "RAILINGS_036A": pl.col("safety").str.slice(0, 1),
        "TRANSITIONS_036B": pl.col("safety").str.slice(1, 1),
        "APPR_RAIL_036C": pl.col("safety").str.slice(2, 1),
        "APPR_RAIL_END_036D": pl.col("safety").str.slice(3, 1),
        "NAVIGATION_038": choose(pl.col("over_water"), "0", "N"),
        "CHANNEL_COND_061": pl.col("channel"),
        "OPR_RATING_METH_063": pl.col("rating_method"),
        "INV_RATING_METH_065": pl.col("rating_method"),
        "DECK_GEOMETRY_EVAL_068": pl.col("geometry"),
        "UNDCLRENCE_EVAL_069": pl.col("underclearance"),
        "WATERWAY_EVAL_071": pl.col("waterway"),
        "APPR_ROAD_EVAL_072": pl.col("alignment"),
        "SCOUR_CRITICAL_113": pl.col("scour"),
    }


def inspection_items(records: pl.DataFrame) -> pl.DataFrame:
    """Items that an inspection sets, one row per inspection.

    Parameters
    ----------
    records : pl.DataFrame
        Inspections with the columns of their structures and of `compute_evaluations`.
    """

    def rating(column: str) -> pl.Expr:
        return choose(pl.col(column) < 0, "N", pl.col(column).cast(pl.String))

    deficient = pl.col("deficient").cast(pl.String)
    year, index = pl.col("month") // 12, pl.col("structure")
    fracture = pl.col("kind").is_in(["3", "4"]) & pl.col("design").is_in(["03", "10"])
    underwater = pl.col("over_water") & (pl.col("length") > 60) & (pl.col("design") != CULVERT_DESIGN)
    diving = (year - (year + index) % 5) * 12 + 7  # every 60 months, in August
    # Some states write 0 for "never reconstructed", others leave it blank.
    never_reconstructed = choose(pl.col("state_index") % 2 == 0, "0")
    proposed = (pl.col("lowest") <= 4) | ((pl.col("lowest") == 5) & (index % 3 == 0))
    work = choose(pl.col("lowest") <= 3, "31", choose(index % 2 == 0, "35", "38"))
    cost = (pl.col("length") * pl.col("approach_width") * 2.4).round().cast(pl.Int64).clip(1)

    def if_proposed(text: pl.Expr) -> pl.Expr:
        return choose(proposed, text)

    def date_if(applies: pl.Expr, month: pl.Expr) -> pl.Expr:
        return choose(applies, mmyy(month))

    return records.select(
        ADT_029=pl.col("adt").cast(pl.String),
        YEAR_ADT_030=pl.col("adt_year").cast(pl.String),
        OPEN_CLOSED_POSTED_041=pl.col("open_posted"),
        DECK_COND_058=rating("deck"),
        SUPERSTRUCTURE_COND_059=rating("superstructure"),
        SUBSTRUCTURE_COND_060=rating("substructure"),
        CULVERT_COND_062=rating("culvert"),
        OPERATING_RATING_064=format_decimal("operating_tons"),
        INVENTORY_RATING_066=format_decimal("inventory_tons"),
        STRUCTURAL_EVAL_067=pl.col("structural").cast(pl.String),
        POSTING_EVAL_070=pl.col("posting").cast(pl.String),
        WORK_PROPOSED_075A=if_proposed(work),
        WORK_DONE_BY_075B=if_proposed(pl.lit("1")),
        IMP_LEN_MT_076=if_proposed(format_decimal("length")),
        DATE_OF_INSPECT_090=mmyy(pl.col("month")).str.strip_prefix("0"),
        INSPECT_FREQ_MONTHS_091=pl.col("frequency").cast(pl.String),
        FRACTURE_092A=choose(fracture, "Y24", "N  "),
        UNDWATER_LOOK_SEE_092B=choose(underwater, "Y60", "N  "),
        FRACTURE_LAST_DATE_093A=date_if(fracture, pl.col("month")),
        UNDWATER_LAST_DATE_093B=date_if(underwater & (diving < pl.col("month")), diving),
        BRIDGE_IMP_COST_094=if_proposed(cost.cast(pl.String)),
        ROADWAY_IMP_COST_095=if_proposed((cost // 10).cast(pl.String)),
        TOTAL_IMP_COST_096=if_proposed((cost + cost // 10).cast(pl.String)),
        YEAR_OF_IMP_097=if_proposed(year.cast(pl.String)),
        YEAR_RECONSTRUCTED_106=choose(
            pl.col("reconstructed") > 0, pl.col("reconstructed").cast(pl.String), never_reconstructed
        ),
        FUTURE_ADT_114=(pl.col("adt") * (1 + pl.col("growth")) ** 20).round().cast(pl.Int64).cast(pl.String),
        YEAR_OF_FUTURE_ADT_115=(pl.col("adt_year") + 20).cast(pl.String),
        STATUS=deficient,
        STATUS_NO_10YR_RULE=deficient,
        STATUS_WITH_10YR_RULE=choose(pl.col("recently_built"), "0", deficient),
        SUFFICIENCY_ASTERC=choose(pl.col("design") == CULVERT_DESIGN, "*"),
        SUFFICIENCY_RATING=format_decimal("sufficiency"),
        BRIDGE_CONDITION=pl.col("condition_class"),
        LOWEST_RATING=pl.col("lowest").cast(pl.String),
    )
