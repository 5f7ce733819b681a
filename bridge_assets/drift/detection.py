"""`compute_ks_drift`, the public function: the Kolmogorov-Smirnov test for two pandas Series.

Belongs here: pandas in, two floats out. Does not belong here: the report of a survey year (`report`), which compares
whole tables by effect sizes with thresholds learned from the reference years.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def compute_ks_drift(ref: pd.Series, prod: pd.Series) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov test between a reference and current production data.

    Parameters
    ----------
    ref, prod : pd.Series
        Numbers or Booleans, in any order and of any length. Missing values are ignored.

    Returns
    -------
    statistic : float
        Largest distance between the two cumulative distributions, 0 (the same) to 1 (no overlap).
    p_value : float
        Chance of a distance at least as large if both came from one continuous distribution (`scipy.stats.ks_2samp`).
        For rounded or coded values it is too large, which is conservative. At national size it says nothing: with
        600,000 rows on each side, a distance of 0.0024 is significant.

    Raises
    ------
    ValueError
        If one side has no values, or values that are not numbers.
    """
    from bridge_assets.drift.kolmogorov_smirnov import ks_test

    return ks_test(_numbers(ref, "ref"), _numbers(prod, "prod"))


def _numbers(series: pd.Series, side: str) -> np.ndarray:
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    present = series.dropna()
    if present.empty:
        raise ValueError(f"{side} has no values ({len(series)} rows, all missing). What to do: compare another column")
    if not is_numeric_dtype(present.dtype) or is_complex_dtype(present.dtype):
        raise ValueError(
            f"{side} has values of type {present.dtype}, for example {present.iloc[0]!r}; a Kolmogorov-Smirnov "
            f"distance needs numbers. What to do: convert it with pandas.to_numeric, or compare another column"
        )
    return present.to_numpy(dtype=float)
