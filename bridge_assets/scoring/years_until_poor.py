"""Years until Poor beside a score: those of the same survey year and the same features, or why there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge_assets.models.survival.store import TABLE_NAME, years_until_poor_problems

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake

#: Column of a prediction -> that of years_until_poor. Null years lie beyond the horizon; without a horizon there are
#: none.
YEARS_COLUMNS = {
    "years_until_poor": "expected_years",
    "years_until_poor_low": "low_years",
    "years_until_poor_high": "high_years",
    "years_until_poor_horizon": "horizon_years",
}


def load_years_until_poor(lake: Lake, survey_year: int, features: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Years until Poor of the bridges of a survey year. It is no error that there are none.

    Parameters
    ----------
    lake : Lake
    survey_year : int
    features : pl.DataFrame
        bridge_features of that year, as they are scored.

    Returns
    -------
    years : pl.DataFrame
        structure_key and `YEARS_COLUMNS` (Float32, the horizon Int16); no rows where there is nothing that belongs to
        these features.
    note : dict
        `bridges`, `digest`, `model_version` and `interval` of the years, or `skipped_reason`.
    """
    import polars as pl

    empty = pl.DataFrame(
        schema={
            "structure_key": pl.String,
            **dict.fromkeys(YEARS_COLUMNS, pl.Float32),
            "years_until_poor_horizon": pl.Int16,
        }
    )
    if skipped_reason := _skipped_reason(lake, survey_year):
        return empty, {"bridges": 0, "skipped_reason": skipped_reason}
    years = lake.read_year(TABLE_NAME, survey_year)
    if problems := years_until_poor_problems(years, features):
        return empty, {
            "bridges": 0,
            "skipped_reason": f"the years of {survey_year} are not whole: {'; '.join(problems)}",
        }
    provenance = lake.provenance(TABLE_NAME, survey_year)
    kept_provenance = {name: provenance[name] for name in ("digest", "model_version", "interval")}
    return years.select("structure_key", **YEARS_COLUMNS), {"bridges": years.height, **kept_provenance}


def _skipped_reason(lake: Lake, survey_year: int) -> str:
    if survey_year not in lake.available_years(TABLE_NAME) or not lake.has_provenance(TABLE_NAME, survey_year):
        return f"{TABLE_NAME} of {survey_year} has not been made"
    provenance = lake.provenance(TABLE_NAME, survey_year)
    if provenance["digest"] != lake.digest(TABLE_NAME, survey_year):
        return (
            f"{TABLE_NAME} of {survey_year} and its provenance do not belong together: a run may have been killed "
            "between them"
        )
    if provenance["bridge_features"] != lake.digest("bridge_features", survey_year):
        return f"{TABLE_NAME} of {survey_year} was made from other features than those that are scored"
    return ""
