"""The sheet of bridges: sorted by state and look-first rank, names beside codes, rounded, and years in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bridge_assets.nbi.coding_guide.codes import STATE_NAMES, codes_of
from bridge_assets.nbi.coding_guide.counties import county_names
from bridge_assets.reporting.condition.reasons import why_text
from bridge_assets.reporting.outlook.columns import TITLES

if TYPE_CHECKING:
    import polars as pl

#: Column of a code -> the item that it is of.
CODED = {
    "owner": "OWNER_022",
    "material": "STRUCTURE_KIND_043A",
    "design": "STRUCTURE_TYPE_043B",
    "posting": "OPEN_CLOSED_POSTED_041",
}

#: Decimals. A ten-thousandth of a probability is far below what the model knows; 0.000001 degrees are 11 cm.
DECIMALS = {
    "fall_probability": 4,
    "state_fall_probability": 4,
    "years_until_poor": 1,
    "years_until_poor_low": 1,
    "years_until_poor_high": 1,
    "latitude": 6,
    "longitude": 6,
}


def bridge_sheet(
    outlook: pl.DataFrame,
    sources: Mapping[int, str],
    address: Callable[[str], str | None] = lambda structure_key: None,
) -> pl.DataFrame:
    """The table of the sheet, one row per bridge.

    Parameters
    ----------
    outlook : pl.DataFrame
        mart_bridge_outlook.
    sources : mapping
        Survey year -> where its records come from.
    address : callable, optional
        structure_key -> address of the bridge's page, None if no dashboard is configured.

    Returns
    -------
    pl.DataFrame
        The columns of `columns.TITLES`. Codes are text with their leading zeros.
    """
    import polars as pl

    counties = county_names()
    sheet = outlook.with_columns(
        pl.col("survey_year").replace_strict(dict(sources), return_dtype=pl.String).alias("source"),
        _named("state_code", STATE_NAMES).alias("state"),
        (pl.col("state_code") + pl.col("county_code").cast(pl.String))
        .replace_strict(counties, default=None, return_dtype=pl.String)
        .alias("county"),
        *(_named(code, codes_of(item)).alias(f"{code}_name") for code, item in CODED.items()),
        _years_in_words().alias("years_until_poor_in_words"),
        pl.Series("page", [address(key) for key in outlook["structure_key"]], pl.String),
    )
    # Cast first: a Float32 rounded to 0.1234 would be 0.12340000271797180 in a sheet.
    rounded = [pl.col(name).cast(pl.Float64).round(digits) for name, digits in DECIMALS.items()]
    order = [pl.col("state_code"), pl.col("look_first_rank"), pl.col("structure_key")]
    sheet = sheet.join(_reasons_in_words(outlook), on="structure_key", how="left")
    return sheet.with_columns(rounded).sort(order, nulls_last=True).select(*TITLES)


def _reasons_in_words(outlook: pl.DataFrame) -> pl.DataFrame:
    """structure_key, why and lowered_by of the bridges that were explained: a few of each state."""
    import polars as pl

    explained = outlook.filter(pl.col("reasons").is_not_null()).select("structure_key", "reasons", "target").rows()
    return pl.DataFrame(
        [(key, why_text(*of), why_text(*of, raises=False)) for key, *of in explained],
        schema={"structure_key": pl.String, "why": pl.String, "lowered_by": pl.String},
        orient="row",
    )


def _named(column: str, names: Mapping[str, str]) -> pl.Expr:
    """What a code means; null if it is not in the guide. `1` is the same as `01` where the guide writes two digits."""
    import polars as pl

    either = {**{code.lstrip("0") or "0": name for code, name in names.items()}, **names}
    return pl.col(column).cast(pl.String).replace_strict(either, default=None, return_dtype=pl.String)


def _years_in_words() -> pl.Expr:
    """`Poor now`, `12.3`, `>= 34.2` or `> 60`; null if no years were computed."""
    import polars as pl

    computed = pl.col("years_until_poor_horizon").is_not_null()
    expected = pl.col("years_until_poor").cast(pl.Float64).round(1).cast(pl.String)
    return (
        pl.when(~computed)
        .then(None)
        .when(pl.col("condition") <= 4)
        .then(pl.lit("Poor now"))
        .when(pl.col("years_until_poor").is_null())
        .then(pl.format("> {}", "years_until_poor_horizon"))
        .when(pl.col("years_until_poor_high").is_null())
        .then(pl.format(">= {}", expected))
        .otherwise(expected)
    )
