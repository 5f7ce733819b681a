"""Adds the dirty data of real NBI files at low rates, for a reader of such files to cope with.

Every kind was seen in published files. No inspection is lost: rows are damaged, and dates falsified, only if the same
inspection is also in an earlier file of the sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from bridge_assets.nbi.sample.places import LOCATIONS_ENDING, NAMES_LATIN, ROADS_POSSESSIVE, STREAMS_POSSESSIVE
from bridge_assets.nbi.sample.texts import QUOTED_ITEMS

#: Kind of dirt -> description of the rows that have it.
DIRT_MEANINGS = {
    "apostrophe": "An unescaped apostrophe inside a quoted text",
    "closing_apostrophe": "A quoted text whose last character is an apostrophe",
    "letter_outside_ascii": "A non-ASCII letter in a name; Latin-1 in files until 2009, UTF-8 later",
    "seconds_of_60": "A coordinate with seconds of 60 or more",
    "zero_padded_number": "A structure number padded with zeros that is padded with blanks in another year",
    "blank_adt": "No average daily traffic",
    "lowercase_n": "`n` instead of `N` for deck, superstructure and substructure of a culvert",
    "future_date": "An inspection date after the survey year",
    "truncated_row": "A truncated row: fewer fields than the header",
    "embedded_comma": "A comma inside item 99: one field more than the header",
}

# Shares of the structures (for stream names, of those over water; for Spanish names, of those in two states) ...
POSSESSIVE_STREAM, POSSESSIVE_ROAD, ENDING_LOCATION, LATIN_NAME, SECONDS_OF_60 = 0.015, 0.01, 0.004, 0.015, 0.01
# ... and of the rows of a year.
BLANK_ADT, LOWERCASE_N, FUTURE_DATE = 0.003, 0.01, 0.0005

#: One row is truncated in every third file.
YEARS_BETWEEN_TRUNCATIONS = 3

#: The only embedded comma among 22 million published rows is in the file of 2024.
COMMA_YEAR = 2024
NUMBER_WITH_COMMA = "SMP 1 N, SMP 1 S"

_SPANISH_NAMES = ("08", "48")


def add_structure_dirt(texts: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Give some structures names with apostrophes or non-ASCII letters, and some invalid coordinates."""
    size = texts.height

    def draw_mask(share: float, where: pl.Series | None = None) -> pl.Series:
        chosen = pl.Series(rng.random(size) < share)
        return chosen if where is None else chosen & where

    def one_of(words: Sequence[str]) -> pl.Series:
        return pl.Series(np.array(words)[(len(words) * rng.random(size)).astype(int)])

    over_water = texts["SERVICE_UND_042B"] == "5"
    changes = {
        "FEATURES_DESC_006A": [
            (draw_mask(POSSESSIVE_STREAM, over_water), one_of(STREAMS_POSSESSIVE)),
            (draw_mask(LATIN_NAME, over_water & texts["STATE_CODE_001"].is_in(_SPANISH_NAMES)), one_of(NAMES_LATIN)),
        ],
        "FACILITY_CARRIED_007": [(draw_mask(POSSESSIVE_ROAD), one_of(ROADS_POSSESSIVE))],
        "LOCATION_009": [(draw_mask(ENDING_LOCATION), one_of(LOCATIONS_ENDING))],
        "LAT_016": [(draw_mask(SECONDS_OF_60), texts["LAT_016"].str.slice(0, 4) + _seconds_of_60(rng, size))],
    }
    for item, replacements in changes.items():
        for chosen, text in replacements:
            texts = texts.with_columns(texts[item].zip_with(~chosen, text).alias(item))
    return texts


def _seconds_of_60(rng: np.random.Generator, size: int) -> pl.Series:
    return pl.Series((6000 + 4000 * rng.random(size)).astype(int)).cast(pl.String)


def add_row_dirt(rows: pl.DataFrame, survey_year: int, years: range, rng: np.random.Generator) -> pl.DataFrame:
    """Blank some ADTs, write some `N` in lower case, and falsify some dates in the rows of a survey year.

    Parameters
    ----------
    rows : pl.DataFrame
        Item texts, and `carried` (Boolean): the same inspection is also in an earlier file of the sample.
    """
    adt_draw, n_draw, date_draw = rng.random((3, rows.height))
    on_structure = rows["RECORD_TYPE_005A"] == "1"
    counted = on_structure & pl.Series(adt_draw >= BLANK_ADT)
    lowered = on_structure & (rows["CULVERT_COND_062"] != "N") & pl.Series(n_draw < LOWERCASE_N)
    # In a file of 1999, a two-digit year cannot express a future date.
    future_dated = rows["carried"] & pl.Series(date_draw < FUTURE_DATE) & (survey_year != 1999)
    future = pl.lit(f"{1 + survey_year % 9}{(survey_year + 1) % 100:02d}")
    rows = rows.with_columns(
        pl.when(counted | ~on_structure).then(pl.col("ADT_029")).otherwise(pl.lit("")).alias("ADT_029"),
        pl.when(future_dated).then(future).otherwise(pl.col("DATE_OF_INSPECT_090")).alias("DATE_OF_INSPECT_090"),
        *(
            pl.when(lowered).then(pl.lit("n")).otherwise(pl.col(item)).alias(item)
            for item in ("DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060")
        ),
        future_date=future_dated,
    )
    row = _pick_repeated_row(rows, rng)
    if row is not None and survey_year == (COMMA_YEAR if COMMA_YEAR in years[1:] else years[-1]):
        rows[row, "OTHR_STATE_STRUC_NO_099"] = NUMBER_WITH_COMMA
    return rows


def truncate_line(
    lines: list[str], rows: pl.DataFrame, survey_year: int, years: range, rng: np.random.Generator
) -> bool:
    """Truncate one of the lines, in place, in every third file; True if a line was truncated."""
    row = _pick_repeated_row(rows, rng)
    if row is None or (survey_year - years[0]) % YEARS_BETWEEN_TRUNCATIONS != 1:
        return False
    lines[row] = lines[row][: int(len(lines[row]) * (0.2 + 0.6 * rng.random()))]
    return True


def _pick_repeated_row(rows: pl.DataFrame, rng: np.random.Generator) -> int | None:
    """A row without dirt from this year whose inspection is also in an earlier file; None if no row qualifies."""
    untouched = rows["carried"] & ~rows["future_date"] & (rows["OTHR_STATE_STRUC_NO_099"] != NUMBER_WITH_COMMA)
    candidates = untouched.arg_true()
    return int(candidates[int(len(candidates) * rng.random())]) if len(candidates) else None


def count_dirt(rows: pl.DataFrame, truncated: bool) -> dict[str, int]:
    """Rows of a survey year with each kind of dirt, by the keys of `DIRT_MEANINGS`; one row may have several."""
    names = [pl.col(item) for item in QUOTED_ITEMS]
    seconds = pl.col("LAT_016").str.slice(4, 4).cast(pl.Int64, strict=False) >= 6000
    masks = {
        "apostrophe": pl.any_horizontal(name.str.contains("'", literal=True) for name in names),
        "closing_apostrophe": pl.any_horizontal(name.str.ends_with("'") for name in names),
        "letter_outside_ascii": pl.any_horizontal(name.str.contains(r"[^\x00-\x7f]") for name in names),
        "seconds_of_60": seconds.fill_null(False),
        "zero_padded_number": pl.col("STRUCTURE_NUMBER_008").str.starts_with("0"),
        "blank_adt": (pl.col("RECORD_TYPE_005A") == "1") & (pl.col("ADT_029") == ""),
        "lowercase_n": pl.col("DECK_COND_058") == "n",
        "future_date": pl.col("future_date"),
        "embedded_comma": pl.col("OTHR_STATE_STRUC_NO_099") == NUMBER_WITH_COMMA,
    }
    counts = rows.select(**{kind: flag.sum().cast(pl.Int64) for kind, flag in masks.items()}).row(0, named=True)
    return {kind: int(truncated) if kind == "truncated_row" else counts[kind] for kind in DIRT_MEANINGS}
