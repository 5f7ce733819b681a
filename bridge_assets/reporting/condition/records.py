"""The figures of the condition report that need no model: the lowest-rated bridges, flags and duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake

Row: TypeAlias = dict[str, Any]

#: Bridges in the list of the lowest ratings, and flags named on the page.
LOWEST_ROWS, TOP_FLAGS = 25, 5

#: Code of item 41: closed to all traffic.
CLOSED = "K"

#: Item -> its name in the list.
_COMPONENTS = {
    "DECK_COND_058": "deck",
    "SUPERSTRUCTURE_COND_059": "superstructure",
    "SUBSTRUCTURE_COND_060": "substructure",
    "CULVERT_COND_062": "culvert",
}

#: Column of raw_bridges -> column of the list.
_COLUMNS = {
    "structure_key": "structure_key",
    "survey_year": "survey_year",
    "COUNTY_CODE_003": "county_code",
    "FACILITY_CARRIED_007": "facility_carried",
    "FEATURES_DESC_006A": "features_intersected",
    "LOCATION_009": "location",
    "YEAR_BUILT_027": "year_built",
    "ADT_029": "adt",
    "OPEN_CLOSED_POSTED_041": "posting",
    "condition": "condition",
    "condition_class": "condition_class",
    "inspection_date": "inspection_date",
    **{item: item for item in _COMPONENTS},
}


def lowest_rated(lake: Lake, survey_year: int) -> pl.DataFrame:
    """The bridges of a survey year with the lowest condition; among equals, those with the most traffic first.

    Bridges that are closed to all traffic (item 41 = K) are left out: they would fill the list, and nobody drives over
    them.

    Returns
    -------
    pl.DataFrame
        At most `LOWEST_ROWS` rows: structure_key, state_code, county_code, facility_carried, features_intersected,
        location (text as published), year_built, adt (vehicles per day), posting (code of item 41), condition (0-9),
        condition_class, inspection_date, and items 58, 59, 60 and 62 (codes).
    """
    import polars as pl

    from bridge_assets.data.records.structures import one_record_per_structure

    records = one_record_per_structure(
        lake.scan_year("raw_bridges", survey_year).with_columns(survey_year=pl.lit(survey_year))
    )
    return (
        records.filter(pl.col("condition").is_not_null(), pl.col("OPEN_CLOSED_POSTED_041").ne_missing(CLOSED))
        .select(pl.col(column).alias(name) for column, name in _COLUMNS.items())
        .with_columns(pl.col("structure_key").str.head(2).alias("state_code"))
        .sort("condition", "adt", "structure_key", descending=[False, True, False], nulls_last=True)
        .head(LOWEST_ROWS)
        .collect()
    )


def lowest_rows(lowest: pl.DataFrame) -> list[Row]:
    """The rows of `lowest_rated` for the page, with the ratings and the posting in words."""
    return [
        {**row, "ratings": _ratings(row), "posting": _posting(row["posting"])} for row in lowest.iter_rows(named=True)
    ]


def flags_and_duplicates(summary: pl.DataFrame) -> Row | None:
    """Flagged and duplicated records of the last survey year of data_quality; None if it is empty."""
    import polars as pl

    from bridge_assets.data.quality.headline import headline, top_flags

    if summary.is_empty():
        return None
    year = int(summary["survey_year"].max())  # pyright: ignore[reportArgumentType]: an integer column
    latest = summary.filter(pl.col("survey_year") == year)
    return {"survey_year": year, **headline(latest), "flags": list(top_flags(latest, TOP_FLAGS))}


def _ratings(row: Row) -> str:
    """`deck 4, superstructure 3`; an item that does not apply is left out."""
    rated = [(name, str(row[item]).lstrip("0") or "0") for item, name in _COMPONENTS.items() if row[item]]
    return ", ".join(f"{name} {code}" for name, code in rated if code.isdigit())


def _posting(code: str | None) -> str:
    """Item 41 in words; empty if the bridge is open without restriction, or the code is unknown."""
    from bridge_assets.nbi.coding_guide.codes import meaning_of

    return "" if code in (None, "A") else meaning_of("OPEN_CLOSED_POSTED_041", code) or ""
