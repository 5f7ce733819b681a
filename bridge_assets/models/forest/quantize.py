"""Quantize a scikit-learn random forest to float16.

Quantization keeps every decision, because features are on float16's grid before training (`data.features.normalization`
rounds them). A threshold that is rounded down to the grid then gives the same decision for every row. Only the leaf
values are rounded: a probability changes by at most 2**-12. Rounding thresholds to nearest would send some rows down
other branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import FeatureRangeError, ModelError
from bridge_assets.models.dataset.matrix import feature_names
from bridge_assets.models.forest.float16_forest import Float16Forest

if TYPE_CHECKING:
    import numpy as np

#: Largest finite float16 (IEEE 754 binary16).
FLOAT16_MAX = 65504.0


def to_float16_grid(values: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """Round every value to the nearest float16 value.

    Parameters
    ----------
    values : np.ndarray of shape (n, f)
    names : sequence of str, optional
        Names of the columns, for the error.

    Returns
    -------
    np.ndarray
        Shape (n, f), float32.

    Raises
    ------
    FeatureRangeError
        If the magnitude of a value is above 65504, or the value is not finite.
    """
    import numpy as np

    values = np.asarray(values)
    fits = np.abs(values) <= FLOAT16_MAX  # False for NaN
    if not fits.all():
        row, column = (int(index) for index in np.argwhere(~fits)[0])
        raise FeatureRangeError(
            f"feature {names[column] if names else column}: {values[row, column]} (row {row}) does not fit in float16, "
            f"whose largest value is {FLOAT16_MAX:.0f}",
            do="fill, scale or take the logarithm of the feature first",
        )
    return values.astype(np.float16).astype(np.float32)


def quantize_rf(rf_model: Any) -> Float16Forest:
    """Convert the thresholds and leaf values of a fitted random forest to float16.

    Thresholds are rounded down to float16's grid, which changes no decision for features on that grid; leaf values are
    rounded to nearest.

    Parameters
    ----------
    rf_model : RandomForestClassifier or RandomForestRegressor
        Fitted, with one output. Feature names come from `feature_names_in_`; without it, they are feature_0,
        feature_1, ...

    Returns
    -------
    Float16Forest

    Raises
    ------
    TypeError
        If the model has another type, or is not fitted.
    ModelError
        If it has several outputs, was trained on missing values, or predicts values beyond float16's range.
    """
    import numpy as np
    import sklearn
    from sklearn.ensemble import RandomForestClassifier

    kind = _checked_kind(rf_model)
    bits, sizes, features, thresholds, leaves = [], [], [], [], []
    for number, estimator in enumerate(rf_model.estimators_):
        tree = estimator.tree_
        _check_no_missing_values(tree, number)
        order = _breadth_first(tree.children_left, tree.children_right)
        is_leaf = tree.children_left[order] == -1
        inner = order[~is_leaf]
        bits.append(is_leaf)
        sizes.append(len(order))
        features.append(tree.feature[inner])
        thresholds.append(_round_down(tree.threshold[inner]))
        leaves.append(tree.value[order[is_leaf], 0, :])
    values = np.concatenate(leaves)
    if (largest := float(np.abs(values).max())) > FLOAT16_MAX:
        raise ModelError(
            f"the forest predicts {largest:g}, which does not fit in float16 (largest: {FLOAT16_MAX:.0f})",
            do="scale the target",
        )
    classifies = isinstance(rf_model, RandomForestClassifier)
    names = feature_names(rf_model)
    return Float16Forest(
        leaf_bits=np.packbits(np.concatenate(bits)),
        tree_nodes=np.array(sizes, dtype=np.int32),
        feature=np.concatenate(features).astype(np.uint8 if len(names) <= 256 else np.uint16),
        threshold=np.concatenate(thresholds),
        leaf=values.astype(np.float16),
        features=names,
        classes=tuple(np.asarray(rf_model.classes_).tolist()) if classifies else (),
        task="classifier" if classifies else "regressor",
        metadata={"made_from": kind, "sklearn_version": sklearn.__version__},
    )


def _checked_kind(rf_model: Any) -> str:
    """Module and class of a model that can be quantized; for any other, raises the errors of `quantize_rf`."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = f"{type(rf_model).__module__.split('.')[0]}.{type(rf_model).__name__}"
    if not isinstance(rf_model, RandomForestClassifier | RandomForestRegressor):
        raise TypeError(f"expected a RandomForestClassifier or RandomForestRegressor of scikit-learn, found {kind}")
    if not hasattr(rf_model, "estimators_"):
        raise TypeError(f"the {kind} is not fitted. What to do: call fit first")
    if rf_model.n_outputs_ != 1:
        raise ModelError(
            f"the forest has {rf_model.n_outputs_} outputs; float16 forests have one", do="train one forest per output"
        )
    return kind


def _breadth_first(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The nodes of a tree level by level, siblings together."""
    import numpy as np

    levels, level = [], np.array([0])
    while level.size:
        levels.append(level)
        inner = level[left[level] != -1]
        level = np.stack([left[inner], right[inner]], axis=1).ravel()
    return np.concatenate(levels)


def _round_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float16 value that is not above each threshold (minus infinity below the range)."""
    import numpy as np

    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float16)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float16(-np.inf)), nearest)


def _check_no_missing_values(tree: Any, number: int) -> None:
    # scikit-learn does not record whether the training data had missing values. Without them, each node sends a missing
    # value to the child with more samples, and no threshold is infinite; any other node was trained on missing values.
    import numpy as np

    inner = tree.children_left != -1
    samples = tree.n_node_samples
    larger_left = samples[tree.children_left[inner]] > samples[tree.children_right[inner]]
    trained_on_missing = (tree.missing_go_to_left[inner].astype(bool) != larger_left) | ~np.isfinite(
        tree.threshold[inner]
    )
    if trained_on_missing.any():
        name = int(tree.feature[inner][trained_on_missing][0])
        raise ModelError(
            f"the forest was trained on missing values (tree {number}, feature {name}); a float16 forest has no branch "
            f"for them",
            do="fill missing values before training",
        )
