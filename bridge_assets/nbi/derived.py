"""Polars expressions that derive condition, class, key, date and position from the coded text of a record.

Derived columns are lower case, items upper case, so that published and computed values are easy to tell apart.
"""

from __future__ import annotations

import polars as pl

from bridge_assets.nbi.coding_guide.items import CONDITION_ITEMS

#: 23 CFR 490.409(b): Good when the lowest rating is 7 or more, Poor when it is 4 or less.
GOOD_MIN, POOR_MAX = 7, 4

#: Guam and the Northern Mariana Islands are east of Greenwich, all other states and territories of the NBI west.
EASTERN_LONGITUDE_STATES = ("66", "69")

#: American Samoa is south of the equator, all other states and territories north.
SOUTHERN_LATITUDE_STATES = ("60",)

#: Two-digit years are read as falling in the hundred years that end this many years after the survey year.
CENTURY_LOOKAHEAD = 10

#: Mean length of a Gregorian year, leap years included.
DAYS_PER_YEAR = 365.25

CULVERT_DESIGN = "19"

#: The items that `derived_columns` reads.
DECODED_ITEMS = (
    "STATE_CODE_001",
    "STRUCTURE_NUMBER_008",
    "RECORD_TYPE_005A",
    "STRUCTURE_TYPE_043B",
    *CONDITION_ITEMS,
    "DATE_OF_INSPECT_090",
    "LAT_016",
    "LONG_017",
    "YEAR_BUILT_027",
)


def rating(item: str) -> pl.Expr:
    """A condition item as Int8, 0 to 9; null for `N`, blank and anything else."""
    number = pl.col(item).cast(pl.Int8, strict=False)
    return pl.when(number.is_between(0, 9)).then(number)


def condition() -> pl.Expr:
    """The lowest of items 58, 59, 60 and 62 as Int8; null if none applies."""
    return pl.min_horizontal(*(rating(item) for item in CONDITION_ITEMS)).cast(pl.Int8)


def condition_class(value: pl.Expr) -> pl.Expr:
    """Good, Fair or Poor for a condition rating (23 CFR 490.409)."""
    return (
        pl.when(value >= GOOD_MIN)
        .then(pl.lit("Good"))
        .when(value <= POOR_MAX)
        .then(pl.lit("Poor"))
        .when(value.is_not_null())
        .then(pl.lit("Fair"))
        .otherwise(None)
    )


def structure_key() -> pl.Expr:
    """`SS-NUMBER`: the two-digit state code and the structure number without surrounding blanks and leading zeros.

    Structure numbers repeat between states, and the number of a bridge may be padded with blanks in one year and with
    zeros in another.
    """
    number = pl.col("STRUCTURE_NUMBER_008").str.strip_chars().str.strip_chars_start("0")
    number = pl.when(number == "").then(pl.lit("0")).otherwise(number)
    return pl.concat_str(pl.col("STATE_CODE_001").str.zfill(2).str.slice(0, 2), number, separator="-")


def inspection_date(survey_year: int, item: str = "DATE_OF_INSPECT_090") -> pl.Expr:
    """First day of the month in an MMYY item; null if the item is blank, 0 or not a date.

    `222` is February 2022 and `1299` December 1999. A date after the survey year is kept, so that it can be flagged.
    """
    text = pl.col(item)
    digits = pl.when((text.str.len_bytes() <= 4) & ~text.str.starts_with("+")).then(text.cast(pl.Int16, strict=False))
    month = digits // 100
    month = pl.when(month.is_between(1, 12)).then(month)
    century = survey_year // 100 * 100
    year = (digits % 100).cast(pl.Int32) + century
    latest = survey_year + CENTURY_LOOKAHEAD
    year = pl.when(year > latest).then(year - 100).when(year <= latest - 100).then(year + 100).otherwise(year)
    return pl.date(year, month, 1)


def latitude() -> pl.Expr:
    """Item 16 in decimal degrees, negative south of the equator; null if unknown or not a valid position.

    Item 16 carries no sign. The sign follows from the state (`SOUTHERN_LATITUDE_STATES`).
    """
    degrees = _degrees("LAT_016", degree_digits=2, limit=90)
    return (
        pl.when(pl.col("STATE_CODE_001").str.zfill(2).is_in(SOUTHERN_LATITUDE_STATES)).then(-degrees).otherwise(degrees)
    )


def longitude() -> pl.Expr:
    """Item 17 in decimal degrees, negative west of Greenwich; null if unknown or not a valid position.

    Item 17 carries no sign. The sign follows from the state (`EASTERN_LONGITUDE_STATES`).
    """
    degrees = _degrees("LONG_017", degree_digits=3, limit=180)
    return (
        pl.when(pl.col("STATE_CODE_001").str.zfill(2).is_in(EASTERN_LONGITUDE_STATES)).then(degrees).otherwise(-degrees)
    )


def _degrees(item: str, *, degree_digits: int, limit: int) -> pl.Expr:
    # Minutes or seconds of 60 and more occur (3.2 % of the records of one state). They are not a valid position, so the
    # value is null; the item keeps its text.
    packed = pl.col(item).cast(pl.Int64, strict=False)
    seconds = (packed % 10_000) / 100
    minutes = packed // 10_000 % 100
    degrees = packed // 1_000_000
    whole = pl.col(item).str.len_chars() <= degree_digits + 6
    valid = whole & (packed > 0) & (seconds < 60) & (minutes < 60) & (degrees < limit)
    return pl.when(valid).then(degrees + minutes / 60 + seconds / 3600)


def age(survey_year: int) -> pl.Expr:
    """Years from item 27 to the survey year, Int16; null if item 27 is blank, 0 or later than the survey year."""
    years = survey_year - pl.col("YEAR_BUILT_027")
    return pl.when((pl.col("YEAR_BUILT_027") > 0) & (years >= 0)).then(years).cast(pl.Int16)


def days_since(date: pl.Expr, survey_year: int) -> pl.Expr:
    """Days from a date to the last day of the survey year, Int32; negative for a date after it."""
    return (pl.date(survey_year, 12, 31) - date).dt.total_days().cast(pl.Int32)


def derived_columns(survey_year: int) -> list[pl.Expr]:
    """Every derived column of a record of this survey year, in order.

    Returns
    -------
    list of pl.Expr
        survey_year (Int16), structure_key (String), on_structure (Boolean: record type 1, which carries the condition),
        is_culvert (Boolean), condition (Int8), condition_class (String), inspection_date (Date),
        inspected_in_future (Boolean: dated after the survey year), days_since_inspection (Int32), age (Int16, years),
        latitude and longitude (Float64, degrees).
    """
    date = inspection_date(survey_year)
    return [
        pl.lit(survey_year, dtype=pl.Int16).alias("survey_year"),
        structure_key().alias("structure_key"),
        (pl.col("RECORD_TYPE_005A") == "1").fill_null(False).alias("on_structure"),
        (pl.col("STRUCTURE_TYPE_043B").str.zfill(2) == CULVERT_DESIGN).fill_null(False).alias("is_culvert"),
        condition().alias("condition"),
        condition_class(condition()).alias("condition_class"),
        date.alias("inspection_date"),
        (date.dt.year() > survey_year).fill_null(False).alias("inspected_in_future"),
        days_since(date, survey_year).alias("days_since_inspection"),
        age(survey_year).alias("age"),
        latitude().alias("latitude"),
        longitude().alias("longitude"),
    ]
