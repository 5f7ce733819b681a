"""Who is at risk of becoming Poor, for how long, and what was seen: rows for a survival model.

A structure is seen from its first inspection in the files on (left truncation: nothing is said of the years before),
and only at its inspections. Between two of them it is at risk while its condition is 5 or more. Work that the next
inspection finds is a competing event. It ends what is known of deterioration: the interval is left out, and follow-up
is censored at its beginning. So everything here is about deterioration as long as nothing is done, and supposes that
what is repaired would otherwise have gone on like what looks the same and is not. A gap of more than `horizon_months`
is left out likewise; the structure is at risk again from its next inspection on.

Belongs here: rows and outcomes. Does not belong here: the model (`survival`), and what judges it
(`survival_evaluation`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import split_inspections
from bridge_assets.nbi.derived import DAYS_PER_YEAR, POOR_MAX
from bridge_assets.settings import SplitSettings

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import ModelSettings

#: What a row is called and what became of it; the features stand beside these.
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
    """One row for each interval between two inspections of a structure that is not Poor at the first.

    Parameters
    ----------
    features : pl.LazyFrame
        bridge_features of all years, in natural units.
    transitions : pl.LazyFrame
        fct_condition_transitions. Censored inspections have no interval.

    Returns
    -------
    pl.DataFrame
        `OUTCOME_COLUMNS`; `years` (length of the interval); then the features as of its beginning. Sorted by structure
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
    """Hold out the structures that the model of falls holds out, for longer: Poor takes years to come.

    Parameters
    ----------
    intervals : pl.DataFrame
        As `intervals_at_risk` gives them.
    settings : ModelSettings
        `split.holdout_structures`, and `survival.holdout_years`; at most half of the survey years are held out.

    Returns
    -------
    intervals : pl.DataFrame
        With `split`: `train`, `holdout` or `unused`; see `split.split_inspections`.
    cut : int or None
        First survey year held out; None without intervals.
    """
    import polars as pl

    years = intervals["survey_year"].unique().sort().to_list()
    if not years:
        return intervals.with_columns(split=pl.lit("unused")), None
    held_out = max(1, min(settings.survival.holdout_years, len(years) // 2))
    by_structure = SplitSettings(holdout_structures=settings.split.holdout_structures, holdout_years=held_out)
    split = split_inspections(intervals.with_columns(fall=pl.lit(True)), by_structure)
    return split.drop("fall"), years[-held_out]


def follow_up(intervals: pl.DataFrame) -> pl.DataFrame:
    """How long each row's structure was followed from there on, and whether it became Poor.

    Parameters
    ----------
    intervals : pl.DataFrame
        Rows of `intervals_at_risk`, of which some may be left out: follow-up ends where the next one is missing.

    Returns
    -------
    pl.DataFrame
        The rows in their order with `followed_years` and `became_poor`. Poor begins between two inspections; the middle
        between them stands for it. Otherwise follow-up is censored at the last inspection that saw the structure not
        Poor, or before work was found: rows that begin with such an interval were followed for 0 years.
    """
    import polars as pl

    work = pl.col("work_found").is_not_null()
    poor = ~work & (pl.col("next_condition") <= POOR_MAX)
    goes_on = pl.col("inspection_date").shift(-1).over("structure_key") == pl.col("next_inspection_date")
    middle = pl.col("inspection_date") + (pl.col("next_inspection_date") - pl.col("inspection_date")) / 2
    end = pl.when(work).then("inspection_date").when(poor).then(middle).otherwise("next_inspection_date")
    ends = work | poor | ~goes_on.fill_null(False)
    return (
        intervals.with_columns(_end=pl.when(ends).then(end), became_poor=pl.when(ends).then(poor))
        .with_columns(pl.col("_end", "became_poor").backward_fill().over("structure_key"))
        .with_columns(followed_years=(pl.col("_end") - pl.col("inspection_date")).dt.total_days() / DAYS_PER_YEAR)
        .drop("_end")
    )


def first_row_per_structure(intervals: pl.DataFrame) -> pl.DataFrame:
    """The first row of each structure that was followed at all: one observation each, independent of the others."""
    import polars as pl

    followed = intervals.filter(pl.col("followed_years") > 0)
    return followed.filter(pl.col("structure_key").ne_missing(pl.col("structure_key").shift(1)))
