"""Explains the probability, or the expected change, of a bridge: the contribution of each feature.

Tree SHAP values (Lundberg et al., Nature Machine Intelligence 2, 2020) of the served float16 forest, computed with the
shap library. They are exact: the base, which is the mean probability of the background rows, plus the contributions of
a bridge equals its probability. To average over a feature, the method needs the number of rows that reach each node. A
float16 forest does not store these counts for its training inspections, so the scored bridges are counted instead: a
contribution explains how a bridge differs from the others in its year.

A contribution explains the prediction of the model, not why a bridge deteriorates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.models.dataset.matrix import fall_probability_column, feature_matrix
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.tasks.tasks import task_of_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.data.features.normalization import Normalization

#: Number of reasons per prediction.
MAX_REASONS = 5

#: Reasons among them that raise the risk, where there are as many: whoever asks why a bridge is in a list wants these.
#: The others are the contributions with the largest absolute values.
RAISING_REASONS = 3

#: Largest accepted difference between base plus contributions and the served probability, as for ONNX
#: (`gate.onnx_difference`).
TOLERANCE = 1e-5

#: Added to the row count of every leaf, so that a leaf that no bridge reaches does not cause a division by zero.
_MIN_LEAF_WEIGHT = 1e-6

#: Rows processed at a time: 16 million leaf indices with 1,000 trees.
_CHUNK_ROWS = 16_384


@dataclass(frozen=True)
class ShapValues:
    """Contributions of the features to the predictions for some rows.

    Attributes
    ----------
    base : float
        Mean prediction of the background rows.
    values : np.ndarray of shape (n, n_features)
        In the unit of the prediction: for a probability, 0.041 means 4.1 percentage points.
    """

    base: float
    values: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """The predictions of the forest, shape (n,): base plus contributions."""
        return self.base + self.values.sum(axis=1)


@dataclass(frozen=True)
class Explainer:
    """The forest of a served version, or the reason why its predictions are not explained.

    Attributes
    ----------
    forest : Float16Forest or None
    skipped_reason : str
        Empty if there is a forest.
    """

    forest: Float16Forest | None
    skipped_reason: str = ""

    def explain(
        self, scored: pl.DataFrame, normalization: Normalization, selection: pl.Expr
    ) -> tuple[pl.DataFrame, dict[str, Any]]:
        """Compute reasons for some of the bridges of a survey year.

        Parameters
        ----------
        scored : pl.DataFrame
            All bridges of the year: features in natural units, `structure_key`, and the predictions
            (`Task.prediction_column`).
        normalization : Normalization
            The feature scale of the model.
        selection : pl.Expr
            True for the bridges that get reasons.

        Returns
        -------
        reasons : pl.DataFrame
            structure_key, reasons (`reasons_dtype`); no rows if there is no forest, or if it does not reproduce the
            served predictions.
        provenance : dict
            `explained` (rows), `base_value` and `forest` (checksum), or `skipped_reason`.
        """
        import numpy as np
        import polars as pl

        empty = pl.DataFrame(schema={"structure_key": pl.String, "reasons": reasons_dtype()})
        if self.forest is None:
            return empty, {"explained": 0, "skipped_reason": self.skipped_reason}
        rows = scored.filter(selection)
        found = shap_values(self.forest, normalization.transform(rows), normalization.transform(scored))
        max_difference = np.abs(found.predictions - rows[task_of_table(rows).prediction_column].to_numpy()).max(
            initial=0
        )
        if max_difference > TOLERANCE:
            return empty, {
                "explained": 0,
                "skipped_reason": f"the float16 forest {self.forest.checksum[:12]} does not reproduce the served "
                f"predictions: the largest difference is {max_difference:.6f}",
            }
        explained = pl.DataFrame(
            {"structure_key": rows["structure_key"], "reasons": _top_reasons(rows, found, self.forest)}
        )
        return explained, {"explained": rows.height, "base_value": found.base, "forest": self.forest.checksum}


def reasons_dtype() -> pl.DataType:
    """A list of feature, value (natural units, null = missing) and contribution (0.041 = 4.1 percentage points).

    The largest contribution comes first.
    """
    import polars as pl

    return pl.List(pl.Struct({"feature": pl.String, "value": pl.Float32, "contribution": pl.Float32}))


def shap_values(forest: Float16Forest, rows: Any, background: Any) -> ShapValues:
    """SHAP values of the predictions of a forest: the probability of a drop, or the value of a regression.

    Parameters
    ----------
    forest : Float16Forest
    rows : array of shape (n, n_features) or DataFrame
        Normalised features of the rows to explain.
    background : array of shape (m, n_features) or DataFrame
        Normalised features of the rows to compare with; may contain `rows`.

    Raises
    ------
    FeatureError
        See `matrix.feature_matrix`.
    """
    import numpy as np

    matrix = feature_matrix(rows, forest.features)
    reference = feature_matrix(background, forest.features)
    if not len(matrix) or not len(reference):
        return ShapValues(0.0, np.zeros(matrix.shape))
    return TreeShap(forest, reference).values(matrix)


class TreeShap:
    """SHAP values against one background, for rows that come one after another.

    Parameters
    ----------
    forest : Float16Forest
    reference : np.ndarray of shape (m, n_features), float32
        Normalised features of the rows to compare with; at least one.
    """

    def __init__(self, forest: Float16Forest, reference: np.ndarray) -> None:
        import numpy as np
        from shap import TreeExplainer

        self._forest = forest
        # shap sums over the trees. The values of each tree are divided by the number of trees: the sum is the mean.
        self._explainer: Any = TreeExplainer(
            {"trees": list(_tree_arrays(forest, reference)), "input_dtype": np.float32},  # type: ignore[arg-type]
            feature_perturbation="tree_path_dependent",
        )
        self._mean_correction = 0.0 if forest.odds is None else float(_corrections(forest, reference).mean())
        self.base = float(self._explainer.expected_value[0]) + self._mean_correction

    def values(self, matrix: np.ndarray) -> ShapValues:
        """SHAP values of rows, shape (n, n_features), float32, normalised."""
        values = self._explainer.shap_values(matrix, check_additivity=False)
        if self._forest.odds is not None:
            # The correction depends on the rating alone, so it is a contribution of the rating.
            column = self._forest.features.index(self._forest.odds.feature)
            values[:, column] += _corrections(self._forest, matrix) - self._mean_correction
        return ShapValues(self.base, values)


def _corrections(forest: Float16Forest, matrix: np.ndarray) -> np.ndarray:
    """What the odds ratios by rating add to the probability of a drop; shape (n,)."""
    mean = forest.mean_over_trees(matrix)
    corrected, of_trees = (
        fall_probability_column(each, forest.classes).astype(float) for each in (forest.corrected(mean, matrix), mean)
    )
    return corrected - of_trees


def _tree_arrays(forest: Float16Forest, reference: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    import numpy as np

    nodes, weights = forest.nodes, _node_sample_weights(forest, reference)
    values = np.zeros(len(nodes.left))
    values[nodes.is_leaf] = _leaf_predictions(forest)[nodes.leaf[nodes.is_leaf]] / forest.n_trees
    for root, size in zip(nodes.roots, forest.tree_nodes, strict=True):
        tree = slice(root, root + size)
        is_leaf = nodes.is_leaf[tree]
        left = np.where(is_leaf, -1, nodes.left[tree] - root)
        yield {
            "children_left": left,
            "children_right": np.where(is_leaf, -1, left + 1),
            "children_default": left,  # for missing values, which do not occur here
            "features": np.where(is_leaf, -1, nodes.feature[tree]),
            "thresholds": np.where(is_leaf, 0.0, nodes.threshold[tree]).astype(np.float64),
            "values": values[tree, None],
            "node_sample_weight": weights[tree],
        }


def _leaf_predictions(forest: Float16Forest) -> np.ndarray:
    """The prediction at each leaf: the probability of a drop, or the value."""
    import numpy as np

    if forest.task == "regressor":
        return forest.leaf[:, 0].astype(np.float64)
    falls = [column for column, label in enumerate(forest.classes) if label == 1]
    return forest.leaf[:, falls[0]].astype(np.float64) if falls else np.zeros(len(forest.leaf))


def _node_sample_weights(forest: Float16Forest, reference: np.ndarray) -> np.ndarray:
    """Number of rows that reach each node."""
    import numpy as np

    nodes = forest.nodes
    weights = np.where(nodes.is_leaf, _MIN_LEAF_WEIGHT, 0.0)
    for start in range(0, len(reference), _CHUNK_ROWS):
        reached = (forest.apply(reference[start : start + _CHUNK_ROWS]) + nodes.roots).ravel()
        weights += np.bincount(reached, minlength=len(weights))
    levels, level = [], nodes.roots
    while (inner := level[~nodes.is_leaf[level]]).size:
        levels.append(inner)
        level = np.concatenate([nodes.left[inner], nodes.left[inner] + 1])
    for inner in reversed(levels):
        weights[inner] = weights[nodes.left[inner]] + weights[nodes.left[inner] + 1]
    return weights


def picked_reasons(values: np.ndarray, lower_is_worse: bool = False) -> np.ndarray:
    """Which features are the reasons of each row, the largest contribution first.

    Parameters
    ----------
    values : np.ndarray of shape (n, n_features)
        Contributions.
    lower_is_worse : bool
        Whether a negative contribution raises the risk, as for the expected change of a rating.

    Returns
    -------
    np.ndarray of shape (n, MAX_REASONS) or fewer columns
        Column numbers: the `RAISING_REASONS` that raise the risk most, if they do, and the largest of the others.
    """
    import numpy as np

    size, raised = np.abs(values), -values if lower_is_worse else values
    worst = np.argsort(-raised, axis=1, kind="stable")[:, :RAISING_REASONS]
    wanted = size.copy()
    rank = np.where(np.take_along_axis(raised, worst, axis=1) > 0, np.inf, np.take_along_axis(size, worst, axis=1))
    np.put_along_axis(wanted, worst, rank, axis=1)
    picked = np.sort(np.argsort(-wanted, axis=1, kind="stable")[:, :MAX_REASONS], axis=1)
    order = np.argsort(-np.take_along_axis(size, picked, axis=1), axis=1, kind="stable")
    return np.take_along_axis(picked, order, axis=1)


def _top_reasons(rows: pl.DataFrame, found: ShapValues, forest: Float16Forest) -> pl.Series:
    import polars as pl

    picked = picked_reasons(found.values, lower_is_worse=forest.task == "regressor")
    natural = rows.select(forest.features).rows()
    return pl.Series(
        "reasons",
        [
            [
                {"feature": forest.features[each], "value": natural[row][each], "contribution": found.values[row, each]}
                for each in columns
            ]
            for row, columns in enumerate(picked.tolist())
        ],
        dtype=reasons_dtype(),
    )
