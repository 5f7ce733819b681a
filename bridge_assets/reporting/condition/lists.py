"""The three lists of the condition report: bridges that are Poor, that may become it, and Good ones losing a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from bridge_assets.scoring.batch import LIKELY_POOR, LISTS, LOSING_GOOD, POOR_NOW

if TYPE_CHECKING:
    import polars as pl

Row: TypeAlias = dict[str, Any]

#: Number of bridges in each list, over all states; each state contributes its first few.
LOOK_FIRST_ROWS = 25

#: List (`scoring.batch.LISTS`) -> which bridges, and their order.
LIST_MEANINGS = {
    POOR_NOW: "Rated 4 or less and open to traffic: the lowest rating first, then the most likely to lose a point.",
    LIKELY_POOR: "Rated 5, so one point less is Poor, and not expected to stay above it for longer than "
    "the horizon of years until Poor. The most likely to lose the point first.",
    LOSING_GOOD: "Rated 7: one point less is Fair. The most likely to lose it first.",
}

#: Reasons shown per bridge.
MAX_REASONS_SHOWN = 3


def look_first(outlook: pl.DataFrame, year: int | None) -> Row | None:
    """The first bridges of each list in each state, for the survey year or else the last scored one."""
    import polars as pl

    from bridge_assets.models.dataset.targets import describe_target_name

    if outlook.is_empty():
        return None
    scored_year = year
    scored = scored_bridges(outlook, year)
    if scored.is_empty():
        scored_year = int(outlook["survey_year"].max())  # pyright: ignore[reportArgumentType]: an integer column
        scored = scored_bridges(outlook, scored_year)
    rows_per_state = max(1, LOOK_FIRST_ROWS // max(1, scored["state_code"].n_unique()))
    first = scored.filter(pl.col("rank_in_list") <= rows_per_state).sort(
        "rank_in_list", "condition", "fall_probability", "structure_key", descending=[False, False, True, False]
    )
    # Bars are scaled to the highest probability of the lists: most probabilities are small.
    scale = max((row["fall_probability"] for row in first.iter_rows(named=True)), default=0.0) or 1.0
    rows = [_look_first_row(row, scale) for row in _years_in_words(first).iter_rows(named=True)]
    counts = dict(scored.group_by("listed_as").len().iter_rows())
    return {
        "survey_year": scored_year,
        "is_report_year": scored_year == year,
        "scored": scored.height,
        "states": scored["state_code"].n_unique(),
        "ranks": first["rank_in_list"].max(),
        "mean": scored["fall_probability"].mean(),
        "predicts": [describe_target_name(target) for target in scored["target"].drop_nulls().unique().sort()],
        "model_versions": sorted(scored["model_version"].cast(pl.String).drop_nulls().unique()),
        "rows": rows,
        "lists": [
            {
                "name": name,
                "meaning": LIST_MEANINGS[name],
                "count": counts.get(name, 0),
                "rows": [row for row in rows if row["listed_as"] == name],
            }
            for name in LISTS
        ],
    }


def _years_in_words(bridges: pl.DataFrame) -> pl.DataFrame:
    from bridge_assets.models.survival.store import format_years
    from bridge_assets.scoring.years_until_poor import YEARS_COLUMNS

    return format_years(bridges.rename(YEARS_COLUMNS))


def _look_first_row(row: Row, scale: float) -> Row:
    from bridge_assets.reporting.condition.reasons import why

    return {
        **row,
        "bar": row["fall_probability"] / scale,
        "mark": min(1.0, (row["state_fall_probability"] or 0.0) / scale),
        "reasons": why(row["reasons"], row["target"] or "fall")[:MAX_REASONS_SHOWN],
    }


def scored_bridges(outlook: pl.DataFrame, year: int | None) -> pl.DataFrame:
    """The bridges of a survey year that have a probability."""
    import polars as pl

    if outlook.is_empty():
        return outlook
    probability = pl.col("fall_probability").fill_nan(None)
    return outlook.with_columns(probability).filter(pl.col("survey_year") == year, probability.is_not_null())
