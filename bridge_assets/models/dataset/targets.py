"""The target: what the model predicts about an inspection, by `target` and `component` in model_config.yaml.

===========  ==========================================================================================
fall         The rating is at least one point lower at the next inspection.
poor         The rating is 4 or less at the next inspection (Poor: 23 CFR 490.409), whatever it is now.
===========  ==========================================================================================

The rating is the condition (the lowest of items 58, 59, 60 and 62) or that of one component. An outcome is known where
the next inspection is within the horizon and both inspections have the rating; other inspections are not used.

The training table has the outcome in the column `fall` for either target. A regression (`task`) is trained on the
additional column `change`: the next rating minus this one, in points; negative means worse. Rises are kept as they are:
repairs are part of what the next inspection finds. Deterioration without repairs is modelled in `survival`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from bridge_assets.errors import TrainingError
from bridge_assets.nbi.derived import DAYS_PER_YEAR, POOR_MAX

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

#: Name of a regression's target in predictions.
CHANGE = "change"


def describe_target(target: str, component: str) -> str:
    """The target in words: "the condition is at least one point lower", "the deck rating is 4 or less" ..."""
    happens = {"fall": "is at least one point lower", "poor": f"is {POOR_MAX} or less", CHANGE: "changes"}
    return f"{rating_name(component)} {happens[target]}"


def rating_name(component: str) -> str:
    """The rating in words: "the condition", "the deck rating" ..."""
    return "the condition" if component == "condition" else f"the {component} rating"


def target_name(target: str, component: str) -> str:
    """Short name of the target in predictions: `fall`, `poor`, `fall of deck` ..."""
    return target if component == "condition" else f"{target} of {component}"


def describe_target_name(name: str) -> str:
    """`describe_target` for a name from `target_name`."""
    target, _, component = name.partition(" of ")
    return describe_target(target, component or "condition")


def outcomes_of(
    name: str, transitions: pl.LazyFrame, inspections: pl.LazyFrame | None, settings: ModelSettings
) -> pl.DataFrame:
    """The outcome of every inspection for a target named by `target_name`, whatever is the target in the settings.

    Parameters
    ----------
    name : str
        `fall`, `poor of deck` ...; not `change`, which has no outcome of yes or no.
    transitions, inspections, settings
        As for `with_outcomes`.

    Returns
    -------
    pl.DataFrame
        structure_key, inspection_date, fall (Boolean; null = not known).
    """
    target, _, component = name.partition(" of ")
    of_target = settings.model_copy(
        update={"target": target, "component": component or "condition", "task": "classification"}
    )
    outcomes = with_outcomes(transitions, inspections if component else None, of_target)
    return outcomes.select("structure_key", "inspection_date", "fall").collect()


def with_outcomes(transitions: pl.LazyFrame, inspections: pl.LazyFrame | None, settings: ModelSettings) -> pl.LazyFrame:
    """Every inspection with the outcome for the target in the settings.

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
        The rows of `transitions` with `fall` (Boolean; null = not known) replaced by the outcome, and added columns:
        `rating` (Float32, present rating), `years_in_rating` (Float32, years since the inspection that first found it),
        `is_now` (Boolean: the prediction of "No change"), `becomes_poor` (Boolean: the next rating is 4 or less; null
        where this one is, and where `fall` is) and, for a regression, `change` (Float32, points; null where `fall` is).
        A structure without the component has no outcome.

    Raises
    ------
    TrainingError
        If the inspections have no rating of the component.
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
        becomes_poor=pl.when(known & both & (pl.col("rating") > POOR_MAX)).then(pl.col("next_rating") <= POOR_MAX),
        is_now=pl.when(pl.col("rating").is_not_null()).then(is_now),
        **change,
    ).drop("next_rating")


def _component_ratings(inspections: pl.LazyFrame | None, component: str) -> pl.LazyFrame:
    """Rating of a component at each inspection and at the next one, and years since it took that rating."""
    column = RATING_COLUMNS[component]
    if inspections is None or column not in inspections.collect_schema():
        raise TrainingError(
            f"int_inspections has no column {column}, which component: {component} needs",
            do="build the dbt project again, or set component: condition in configs/model_config.yaml",
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
    return (until - since).dt.total_days() / DAYS_PER_YEAR
