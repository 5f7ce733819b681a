"""Years until Poor beside a score: those of the same survey year and the same features, or why there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge_assets.models.survival.store import NAME, score_problems

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake

#: Column of a prediction -> that of years_until_poor. Null years lie beyond the horizon; without a horizon there are
#: none.
COLUMNS = {
    "years_until_poor": "expected_years",
    "years_until_poor_low": "low_years",
    "years_until_poor_high": "high_years",
    "years_until_poor_horizon": "horizon_years",
}


def years_beside(lake: Lake, survey_year: int, features: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Any]]:
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
        structure_key and `COLUMNS` (Float32, the horizon Int16); no rows where there is nothing that belongs to these
        features.
    note : dict
        `bridges`, `digest`, `model_version` and `interval` of the years, or `why_not`.
    """
    import polars as pl

    nothing = pl.DataFrame(
        schema={"structure_key": pl.String, **dict.fromkeys(COLUMNS, pl.Float32), "years_until_poor_horizon": pl.Int16}
    )
    if why_not := _why_not(lake, survey_year):
        return nothing, {"bridges": 0, "why_not": why_not}
    years = lake.read_year(NAME, survey_year)
    if problems := score_problems(years, features):
        return nothing, {"bridges": 0, "why_not": f"the years of {survey_year} are not whole: {'; '.join(problems)}"}
    note = lake.note(NAME, survey_year)
    kept = {name: note[name] for name in ("digest", "model_version", "interval")}
    return years.select("structure_key", **COLUMNS), {"bridges": years.height, **kept}


def _why_not(lake: Lake, survey_year: int) -> str:
    if survey_year not in lake.years(NAME) or not lake.has_note(NAME, survey_year):
        return f"{NAME} of {survey_year} has not been made"
    note = lake.note(NAME, survey_year)
    if note["digest"] != lake.digest(NAME, survey_year):
        return f"{NAME} of {survey_year} and its note do not belong together: a run may have been killed between them"
    if note["bridge_features"] != lake.digest("bridge_features", survey_year):
        return f"{NAME} of {survey_year} was made from other features than those that are scored"
    return ""
