"""The model's input: checks rows of features and turns them into one float32 matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import FeatureError

if TYPE_CHECKING:
    import numpy as np


def feature_matrix(X: Any, features: Sequence[str]) -> np.ndarray:
    """Rows as a matrix in the order of the model's features.

    Parameters
    ----------
    X : array of shape (n, len(features)), or a pandas or polars DataFrame
        An array must be in the order of `features`; the columns of a table are found by name, others are ignored.
    features : sequence of str

    Returns
    -------
    np.ndarray
        Shape (n, len(features)), float32, C order.

    Raises
    ------
    FeatureError
        If a column is missing, the number of columns is wrong, or a value is missing or infinite.
    """
    import numpy as np

    if hasattr(X, "columns"):
        if missing := [name for name in features if name not in X.columns]:
            raise FeatureError(f"the table lacks {len(missing)} of the model's features: {', '.join(missing)}")
        columns = [np.asarray(X[name], dtype=np.float32) for name in features]
        matrix = np.column_stack(columns) if columns else np.empty((len(X), 0), dtype=np.float32)
    else:
        matrix = np.asarray(X, dtype=np.float32)
        if matrix.ndim != 2 or matrix.shape[1] != len(features):
            raise FeatureError(
                f"expected rows of {len(features)} features ({_abbreviate(features)}), found an array of shape "
                f"{matrix.shape}"
            )
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = (int(index) for index in np.argwhere(~finite)[0])
        raise FeatureError(
            f"row {row}: feature {features[column]} is {matrix[row, column]}",
            do="normalise the features first, which fills missing values",
        )
    return np.ascontiguousarray(matrix)


def feature_names(model: Any) -> tuple[str, ...]:
    """The features of a fitted scikit-learn model, in order; feature_0, feature_1, ... if it has no names."""
    named = getattr(model, "feature_names_in_", None)
    return (
        tuple(f"feature_{index}" for index in range(model.n_features_in_)) if named is None else tuple(map(str, named))
    )


def fall_probability_column(probabilities: np.ndarray, classes: Sequence[Any]) -> np.ndarray:
    """Pick the probability of a fall from the class probabilities.

    Parameters
    ----------
    probabilities : np.ndarray of shape (n, len(classes))
    classes : sequence
        A fall is the class True (or 1). Without that class (no fall in training), the result is 0 for every row.

    Returns
    -------
    np.ndarray
        Shape (n,).
    """
    import numpy as np

    falls = [index for index, label in enumerate(classes) if label == 1]
    return probabilities[:, falls[0]] if falls else np.zeros(len(probabilities), dtype=probabilities.dtype)


def _abbreviate(features: Sequence[str], most: int = 4) -> str:
    return ", ".join(features[:most]) + (", ..." if len(features) > most else "")
