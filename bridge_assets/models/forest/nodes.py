"""The nodes of a forest as plain arrays with one entry per node: the input of the export and the compiled loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class UnpackedNodes:
    """The nodes of all trees, unpacked. A leaf is its own left child.

    Attributes
    ----------
    roots : np.ndarray of shape (n_trees,)
        Index of the root of each tree.
    depths : np.ndarray of shape (n_trees,)
        Steps from the root to the deepest leaf.
    is_leaf : np.ndarray of bool, shape (n_nodes,)
    left : np.ndarray of shape (n_nodes,)
        Left child, taken if `x <= threshold`; the right child follows it.
    feature : np.ndarray of shape (n_nodes,)
        0 at a leaf.
    threshold : np.ndarray of float32, shape (n_nodes,)
        Infinite at a leaf, so that a row stays at the leaf it has reached.
    leaf : np.ndarray of shape (n_nodes,)
        The row of `Float16Forest.leaf` for a leaf; meaningless at inner nodes.
    """

    roots: np.ndarray
    depths: np.ndarray
    is_leaf: np.ndarray
    left: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray
