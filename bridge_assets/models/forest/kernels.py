"""Compiled loops that walk rows down the trees of a float16 forest.

The bottleneck is memory latency, since each step depends on the previous one. So many walks advance at once (`walks`):
many rows down one tree or, with few rows, one row down many trees; and no step has a branch. A node takes eight bytes,
a leaf value two. All rows of a block walk a few trees while these trees are in the second-level cache.

Values are compared as integers: a value that is rounded up to float16's grid is above a float16 threshold exactly if
the value itself is.

Belongs here: the order in which rows and trees are processed. Does not belong here: the forest (`float16_forest`),
validation of rows (`dataset.matrix`), a single step (`walks`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bridge_assets.models.forest.walks import (
    KEY_PADDING,
    LANES,
    WALKS,
    add_eight,
    add_two,
    walk_rows,
    walk_trees,
)

if TYPE_CHECKING:
    from bridge_assets.models.forest.packing import PackedForest

#: Rows in a block: their keys and sums stay in memory until they have walked all trees.
BLOCK_ROWS = 32_768

#: Bytes of trees that a tile of rows walks before the next tile starts: half of a server's second-level cache.
TREE_GROUP_BYTES = 1 << 20

#: Rows in a tile. A tile walks one tree at a time, so its keys and sums stay in the first-level cache.
TILE_ROWS = 256

#: Smallest block, in rows times trees: about two milliseconds. Less is not worth a separate thread.
MIN_BLOCK_WORK = 100_000


# IEEE 754: float16 has 10 bits of fraction and float32 has 23; the exponents are biased by 15 and 127. Below 2**-14,
# float16 has steps of 2**-24.
_DROPPED_BITS = 23 - 10
_BIAS = (127 - 15) << 10
_MAGNITUDE = 0x7FFFFFFF
_MIN_NORMAL = (127 - 14) << 23
_SUBNORMAL_SCALE = np.float32(2**24)
_LARGEST, _INFINITE = 0x7BFF, 0x7C00


_U0, _U2, _U8 = np.uint64(0), np.uint64(2), np.uint64(LANES)
_WAYS, _TILE = np.uint64(WALKS), np.uint64(TILE_ROWS)


def row_keys(rows: np.ndarray) -> np.ndarray:
    """Keys of values: the key of a value is above that of a threshold exactly if the value is above the threshold.

    Parameters
    ----------
    rows : np.ndarray of shape (n, n_features)
        float32, C order, finite.

    Returns
    -------
    np.ndarray
        Shape (n, n_features), int16.
    """
    keys = np.empty(rows.shape, dtype=np.int16)
    _row_keys(rows.ravel(), rows.view(np.int32).ravel(), keys.ravel())
    return keys


def mean_leaf_values(packed: PackedForest, rows: np.ndarray, threads: int = 0) -> np.ndarray:
    """The mean over the trees of the leaf values that each row reaches.

    Trees are added in order, in float64, whatever the number of rows or threads. A float16 value is a multiple of
    2**-24 below 2**16, so the sum of up to 2**13 trees needs 53 bits and is exact. One division and one rounding to
    float32 follow.

    Parameters
    ----------
    packed : PackedForest
    rows : np.ndarray of shape (n, n_features)
        float32, C order, finite.
    threads : int
        0 = one for each processor.

    Returns
    -------
    np.ndarray
        Shape (n, n_outputs), float32.
    """
    threads = _resolve_threads(threads)
    found = np.empty((len(rows), packed.n_outputs), dtype=np.float32)
    arrays = packed.nodes, packed.roots, packed.depths, packed.values.ravel(), packed.values.shape[1]
    if len(rows) < WALKS:
        _means_few_rows(*arrays, packed.n_trees, rows, rows.view(np.int32), found)
        return found
    bytes_each = (packed.nodes.nbytes + packed.values.nbytes) // packed.n_trees
    trees_per_group = max(1, TREE_GROUP_BYTES // bytes_each)

    def score(block: slice) -> None:
        block_rows = rows[block]
        _means(*arrays, packed.n_trees, trees_per_group, block_rows, block_rows.view(np.int32), found[block])

    _run_blocks(score, len(rows), packed.n_trees, threads)
    return found


def leaf_indices(packed: PackedForest, rows: np.ndarray, threads: int = 0) -> np.ndarray:
    """The leaf each row reaches in each tree, counted from the root of the tree; shape (n, n_trees), int32."""
    threads = _resolve_threads(threads)
    found = np.empty((len(rows), packed.n_trees), dtype=np.int32)

    def descend(block: slice) -> None:
        block_rows = rows[block]
        _leaf_indices(packed.nodes, packed.roots, packed.depths, block_rows, block_rows.view(np.int32), found[block])

    _run_blocks(descend, len(rows), packed.n_trees, threads)
    return found


def _resolve_threads(threads: int) -> int:
    if threads < 0:
        raise ValueError(f"threads must be 0 (one for each processor) or more, found {threads}")
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_blocks(task: Callable[[slice], None], rows: int, trees: int, threads: int) -> None:
    """Run a task over blocks of rows. Blocks are independent, so any thread can take any block."""
    blocks = list(_blocks(rows, trees, threads))
    if threads == 1 or len(blocks) <= 1:
        for block in blocks:
            task(block)
        return
    with ThreadPoolExecutor(min(threads, len(blocks)), "forest") as pool:
        for _ in pool.map(task, blocks):
            pass


def _blocks(rows: int, trees: int, threads: int) -> Iterator[slice]:
    """Blocks of equal size, and an equal number for each thread, so that no thread waits for another."""
    share = max(-(-rows // threads), -(-MIN_BLOCK_WORK // trees))
    step = -(-share // -(-share // BLOCK_ROWS))
    step = -(-step // WALKS) * WALKS
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@njit(forceinline=True)
def _add_leaf(values, outputs, leaf, sums, row):
    """Add a leaf's values to a row's sums."""
    if outputs == _U2:
        add_two(values, leaf * _U2, sums, row * _U2)
    elif outputs == _U8:
        add_eight(values, leaf * _U8, sums, row * _U8)
    else:
        for output in range(_U0, outputs, _U8):
            add_eight(values, leaf * outputs + output, sums, row * outputs + output)


@njit(forceinline=True)
def _keys_of_block(rows, bits):
    """Keys of the rows, padded with zero rows to a multiple of `WALKS`."""
    whole = (len(rows) + WALKS - 1) // WALKS * WALKS
    keys = np.zeros(whole * rows.shape[1] + KEY_PADDING, dtype=np.int16)
    _row_keys(rows.ravel(), bits.ravel(), keys)
    return whole, keys


@njit(cache=True, nogil=True)
def _row_keys(values, bits, keys):
    for place in range(len(values)):
        magnitude, negative = bits[place] & np.int32(_MAGNITUDE), bits[place] < 0
        if magnitude < _MIN_NORMAL:
            steps = abs(values[place]) * _SUBNORMAL_SCALE
            key = np.int32(np.floor(steps) if negative else np.ceil(steps))
        else:
            up = 0 if negative else (1 << _DROPPED_BITS) - 1
            key = ((magnitude + up) >> _DROPPED_BITS) - _BIAS
            key = min(key, _LARGEST if negative else _INFINITE)
        keys[place] = -key if negative else key


@njit(cache=True, nogil=True)
def _means(nodes, roots, depths, values, outputs, n_trees, trees_per_group, rows, bits, found):
    count, width, outputs = len(rows), np.uint64(rows.shape[1]), np.uint64(outputs)
    whole, keys = _keys_of_block(rows, bits)
    sums = np.zeros(np.uint64(whole) * outputs)
    starts, places = np.zeros(WALKS, dtype=np.uint64), np.arange(WALKS).astype(np.uint64) * width
    reached = np.empty(TILE_ROWS, dtype=np.uint64)
    for group in range(0, n_trees, trees_per_group):
        for first in range(_U0, np.uint64(whole), _TILE):
            last = min(first + _TILE, np.uint64(whole))
            for tree in range(group, min(group + trees_per_group, n_trees)):
                for row in range(first, last, _WAYS):
                    row_keys_slice, to = keys[row * width :], reached[row - first :]
                    walk_rows(nodes, roots[tree], starts, row_keys_slice, places, depths[tree], to)
                for row in range(first, last):
                    _add_leaf(values, outputs, reached[row - first], sums, row)
    for row in range(count):
        for output in range(found.shape[1]):
            found[row, output] = sums[np.uint64(row) * outputs + np.uint64(output)] / n_trees


@njit(cache=True, nogil=True)
def _means_few_rows(nodes, roots, depths, values, outputs, n_trees, rows, bits, found):
    outputs = np.uint64(outputs)
    keys = np.empty(rows.shape[1] + KEY_PADDING, dtype=np.int16)
    places, reached = np.zeros(WALKS, dtype=np.uint64), np.empty(len(roots), dtype=np.uint64)
    for row in range(len(rows)):
        _row_keys(rows[row], bits[row], keys)
        sums = np.zeros(outputs)
        for tree in range(0, len(roots), WALKS):
            end = tree + WALKS
            walk_trees(nodes, _U0, roots[tree:end], keys, places, np.max(depths[tree:end]), reached[tree:end])
        for tree in range(_U0, np.uint64(n_trees)):
            _add_leaf(values, outputs, reached[tree], sums, _U0)
        for output in range(found.shape[1]):
            found[row, output] = sums[output] / n_trees


@njit(cache=True, nogil=True)
def _leaf_indices(nodes, roots, depths, rows, bits, found):
    count, width = len(rows), np.uint64(rows.shape[1])
    whole, keys = _keys_of_block(rows, bits)
    starts, reached = np.zeros(WALKS, dtype=np.uint64), np.empty(WALKS, dtype=np.uint64)
    places = np.arange(WALKS).astype(np.uint64) * width
    for first in range(0, whole, WALKS):
        row_keys_slice = keys[np.uint64(first) * width :]
        for tree in range(found.shape[1]):
            walk_rows(nodes, roots[tree], starts, row_keys_slice, places, depths[tree], reached)
            for way in range(min(WALKS, count - first)):
                found[first + way, tree] = reached[way] - roots[tree]
