"""Which structures are at risk of becoming Poor, for how long, and the outcome: rows for a survival model.

A structure is observed from its first inspection in the files on (left truncation: nothing is known of the years
before), and only at its inspections. Between two inspections it is at risk while its condition is 5 or more. Work that
the next inspection finds is a competing event: the interval is not used, and follow-up is censored at its beginning.
So all results describe deterioration without repairs, and assume that repaired structures would otherwise have
deteriorated like similar ones that were not repaired. A gap of more than `horizon_months` is not used either; the
structure is at risk again from its next inspection on.

Belongs here: rows and outcomes. Does not belong here: the model (`model`) and its evaluation (`evaluation`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import split_at
from bridge_assets.nbi.derived import DAYS_PER_YEAR, POOR_MAX

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import ModelSettings

#: Keys and outcome of a row, next to the features.
OUTCOME_COLUMNS = (
    "structure_key",
    "survey_year",
    "next_survey_year",
    "inspection_date",
    "next_inspection_date",
    "next_condition",
    "work_found",
)


def intervals_at_risk(features: pl.LazyFrame, transitions: pl.LazyFrame) -> pl.DataFrame:
    """One row for each interval between two inspections of a structure that is not Poor at the first one.

    Parameters
    ----------
    features : pl.LazyFrame
        bridge_features of all years, in natural units.
    transitions : pl.LazyFrame
        fct_condition_transitions. Censored inspections have no interval.

    Returns
    -------
    pl.DataFrame
        `OUTCOME_COLUMNS`; `years` (length of the interval); then the features at its beginning. Sorted by structure
        and date.
    """
    import polars as pl

    known = transitions.filter(pl.col("fall").is_not_null() & (pl.col("condition") > POOR_MAX)).select(
        "structure_key",
        pl.col("survey_year", "next_survey_year").cast(pl.Int16),
        "inspection_date",
        "next_inspection_date",
        pl.col("next_condition").cast(pl.Int8),
        "work_found",
        years=(pl.col("next_inspection_date") - pl.col("inspection_date")).dt.total_days() / DAYS_PER_YEAR,
    )
    return (
        known.join(
            features.drop("inspection_date", "STATE_CODE_001"), on=["structure_key", "survey_year"], validate="1:1"
        )
        .sort("structure_key", "inspection_date")
        .collect(engine="streaming")
    )


def split_intervals(intervals: pl.DataFrame, settings: ModelSettings) -> tuple[pl.DataFrame, int | None]:
    """Hold out the same structures as the fall model, for more years: becoming Poor takes time.

    Parameters
    ----------
    intervals : pl.DataFrame
        Result of `intervals_at_risk`.
    settings : ModelSettings
        `split.holdout_structures`, and `survival.holdout_years`; at most half of the survey years are held out.

    Returns
    -------
    intervals : pl.DataFrame
        With `split`: `train`, `holdout` or `unused`; see `dataset.split.split_at`.
    cut : int or None
        First held-out survey year; None without intervals.
    """
    import polars as pl

    years = intervals["survey_year"].unique().sort().to_list()
    if not years:
        return intervals.with_columns(split=pl.lit("unused")), None
    held_out = max(1, min(settings.survival.holdout_years, len(years) // 2))
    cut, known = years[-held_out], intervals.with_columns(fall=pl.lit(True))
    return split_at(known, cut, years[-1], settings.split.holdout_structures).drop("fall"), cut


def follow_up(intervals: pl.DataFrame) -> pl.DataFrame:
    """How long each structure was followed from each row on, and whether it became Poor.

    Parameters
    ----------
    intervals : pl.DataFrame
        Rows of `intervals_at_risk`; some may be missing: follow-up ends where the next interval is missing.

    Returns
    -------
    pl.DataFrame
        The rows in their order with `followed_years` and `became_poor`. A structure becomes Poor between two
        inspections; the midpoint is used. Otherwise follow-up is censored at the last inspection at which the
        structure was not Poor, or at the one before work was found: a row whose own interval has work was followed for
        0 years.
    """
    import polars as pl

    work = pl.col("work_found").is_not_null()
    poor = ~work & (pl.col("next_condition") <= POOR_MAX)
    continues = pl.col("inspection_date").shift(-1).over("structure_key") == pl.col("next_inspection_date")
    middle = pl.col("inspection_date") + (pl.col("next_inspection_date") - pl.col("inspection_date")) / 2
    end = pl.when(work).then("inspection_date").when(poor).then(middle).otherwise("next_inspection_date")
    ends = work | poor | ~continues.fill_null(False)
    return (
        intervals.with_columns(_end=pl.when(ends).then(end), became_poor=pl.when(ends).then(poor))
        .with_columns(pl.col("_end", "became_poor").backward_fill().over("structure_key"))
        .with_columns(followed_years=(pl.col("_end") - pl.col("inspection_date")).dt.total_days() / DAYS_PER_YEAR)
        .drop("_end")
    )


def first_row_per_structure(intervals: pl.DataFrame) -> pl.DataFrame:
    """The first row of each structure with any follow-up: one independent observation per structure."""
    import polars as pl

    followed = intervals.filter(pl.col("followed_years") > 0)
    return followed.filter(pl.col("structure_key").ne_missing(pl.col("structure_key").shift(1)))
