"""Does rounding a forest's thresholds to float16 change decisions?

It changes none for features on float16's grid. A forest that was trained on other features shows it: scikit-learn
splits halfway between two neighbouring values of the training rows, and some thresholds cannot lie between two float16
values. This needs no rows. How many decisions change is measured on rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.models.forest.float16_forest import Float16Forest

#: All float16 values are multiples of 2**-24 (IEEE 754 binary16), with a significand of 11 bits.
_UNIT_EXPONENT, _SIGNIFICAND = 24, 2**11

#: 65504, the largest one, is 2047 * 2**29 of these units.
_LARGEST_SHIFT = 29


@dataclass(frozen=True, slots=True)
class ChangedDecisions:
    """What rounding to float16 changes on some rows.

    Attributes
    ----------
    rows, trees : int
    branches : int
        Pairs of a row and a tree in which the row reaches another leaf.
    labels : int
        Rows with another predicted class; 0 for a regression.
    largest_difference : float
        Of a probability, or of the predicted value of a regression.
    """

    rows: int
    trees: int
    branches: int
    labels: int
    largest_difference: float

    @property
    def branch_share(self) -> float:
        """Between 0 and 1."""
        return self.branches / max(1, self.rows * self.trees)


def changed_decisions(rf_model: Any, forest: Float16Forest, rows: np.ndarray) -> ChangedDecisions:
    """Compare a forest of scikit-learn with its float16 forest.

    Parameters
    ----------
    rf_model : RandomForestClassifier or RandomForestRegressor
    forest : Float16Forest
        From `quantize_rf(rf_model)`.
    rows : np.ndarray of shape (n, n_features)
        float32.
    """
    import numpy as np

    reached = forest.nodes.leaf[forest.nodes.roots + forest.apply(rows)]
    leaves = forest.nodes.leaf[np.flatnonzero(forest.nodes.is_leaf)]
    branches, first, total = 0, 0, np.zeros((len(rows), forest.leaf.shape[1]))
    for number, estimator in enumerate(rf_model.estimators_):
        tree = estimator.tree_
        order = breadth_first(tree.children_left, tree.children_right)
        in_order = order[tree.children_left[order] == -1]
        place = np.zeros(tree.node_count, dtype=np.intp)
        place[in_order] = leaves[first : first + len(in_order)]
        first += len(in_order)
        expected = tree.apply(rows)
        branches += int((reached[:, number] != place[expected]).sum())
        total += tree.value[expected, 0, :]
    mean = total / len(rf_model.estimators_)
    classifies = forest.task == "classifier"
    found = forest.predict_proba(rows) if classifies else forest.predict(rows).reshape(-1, 1)
    return ChangedDecisions(
        rows=len(rows),
        trees=forest.n_trees,
        branches=branches,
        labels=int((mean.argmax(axis=1) != found.argmax(axis=1)).sum()) if classifies else 0,
        largest_difference=float(np.abs(mean - found).max(initial=0.0)),
    )


def breadth_first(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The nodes of a tree level by level, siblings together."""
    import numpy as np

    levels, level = [], np.array([0])
    while level.size:
        levels.append(level)
        inner = level[left[level] != -1]
        level = np.stack([left[inner], right[inner]], axis=1).ravel()
    return np.concatenate(levels)


def off_grid_thresholds(tree: Any, rounded: np.ndarray) -> np.ndarray:
    """Thresholds that no split between two float16 values has.

    Parameters
    ----------
    tree : sklearn.tree._tree.Tree
    rounded : np.ndarray of float16, shape (node_count,)
        The largest float16 value that is not above each threshold.

    Returns
    -------
    np.ndarray of bool
        Shape (node_count,). Never True for a tree that was trained on float16 values; for another one, not for each
        threshold. False where rounding does not change the threshold.
    """
    changed = (tree.children_left != -1) & (tree.threshold != rounded)
    found = changed.copy()
    found[changed] = ~_halfway_between_float16(tree.threshold[changed])
    return found | (changed & _has_empty_branch(tree, rounded))


def _halfway_between_float16(thresholds: np.ndarray) -> np.ndarray:
    """Whether twice a threshold can be the sum of two float16 values.

    Written as a multiple of 2**s, which comes from the larger one, and a rest below it, the rest has 11 bits for some
    s. It may be negative: then its complement to 2**s has 11 bits.
    """
    import numpy as np

    units = thresholds * 2.0 ** (_UNIT_EXPONENT + 1)  # exact: a power of two
    whole = units == np.floor(units)
    total = np.where(whole, units, 0).astype(np.int64)
    possible, rest = np.zeros(len(total), dtype=bool), np.flatnonzero(whole)
    for shift in range(_LARGEST_SHIFT, -1, -1):
        remainder = total[rest] & (2**shift - 1)
        fits = np.abs((total[rest] - remainder) >> shift) <= 2 * _SIGNIFICAND
        fits &= _has_eleven_bits(remainder) | _has_eleven_bits(2**shift - remainder)
        possible[rest[fits]] = True
        rest = rest[~fits]
    return possible


def _has_eleven_bits(values: np.ndarray) -> np.ndarray:
    lowest_bit = values & -values
    return (values == 0) | (values < _SIGNIFICAND * lowest_bit)


def _has_empty_branch(tree: Any, rounded: np.ndarray) -> np.ndarray:
    """Whether no float16 value that reaches a node goes left there, or none goes right.

    On the way to a node with threshold t, values of its feature are limited to `lower < x <= upper`. In training, some
    were at most t and some above it, so there are float16 values in both parts if all of them were float16 values.
    """
    import numpy as np

    count = tree.node_count
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = np.flatnonzero(left != -1)
    parent = np.full(count, -1)
    parent[left[inner]] = parent[right[inner]] = inner
    empty = np.zeros(count, dtype=bool)
    node, below = inner, inner
    while node.size:
        above = parent[below]
        kept = above != -1
        node, below, above = node[kept], below[kept], above[kept]
        # The same float16 value is the largest one up to both thresholds: none is between them.
        empty[node[(feature[above] == feature[node]) & (rounded[above] == rounded[node])]] = True
        below = above
    return empty
