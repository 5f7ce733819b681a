"""The nodes of a forest as plain arrays, one entry a node: what exports and the compiled loops start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class UnpackedNodes:
    """The nodes of all trees, unpacked; one entry a node. A leaf is its own left child.

    Attributes
    ----------
    roots : np.ndarray of shape (n_trees,)
        Where each tree begins.
    depths : np.ndarray of shape (n_trees,)
        Steps from a root to its deepest leaf.
    is_leaf : np.ndarray of bool
    left : np.ndarray
        Left child, where `x <= threshold`; the right child stands right after it.
    feature : np.ndarray
        0 at a leaf.
    threshold : np.ndarray of float32
        Infinite at a leaf, so that a row which has arrived stays.
    leaf : np.ndarray
        The row of `Float16Forest.leaf` for a leaf; meaningless elsewhere.
    """

    roots: np.ndarray
    depths: np.ndarray
    is_leaf: np.ndarray
    left: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray
