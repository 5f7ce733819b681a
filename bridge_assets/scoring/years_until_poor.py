"""Years until Poor for a table of scores, if they were computed from the same features; otherwise the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge_assets.models.survival.store import TABLE_NAME, years_until_poor_problems

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import YearTable

#: Column of bridge_predictions -> column of years_until_poor. Years are null beyond the horizon; the horizon is null if
#: no years were computed.
YEARS_COLUMNS = {
    "years_until_poor": "expected_years",
    "years_until_poor_low": "low_years",
    "years_until_poor_high": "high_years",
    "years_until_poor_horizon": "horizon_years",
}


def match_years_until_poor(years: YearTable | None, features: YearTable) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Years until Poor of the scored bridges. Missing or outdated years are not an error.

    Parameters
    ----------
    years : YearTable or None
        years_until_poor of the same survey year; None if it does not exist yet.
    features : YearTable
        bridge_features of the scored survey year.

    Returns
    -------
    table : pl.DataFrame
        structure_key and `YEARS_COLUMNS` (years Float32, horizon Int16); no rows if the years do not belong to these
        features.
    provenance : dict
        `bridges`, `digest`, `model_version` and `interval` of the years; or `bridges` (0) and `skipped_reason`.
    """
    import polars as pl

    skipped_reason = _skipped_reason(years, features)
    if years is None or skipped_reason:
        schema: dict[str, Any] = {"structure_key": pl.String, **dict.fromkeys(YEARS_COLUMNS, pl.Float32)}
        empty = pl.DataFrame(schema=schema | {"years_until_poor_horizon": pl.Int16})
        return empty, {"bridges": 0, "skipped_reason": skipped_reason}
    origin = {name: years.provenance[name] for name in ("digest", "model_version", "interval")}
    return years.table.select("structure_key", **YEARS_COLUMNS), {"bridges": years.table.height, **origin}


def _skipped_reason(years: YearTable | None, features: YearTable) -> str:
    """Why the years cannot be used for these features; empty if they can."""
    year = features.survey_year
    if years is None:
        return f"{TABLE_NAME} of {year} does not exist yet"
    if years.provenance["digest"] != years.digest:
        return f"{TABLE_NAME} of {year} does not match its provenance: a run may have been killed while writing them"
    if years.provenance["bridge_features"] != features.digest:
        return f"{TABLE_NAME} of {year} was computed from other features than those being scored"
    if problems := years_until_poor_problems(years.table, features.table):
        return f"{TABLE_NAME} of {year} is incomplete: {'; '.join(problems)}"
    return ""
