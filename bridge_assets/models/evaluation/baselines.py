"""Baselines: three simple forecasts, and two other models trained on the same rows and features.

Each gives one prediction for every held-out inspection (a probability, or for a regression an expected change in
points) and uses only the training inspections. The two models have common settings, written down here, and are not
tuned: they show what the forest adds over other methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import ModelError
from bridge_assets.models.dataset.matrix import feature_matrix
from bridge_assets.models.dataset.split import canonical_order, holdout_rows, train_rows
from bridge_assets.models.tasks.tasks import task_of_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

#: Lower bounds of the rating table's classes of years in condition. Inspections are about 24 months apart (23 CFR
#: 650.311), so each of the first three classes holds one inspection.
DURATION_CLASS_STARTS = (0, 2, 4, 6, 10)

#: Shrinkage: a cell of the rating table counts as if it had this many more inspections, falling at the rate of its
#: condition; and a condition likewise, at the overall rate. A cell of three inspections says little about the next one.
PRIOR_INSPECTIONS = 20


def baseline_forecasts(training: pl.DataFrame, features: Sequence[str] = ()) -> dict[str, np.ndarray | None]:
    """All baselines by name (`record.FORECAST_LABELS`); None where one has nothing to train on.

    Parameters
    ----------
    training : pl.DataFrame
        With the columns that each baseline needs.
    features : sequence of str
        The model's features, for the two trained models. Empty = without them.
    """
    task = task_of_table(training)
    found = {
        task.average_baseline: base_rate(training),
        "persistence": no_change(training),
        "rating_table": rating_table(training),
    }
    if features:
        found[task.linear_baseline] = linear(training, features)
        found["gradient_boosting"] = gradient_boosting(training, features)
    return found


def base_rate(training: pl.DataFrame) -> np.ndarray | None:
    """The share of training inspections that fell, or their mean change, for every row; None without any."""
    import numpy as np

    train = train_rows(training)
    if train.is_empty():
        return None
    return np.full(holdout_rows(training).height, float(task_of_table(training).outcomes(train).mean()))


def no_change(training: pl.DataFrame) -> np.ndarray:
    """ "No change": every rating stays. For the target Poor (column `is_now`), a Poor bridge stays Poor."""
    import numpy as np

    holdout = holdout_rows(training)
    if "is_now" not in holdout.columns:
        return np.zeros(holdout.height)
    return holdout["is_now"].fill_null(False).to_numpy().astype(float)


def rating_table(training: pl.DataFrame) -> np.ndarray | None:
    """The share that fell, or the mean change, by condition and years in condition.

    Where data are sparse, a cell is shrunk towards its condition.

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
        If `rating` has a value that is not a rating.
    """
    import polars as pl

    _check_unscaled(training)
    train, holdout = train_rows(training), holdout_rows(training)
    if train.is_empty():
        return None
    years = pl.col("years_in_rating")
    # A sum counts null as 0: unknown years get class 0, known ones 1 or more.
    class_of_years = pl.sum_horizontal((years >= start).cast(pl.Int8) for start in DURATION_CLASS_STARTS).alias(
        "class_of_years"
    )
    cell = [pl.col("rating").cast(pl.Int8), class_of_years]

    task = task_of_table(training)

    def share(prior: pl.Expr) -> pl.Expr:
        return (pl.col(task.label_column).sum() + PRIOR_INSPECTIONS * prior) / (pl.len() + PRIOR_INSPECTIONS)

    overall = pl.lit(float(task.outcomes(train).mean()))
    conditions = train.group_by(cell[0]).agg(of_condition=share(overall))
    cells = (
        train.select(*cell, task.label_column)
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


def linear(training: pl.DataFrame, features: Sequence[str]) -> np.ndarray | None:
    """Logistic regression, or ridge regression of the change, on the scaled features.

    The penalty is light (scikit-learn's C = 1, alpha = 1).

    Parameters
    ----------
    training : pl.DataFrame
        With `split`, `fall`, in a regression `change`, and the features, normalised.
    features : sequence of str

    Returns
    -------
    np.ndarray or None
        Shape (n_holdout,); None without training inspections of both outcomes.
    """
    return _fit_and_predict(task_of_table(training).make_linear_model(), training, features)


def gradient_boosting(training: pl.DataFrame, features: Sequence[str], seed: int = 0) -> np.ndarray | None:
    """Gradient-boosted trees (scikit-learn's histogram gradient boosting): 200 small trees with a low learning rate.

    Parameters and result are those of `linear`.
    """
    # Early stopping would validate on random rows, some of them of structures that are also trained on.
    model = task_of_table(training).make_boosted_trees(
        max_iter=200,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=40,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return _fit_and_predict(model, training, features)


def _fit_and_predict(model: Any, training: pl.DataFrame, features: Sequence[str]) -> np.ndarray | None:
    import numpy as np
    from threadpoolctl import threadpool_limits

    task, train, holdout = task_of_table(training), canonical_order(train_rows(training)), holdout_rows(training)
    if train["fall"].n_unique() < 2:
        return None
    # One thread: as fast as several on tables of this size, many times faster on a busy machine, and the same sums in
    # the same order everywhere.
    with threadpool_limits(limits=1):
        model.fit(feature_matrix(train, features), task.outcomes(train))
    if holdout.is_empty():
        return np.empty(0)
    return task.predict(model, feature_matrix(holdout, features))


def _check_unscaled(training: pl.DataFrame) -> None:
    import polars as pl

    rating = pl.col("rating").cast(pl.Float64)
    strange = training.filter((rating < 0) | (rating > 9) | (rating != rating.round()))
    if not strange.is_empty():
        raise ModelError(
            f"column rating has the value {strange['rating'][0]}, which is not a condition rating (0 to 9)",
            do="keep the condition in natural units there; the normalised feature has its own column",
        )
