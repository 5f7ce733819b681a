"""Quantize a scikit-learn random forest to float16.

Quantization keeps every decision, because features are on float16's grid before training (`data.features.normalization`
rounds them). A threshold that is rounded down to the grid then gives the same decision for every row. Only the leaf
values are rounded: a probability changes by at most 2**-12. Rounding thresholds to nearest would send some rows down
other branches.

Features off the grid do change decisions, and `quantize_rf` warns of it. `round_thresholds` makes the same change to
the original forest, so that its cost can be measured before anything is quantized.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import FeatureRangeError, ModelError
from bridge_assets.models.dataset.matrix import feature_matrix, feature_names
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.off_grid import breadth_first, changed_decisions, off_grid_thresholds

if TYPE_CHECKING:
    import numpy as np

#: Largest finite float16 (IEEE 754 binary16).
FLOAT16_MAX = 65504.0

#: Rounding the values of a regression to float16 may move one by this share of their standard deviation before
#: `quantize_rf` warns. Around a mean of 0 it moves them by 2**-11 of their own size, half a per cent of it at ten
#: standard deviations; much more means that the target is far from 0, or so small that float16 has few values there.
VALUE_ROUNDING_SHARE = 0.02

#: Features are numbered with 16 bits.
_MAX_FEATURES = 2**16


class QuantizationWarning(UserWarning):
    """Rounding a forest to float16 changes decisions, because its features are not on float16's grid."""


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


def quantize_rf(rf_model: Any, X_sample: Any = None) -> Float16Forest:
    """Convert the thresholds and leaf values of a fitted random forest to float16.

    Thresholds are rounded down to float16's grid, which changes no decision for features on that grid; leaf values are
    rounded to nearest. A `QuantizationWarning` says how many decisions change on the sample rows; without them, that
    the thresholds cannot come from features on the grid. It also says if rounding the values of a regression moves them
    by more than 2 % of their standard deviation.

    Parameters
    ----------
    rf_model : RandomForestClassifier or RandomForestRegressor
        Fitted, with one output. Feature names come from `feature_names_in_`; without it, they are feature_0,
        feature_1, ...
    X_sample : array of shape (n, n_features) or DataFrame, optional
        Rows as the forest will score them.

    Returns
    -------
    Float16Forest

    Raises
    ------
    TypeError
        If the model has another type, or is not fitted.
    ModelError
        If it has several outputs or more than 65,536 features, was trained on missing values, or predicts values beyond
        float16's range.
    FeatureRangeError
        If a threshold is beyond float16's range.
    FeatureError
        If the sample rows do not fit the model.
    """
    import numpy as np
    import sklearn
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.calibration.calibrated_forest import odds_of

    kind = _checked_kind(rf_model)
    names = feature_names(rf_model)
    bits, sizes, features, thresholds, leaves = [], [], [], [], []
    for number, estimator in enumerate(rf_model.estimators_):
        tree = estimator.tree_
        _check_no_missing_values(tree, number)
        _check_range(tree, number, names)
        order = breadth_first(tree.children_left, tree.children_right)
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
    forest = Float16Forest(
        leaf_bits=np.packbits(np.concatenate(bits)),
        tree_nodes=np.array(sizes, dtype=np.int32),
        feature=np.concatenate(features).astype(np.uint8 if len(names) <= 256 else np.uint16),
        threshold=np.concatenate(thresholds),
        leaf=values.astype(np.float16),
        features=names,
        classes=tuple(np.asarray(rf_model.classes_).tolist()) if classifies else (),
        task="classifier" if classifies else "regressor",
        metadata={"made_from": kind, "sklearn_version": sklearn.__version__},
        odds=odds_of(rf_model),
    )
    if message := _off_grid_message(rf_model, forest, X_sample):
        warnings.warn(message, QuantizationWarning, stacklevel=2)
    if not classifies and (message := _value_rounding_message(values, forest.leaf)):
        warnings.warn(message, QuantizationWarning, stacklevel=2)
    return forest


def round_thresholds(rf_model: Any) -> Any:
    """A copy of a scikit-learn forest with its thresholds rounded down to float16's grid.

    It decides exactly like `quantize_rf(rf_model)` for any row, on the grid or not: its accuracy or AUC beside the
    original's is the cost of the rounding, and quantizing it changes no decision.

    Parameters
    ----------
    rf_model : RandomForestClassifier or RandomForestRegressor
        Fitted, with one output.

    Returns
    -------
    RandomForestClassifier or RandomForestRegressor

    Raises
    ------
    TypeError, ModelError, FeatureRangeError
        As `quantize_rf`.
    """
    _checked_kind(rf_model)
    rounded = deepcopy(rf_model)
    for number, estimator in enumerate(rounded.estimators_):
        tree = estimator.tree_
        _check_no_missing_values(tree, number)
        _check_range(tree, number, feature_names(rf_model))
        inner = tree.children_left != -1
        tree.threshold[inner] = _round_down(tree.threshold[inner])
    return rounded


def _off_grid_message(rf_model: Any, forest: Float16Forest, X_sample: Any) -> str:
    """What rounding changes and what to do; empty if nothing is known to change."""
    import numpy as np

    remedy = (
        "What to do: train on features rounded by quantization.to_float16_grid and round the rows to be scored too, "
        "which changes no decision; or measure the cost with quantization.round_thresholds(model), the same forest "
        "with its thresholds on the grid"
    )
    if X_sample is not None:
        found = changed_decisions(rf_model, forest, feature_matrix(X_sample, forest.features))
        if not found.branches:
            return ""
        labels = f", the label of {found.labels:,}" if forest.task == "classifier" else ""
        return (
            f"float16 changes {found.branches:,} of {found.rows * found.trees:,} decisions (row and tree, "
            f"{found.branch_share:.2%}) on {found.rows:,} sample rows{labels}, and a prediction by up to "
            f"{found.largest_difference:.3g}. Their features are not on float16's grid. {remedy}"
        )
    trees = [estimator.tree_ for estimator in rf_model.estimators_]
    proven = [off_grid_thresholds(tree, _round_down(tree.threshold)) for tree in trees]
    if not (count := sum(int(each.sum()) for each in proven)):
        return ""
    columns = np.unique(np.concatenate([tree.feature[each] for tree, each in zip(trees, proven, strict=True)]))
    names = [forest.features[column] for column in columns]
    return (
        f"float16 changes decisions of this forest: at least {count:,} of its {len(forest.threshold):,} thresholds do "
        f"not come from features on float16's grid ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}). "
        f"quantize_rf(model, X_sample=rows) counts the decisions that change. {remedy}"
    )


def _value_rounding_message(values: np.ndarray, rounded: np.ndarray) -> str:
    """What rounding the values of a regression changes and what to do; empty if that is little."""
    import numpy as np

    spread, moved = float(values.std()), float(np.abs(rounded.astype(np.float64) - values).max())
    if moved <= VALUE_ROUNDING_SHARE * spread or not spread:
        return ""
    return (
        f"float16 moves a value that this forest predicts by {moved:.3g}, {moved / spread:.0%} of the standard "
        f"deviation of its values ({spread:.3g} around {values.mean():.6g}). What to do: train on a target from which "
        "its mean is subtracted and which is divided by its standard deviation, and undo that after predicting"
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
    if (count := len(feature_names(rf_model))) > _MAX_FEATURES:
        raise ModelError(
            f"the forest has {count:,} features; float16 forests number at most {_MAX_FEATURES:,}",
            do="train on fewer features",
        )
    return kind


def _round_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float16 value that is not above each threshold (minus infinity below the range)."""
    import numpy as np

    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float16)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float16(-np.inf)), nearest)


def _check_range(tree: Any, number: int, names: Sequence[str]) -> None:
    import numpy as np

    beyond = np.flatnonzero((tree.children_left != -1) & (np.abs(tree.threshold) > FLOAT16_MAX))
    if beyond.size:
        node = beyond[0]
        raise FeatureRangeError(
            f"feature {names[tree.feature[node]]}: the threshold {tree.threshold[node]:g} (tree {number}) does not fit "
            f"in float16, whose largest value is {FLOAT16_MAX:.0f}",
            do="scale the feature or take its logarithm, and train again",
        )


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
