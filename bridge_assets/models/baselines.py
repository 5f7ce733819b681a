"""What a model is held against: forecasts that need no model.

Each gives one probability for every held-out inspection and learns from the training inspections alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.models.errors import ModelError
from bridge_assets.models.split import holdout_rows, train_rows

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

#: The rating table's classes of years in condition begin here. Inspections are about 24 months apart (23 CFR 650.311),
#: so the first three hold one inspection each.
YEARS_FROM = (0, 2, 4, 6, 10)

#: A cell of the rating table counts as if it held this many more inspections that fell at its condition's rate, and a
#: condition likewise at the rate of all: a cell of three inspections says little about the next one.
PRIOR_INSPECTIONS = 20


def base_rate(training: pl.DataFrame) -> np.ndarray | None:
    """The share of training inspections that fell, for everyone; None without training inspections."""
    import numpy as np

    train = train_rows(training)
    return None if train.is_empty() else np.full(holdout_rows(training).height, float(train["fall"].to_numpy().mean()))


def persistence(training: pl.DataFrame) -> np.ndarray:
    """ "Same rating as now": nothing falls."""
    import numpy as np

    return np.zeros(holdout_rows(training).height)


def rating_table(training: pl.DataFrame) -> np.ndarray | None:
    """The share that fell by condition and years in condition, drawn towards the condition's share where data are thin.

    Parameters
    ----------
    training : pl.DataFrame
        With `rating` (0 to 9) and `years_in_rating` (years; null where not known): condition and years in condition in
        natural units.

    Returns
    -------
    np.ndarray or None
        Shape (n_holdout,); None without training inspections.

    Raises
    ------
    ModelError
        If `rating` holds something that is no rating.
    """
    import polars as pl

    _refuse_scaled(training)
    train, holdout = train_rows(training), holdout_rows(training)
    if train.is_empty():
        return None
    years = pl.col("years_in_rating")
    # A sum takes null for 0: years that are not known have class 0, known ones 1 or more.
    class_of_years = pl.sum_horizontal((years >= start).cast(pl.Int8) for start in YEARS_FROM).alias("class_of_years")
    cell = [pl.col("rating").cast(pl.Int8), class_of_years]

    def share(prior: pl.Expr) -> pl.Expr:
        return (pl.col("fall").sum() + PRIOR_INSPECTIONS * prior) / (pl.len() + PRIOR_INSPECTIONS)

    overall = pl.lit(float(train["fall"].to_numpy().mean()))
    conditions = train.group_by(cell[0]).agg(of_condition=share(overall))
    cells = (
        train.select(*cell, "fall")
        .join(conditions, on="rating", nulls_equal=True)
        .group_by("rating", "class_of_years")
        .agg(of_cell=share(pl.col("of_condition").first()))
    )
    return (
        holdout.select(cell)
        .join(conditions, on="rating", how="left", nulls_equal=True, maintain_order="left")
        .join(cells, on=["rating", "class_of_years"], how="left", nulls_equal=True, maintain_order="left")
        .select(pl.coalesce("of_cell", "of_condition", overall))
        .to_series()
        .to_numpy()
    )


def _refuse_scaled(training: pl.DataFrame) -> None:
    import polars as pl

    rating = pl.col("rating").cast(pl.Float64)
    strange = training.filter((rating < 0) | (rating > 9) | (rating != rating.round()))
    if not strange.is_empty():
        raise ModelError(
            f"column rating holds {strange['rating'][0]}, which is no condition rating (0 to 9). What to do: keep the "
            f"condition in natural units there; the normalised feature has a column of its own"
        )
