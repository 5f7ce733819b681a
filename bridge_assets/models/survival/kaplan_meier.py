"""Baselines for years until Poor: Kaplan-Meier tables by condition and by years in condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.models.evaluation.baselines import DURATION_CLASS_STARTS
from bridge_assets.models.survival.metrics import kaplan_meier

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

#: Shrinkage: a cell of the table counts as if it had this many more structures with the average of their condition.
_PRIOR_STRUCTURES = 20


def kaplan_meier_by_condition(train: pl.DataFrame, holdout: pl.DataFrame, horizons: tuple[int, ...]) -> np.ndarray:
    """Probability of Poor within some years by condition alone.

    Parameters
    ----------
    train : pl.DataFrame
        Rows of `panel.follow_up`: follow-up starts at each inspection.
    holdout : pl.DataFrame
        With `condition` and `years_in_condition`.
    horizons : tuple of int
        Years.

    Returns
    -------
    np.ndarray
        Shape (len(holdout), len(horizons)). A condition without training rows gets the overall probability.
    """
    return _predict_from_table(train, holdout, horizons, by_years=False)


def kaplan_meier_table(train: pl.DataFrame, holdout: pl.DataFrame, horizons: tuple[int, ...]) -> np.ndarray:
    """As `kaplan_meier_by_condition`, by condition and years in condition.

    Where data are sparse, a cell is shrunk towards the probability of its condition.
    """
    return _predict_from_table(train, holdout, horizons, by_years=True)


def _predict_from_table(
    train: pl.DataFrame, holdout: pl.DataFrame, horizons: tuple[int, ...], *, by_years: bool
) -> np.ndarray:
    import numpy as np

    years, poor = train["followed_years"].to_numpy(), train["became_poor"].to_numpy()
    conditions, classes = _table_cells(train)
    holdout_conditions, holdout_classes = _table_cells(holdout)
    result = np.tile(_probabilities(years, poor, horizons), (holdout.height, 1))
    for condition in np.unique(holdout_conditions):
        rows = conditions == condition
        if not rows.any():
            continue
        of_condition = _probabilities(years[rows], poor[rows], horizons)
        result[holdout_conditions == condition] = of_condition
        if not by_years:
            continue
        for duration_class in np.unique(holdout_classes[holdout_conditions == condition]):
            cell = rows & (classes == duration_class)
            count = int(cell.sum())
            own = _probabilities(years[cell], poor[cell], horizons) if count else of_condition
            shrunk = (count * own + _PRIOR_STRUCTURES * of_condition) / (count + _PRIOR_STRUCTURES)
            result[(holdout_conditions == condition) & (holdout_classes == duration_class)] = shrunk
    return result


def _table_cells(table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    years = table["years_in_condition"].cast(float).fill_null(-1.0).to_numpy()
    return table["condition"].to_numpy().astype(int), np.digitize(years, DURATION_CLASS_STARTS)


def _probabilities(years: np.ndarray, poor: np.ndarray, horizons: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    curve = kaplan_meier(years, poor)
    return np.array([curve.poor_within(horizon) for horizon in horizons])
