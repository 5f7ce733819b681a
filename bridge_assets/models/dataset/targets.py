"""What the model is asked to foresee: the outcome of an inspection by `target` and `component` of model_config.yaml.

===========  ==========================================================================================
fall         The rating is at least one point lower at the next inspection.
poor         The rating is 4 or less at the next inspection (Poor: 23 CFR 490.409), whatever it is now.
===========  ==========================================================================================

The rating is the condition (the lowest of items 58, 59, 60 and 62) or that of one component. An outcome is known where
the next inspection lies within the horizon and rates what this one rated; the rest is no evidence.

The training table keeps the outcome in the column `fall`, whichever target it is of. A regression (`task`) learns the
column `change` beside it: the next rating minus this one, in points, so that a negative one is worse. Rises count as
they are: work done is part of what the next inspection finds. What would come if nothing were done is another question
(`survival`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from bridge_assets.errors import TrainingError

if TYPE_CHECKING:
    from bridge_assets.settings import ModelSettings

#: component -> its rating in int_inspections.
RATING_COLUMNS = {
    "condition": "condition",
    "deck": "deck_rating_058",
    "superstructure": "superstructure_rating_059",
    "substructure": "substructure_rating_060",
    "culvert": "culvert_rating_062",
}

#: Highest rating that is Poor (23 CFR 490.409).
POOR_MAX = 4

#: What a regression foresees of a fall, as predictions carry it.
CHANGE = "change"

_DAYS_PER_YEAR = 365.25


def describe_target(target: str, component: str) -> str:
    """The target in words: "the condition falls", "the deck is Poor" ..."""
    happens = {"fall": "is at least one point lower", "poor": f"is {POOR_MAX} or less", CHANGE: "changes"}
    return f"{rating_name(component)} {happens[target]}"


def rating_name(component: str) -> str:
    """Whose rating, in words: "the condition", "the deck rating" ..."""
    return "the condition" if component == "condition" else f"the {component} rating"


def target_name(target: str, component: str) -> str:
    """The target in a word or two, as predictions carry it: `fall`, `poor`, `fall of deck` ..."""
    return target if component == "condition" else f"{target} of {component}"


def describe_target_name(name: str) -> str:
    """What `describe_target` says, of the name that predictions carry."""
    target, _, component = name.partition(" of ")
    return describe_target(target, component or "condition")


def with_outcomes(transitions: pl.LazyFrame, inspections: pl.LazyFrame | None, settings: ModelSettings) -> pl.LazyFrame:
    """Every inspection with the outcome that the settings ask for.

    Parameters
    ----------
    transitions : pl.LazyFrame
        fct_condition_transitions.
    inspections : pl.LazyFrame, optional
        int_inspections; needed for component ratings only.
    settings : ModelSettings

    Returns
    -------
    pl.LazyFrame
        The transitions' rows with `fall` (Boolean; null = not known) replaced by the outcome, and `rating` (Float32, of
        what is foreseen), `years_in_rating` (Float32, years since the inspection that first saw it, of the condition
        itself from the first one that saw a change) and `is_now` (Boolean: what "same rating as now" says); for a
        regression also `change` (Float32, points; null as `fall` is). A structure without the component has no outcome.

    Raises
    ------
    TrainingError
        If the inspections hold no such component rating.
    """
    if settings.component == "condition":
        rated = transitions.with_columns(
            rating=pl.col("condition"),
            next_rating=pl.col("next_condition"),
            years_in_rating=_years_between(pl.col("entered_at"), pl.col("inspection_date")),
        )
    else:
        rated = transitions.join(
            _component_ratings(inspections, settings.component), on=["structure_key", "inspection_date"], how="left"
        )
    known = pl.col("outcome") != "censored"
    if settings.target == "fall":
        label, is_now = pl.col("next_rating") < pl.col("rating"), pl.lit(False)
    else:
        label, is_now = pl.col("next_rating") <= POOR_MAX, pl.col("rating") <= POOR_MAX
    both = pl.col("rating").is_not_null() & pl.col("next_rating").is_not_null()
    points = pl.col("next_rating").cast(pl.Float32) - pl.col("rating").cast(pl.Float32)
    change = {"change": pl.when(known & both).then(points)} if settings.task == "regression" else {}
    return rated.with_columns(
        pl.col("rating").cast(pl.Float32),
        pl.col("years_in_rating").cast(pl.Float32),
        fall=pl.when(known & both).then(label),
        is_now=pl.when(pl.col("rating").is_not_null()).then(is_now),
        **change,
    ).drop("next_rating")


def _component_ratings(inspections: pl.LazyFrame | None, component: str) -> pl.LazyFrame:
    """Rating of a component at each inspection and at the next one, and the years that it has had it."""
    column = RATING_COLUMNS[component]
    if inspections is None or column not in inspections.collect_schema():
        raise TrainingError(
            f"int_inspections has no column {column}, so that nothing can be learnt about the {component}. What to do: "
            f"build the dbt project again, or set component: condition in configs/model_config.yaml"
        )
    rating = pl.col("rating")
    changed = rating.ne_missing(rating.shift(1)).over("structure_key", order_by="inspection_date")
    begins = pl.when(changed).then(pl.col("inspection_date"))
    return (
        inspections.select("structure_key", "inspection_date", rating=pl.col(column).cast(pl.Int8, strict=False))
        .with_columns(begins.alias("begins"))
        .with_columns(
            next_rating=rating.shift(-1).over("structure_key", order_by="inspection_date"),
            since=pl.col("begins").forward_fill().over("structure_key", order_by="inspection_date"),
        )
        .with_columns(years_in_rating=_years_between(pl.col("since"), pl.col("inspection_date")))
        .drop("begins", "since")
    )


def _years_between(since: pl.Expr, until: pl.Expr) -> pl.Expr:
    return (until - since).dt.total_days() / _DAYS_PER_YEAR
