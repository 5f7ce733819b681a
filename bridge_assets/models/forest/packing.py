"""The memory layout of a forest for the compiled loops: eight bytes per node, two per leaf value.

Belongs here: layouts of arrays. Does not belong here: the forest (`float16_forest`), walking rows down its trees
(`kernels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge_assets.models.forest.plain_walk import LANES, NODE_PADDING, STRIP_ROWS, TOP_LEVELS, WALKS

if TYPE_CHECKING:
    from bridge_assets.models.forest.nodes import UnpackedNodes


NODE_DTYPE = np.dtype([("left", np.uint32), ("feature", np.uint16), ("threshold", np.int16)])


#: Above every key of a row, so that a row stays at the leaf it has reached.
_MAX_KEY = np.iinfo(np.int16).max


@dataclass(frozen=True, eq=False)
class PackedForest:
    """A forest in the layout of the compiled loops.

    Attributes
    ----------
    nodes : np.ndarray of int64
        Packed `NODE_DTYPE`: left child (a leaf is its own left child; the right child follows the left one), feature,
        key of the threshold.
    roots, depths : np.ndarray of uint64 and int64
        One per tree, padded with single leaves to a multiple of `WALKS`.
    values : np.ndarray of uint16, shape (n_nodes, padded n_outputs)
        Leaf values as float16 bits, 0 at inner nodes. The outputs are padded to two or to a multiple of eight, the
        number that is added at a time.
    top_offsets, top_thresholds : np.ndarray of uint32 and int16, shape (n_trees, 2 ** TOP_LEVELS - 1)
        The upper nodes of each tree, level by level, as if no branch ended before: place of the feature's keys in a
        block, key of the threshold.
    top_nodes : np.ndarray of uint64, shape (n_trees, 2 ** TOP_LEVELS)
        The nodes below them, from left to right; a leaf above is repeated.
    n_trees, n_outputs, n_features : int
        Without padding.
    """

    nodes: np.ndarray
    roots: np.ndarray
    depths: np.ndarray
    values: np.ndarray
    top_offsets: np.ndarray
    top_thresholds: np.ndarray
    top_nodes: np.ndarray
    n_trees: int
    n_outputs: int
    n_features: int

    @property
    def top(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The upper nodes and the nodes below them."""
        return self.top_offsets, self.top_thresholds, self.top_nodes


def pack_forest(nodes: UnpackedNodes, thresholds: np.ndarray, leaf_values: np.ndarray, n_features: int) -> PackedForest:
    """Pack a forest: eight bytes per node, the values of a leaf next to each other.

    Parameters
    ----------
    nodes : UnpackedNodes
    thresholds : np.ndarray of float16
        Thresholds of the inner nodes, in order.
    leaf_values : np.ndarray of float16, shape (n_leaves, n_outputs)
    n_features : int
    """
    n_trees = len(nodes.roots)
    added = -n_trees % WALKS
    count, outputs = len(nodes.left), leaf_values.shape[1]
    packed = np.zeros(count + 1 + NODE_PADDING, dtype=NODE_DTYPE)
    packed["left"][:count], packed["left"][count:] = nodes.left, count
    packed["feature"][:count] = nodes.feature
    packed["threshold"] = _MAX_KEY
    packed["threshold"][:count][~nodes.is_leaf] = threshold_keys(thresholds)
    top = _top_nodes(nodes)
    values = np.zeros((len(packed), 2 if outputs <= 2 else -(-outputs // LANES) * LANES), dtype=np.float16)
    values[:count][nodes.is_leaf, :outputs] = leaf_values
    return PackedForest(
        nodes=packed.view(np.int64),
        roots=np.append(nodes.roots, np.full(added, count)).astype(np.uint64),
        depths=np.append(nodes.depths, np.zeros(added)).astype(np.int64),
        values=values.view(np.uint16),
        top_offsets=packed["feature"][top[:, : -(2**TOP_LEVELS)]] * np.uint32(STRIP_ROWS),
        top_thresholds=packed["threshold"][top[:, : -(2**TOP_LEVELS)]],
        top_nodes=top[:, -(2**TOP_LEVELS) :].astype(np.uint64),
        n_trees=n_trees,
        n_outputs=outputs,
        n_features=n_features,
    )


def _top_nodes(nodes: UnpackedNodes) -> np.ndarray:
    """The nodes of levels 0 to `TOP_LEVELS` of each tree, level by level; below a leaf, the leaf itself."""
    top = np.empty((len(nodes.roots), 2 ** (TOP_LEVELS + 1) - 1), dtype=np.intp)
    top[:, 0] = nodes.roots
    for place in range(2**TOP_LEVELS - 1):
        left = nodes.left[top[:, place]]
        top[:, 2 * place + 1] = left
        top[:, 2 * place + 2] = left + ~nodes.is_leaf[top[:, place]]
    return top


def threshold_keys(thresholds: np.ndarray) -> np.ndarray:
    """Integers (int16) in the order of float16 thresholds; NaN, which no value exceeds, gets the largest key."""
    bits = np.ascontiguousarray(thresholds).view(np.int16)
    magnitude = bits & np.int16(0x7FFF)
    return np.where(np.isnan(thresholds), np.int16(_MAX_KEY), np.where(bits < 0, -magnitude, magnitude))
