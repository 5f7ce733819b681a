"""What years until Poor are held against: Kaplan-Meier by condition and years in condition, which need no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.models.evaluation.baselines import DURATION_CLASS_STARTS
from bridge_assets.models.survival.metrics import kaplan_meier

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

#: A cell of the table counts as if it held this many more structures that did as all of their condition.
_PRIOR_STRUCTURES = 20


def kaplan_meier_by_condition(train: pl.DataFrame, holdout: pl.DataFrame, horizons: tuple[int, ...]) -> np.ndarray:
    """Probability of Poor within some years by condition alone.

    Parameters
    ----------
    train : pl.DataFrame
        Rows of `survival_panel.follow_up`: each inspection is one beginning.
    holdout : pl.DataFrame
        With `condition` and `years_in_condition`.
    horizons : tuple of int
        Years.

    Returns
    -------
    np.ndarray
        Shape (len(asked), len(within)). A condition that was never seen has the probability of all.
    """
    return _predict_from_table(train, holdout, horizons, by_years=False)


def kaplan_meier_table(train: pl.DataFrame, holdout: pl.DataFrame, horizons: tuple[int, ...]) -> np.ndarray:
    """As `kaplan_meier_by_condition`, by condition and years in condition, drawn towards the condition where data are
    thin.
    """
    return _predict_from_table(train, holdout, horizons, by_years=True)


def _predict_from_table(
    train: pl.DataFrame, holdout: pl.DataFrame, horizons: tuple[int, ...], *, by_years: bool
) -> np.ndarray:
    import numpy as np

    years, poor = train["followed_years"].to_numpy(), train["became_poor"].to_numpy()
    conditions, classes = _table_cells(train)
    wanted, wanted_classes = _table_cells(holdout)
    result = np.tile(_probabilities(years, poor, horizons), (holdout.height, 1))
    for condition in np.unique(wanted):
        rows = conditions == condition
        if not rows.any():
            continue
        of_condition = _probabilities(years[rows], poor[rows], horizons)
        result[wanted == condition] = of_condition
        if not by_years:
            continue
        for each in np.unique(wanted_classes[wanted == condition]):
            cell = rows & (classes == each)
            count = int(cell.sum())
            own = _probabilities(years[cell], poor[cell], horizons) if count else of_condition
            shrunk = (count * own + _PRIOR_STRUCTURES * of_condition) / (count + _PRIOR_STRUCTURES)
            result[(wanted == condition) & (wanted_classes == each)] = shrunk
    return result


def _table_cells(table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    years = table["years_in_condition"].cast(float).fill_null(-1.0).to_numpy()
    return table["condition"].to_numpy().astype(int), np.digitize(years, DURATION_CLASS_STARTS)


def _probabilities(years: np.ndarray, poor: np.ndarray, within: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    curve = kaplan_meier(years, poor)
    return np.array([curve.poor_within(each) for each in within])
