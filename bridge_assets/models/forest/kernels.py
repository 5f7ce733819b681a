"""Compiled loops that walk rows down the trees of a float16 forest.

A walk waits for memory, since each step depends on the previous one. So many rows walk down one tree at once or, with
few rows, one row down many trees; no step has a branch; and the rows of a strip take the upper levels of a tree
together, with vector instructions. A node takes eight bytes, a leaf value two. All rows of a block walk a tree while it
is in the second-level cache.

Values are compared as integers: a value that is rounded up to float16's grid is above a float16 threshold exactly if
the value itself is.

Belongs here: the order in which rows and trees are processed. Does not belong here: the forest (`float16_forest`),
validation of rows (`dataset.matrix`), the steps of a walk (`plain_walk`, `llvm_intrinsics`), the choice between them
(`walks`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bridge_assets.compiled import cached_njit
from bridge_assets.models.forest import plain_walk, walks
from bridge_assets.models.forest.plain_walk import KEY_PADDING, LANES, STRIP_ROWS, TOP_LEVELS, WALKS, walk_top_levels
from bridge_assets.models.forest.walks import GATHER, add_eight, add_two, gather_rows

if TYPE_CHECKING:
    from bridge_assets.models.forest.packing import PackedForest

#: Rows in a block: their keys and sums are read from one end to the other for each tree.
BLOCK_ROWS = 16_384

#: Fewer rows are walked one by one, each down many trees at once.
FEW_ROWS = WALKS

#: Smallest block, in rows times trees: about a millisecond. Less is not worth a separate thread.
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
_STRIP = np.uint64(STRIP_ROWS)


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


def mean_leaf_values(packed: PackedForest, rows: np.ndarray, threads: int = 0, walk: str = "") -> np.ndarray:
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
    walk : str
        "plain" or "gather"; the result is the same. Empty = the faster one on this processor: see `walks`.

    Returns
    -------
    np.ndarray
        Shape (n, n_outputs), float32.
    """
    threads = _resolve_threads(threads)
    found = np.empty((len(rows), packed.n_outputs), dtype=np.float32)
    values, width = packed.values.ravel(), packed.values.shape[1]
    if len(rows) < FEW_ROWS and not walk:
        arrays = packed.nodes, packed.roots, packed.depths, values, width
        _means_few_rows(*arrays, packed.n_trees, rows, rows.view(np.int32), found)
        return found
    means = _means_by_gather if _walk(walk, packed, rows) == GATHER else _means_plain

    def score(block: slice) -> None:
        keys, sums = _strip_keys(rows[block]), np.zeros(-(-len(found[block]) // STRIP_ROWS) * STRIP_ROWS * width)
        means(packed.nodes, *packed.top, packed.depths, values, width, keys, *_workspace(), sums, found[block])

    _run_blocks(score, len(rows), packed.n_trees, threads)
    return found


def leaf_indices(packed: PackedForest, rows: np.ndarray, threads: int = 0, walk: str = "") -> np.ndarray:
    """The leaf each row reaches in each tree, counted from the root of the tree; shape (n, n_trees), int32."""
    threads = _resolve_threads(threads)
    found = np.empty((len(rows), packed.n_trees), dtype=np.int32)
    descend = _leaves_by_gather if _walk(walk, packed, rows) == GATHER else _leaves_plain

    def run(block: slice) -> None:
        keys = _strip_keys(rows[block])
        descend(packed.nodes, *packed.top, packed.depths, packed.roots, keys, *_workspace(), found[block])

    _run_blocks(run, len(rows), packed.n_trees, threads)
    return found


def _workspace() -> tuple[np.ndarray, np.ndarray]:
    """Results of the upper levels, and the places of the rows of a strip."""
    return np.empty((2**TOP_LEVELS - 1, STRIP_ROWS), dtype=np.int16), np.empty(STRIP_ROWS, dtype=np.uint64)


def _strip_keys(rows: np.ndarray) -> np.ndarray:
    """Keys of a block, a row for each strip: feature by feature, and padded with zero rows."""
    strips, width = -(-len(rows) // STRIP_ROWS), rows.shape[1]
    keys = np.zeros(strips * STRIP_ROWS * width + KEY_PADDING, dtype=np.int16)
    _fill_strips(rows, rows.view(np.int32), keys)
    return np.lib.stride_tricks.as_strided(keys, (strips, width * STRIP_ROWS), (2 * width * STRIP_ROWS, 2))


def _walk(walk: str, packed: PackedForest, rows: np.ndarray) -> str:
    """The walk that was asked for, or the faster one; a small batch does not pay for finding out which one that is."""
    if walk:
        return walk
    if len(rows) * packed.n_trees < MIN_BLOCK_WORK:
        return walks.known_walk()
    return walks.fastest_walk(_seconds)


def _seconds(walk: str) -> float:
    """Time of scoring the sample of `walks` once."""
    sample, started = walks.timing_sample(), perf_counter()
    mean_leaf_values(*sample, threads=1, walk=walk)
    return perf_counter() - started


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
    step = -(-step // STRIP_ROWS) * STRIP_ROWS
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


@cached_njit(nogil=True)
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


@cached_njit(nogil=True)
def _fill_strips(rows, bits, keys):
    width = np.uint64(rows.shape[1])
    of_row = np.empty(width, dtype=np.int16)
    for row in range(_U0, np.uint64(len(rows))):
        _row_keys(rows[row], bits[row], of_row)
        first = (row // _STRIP) * _STRIP * width + row % _STRIP
        for feature in range(_U0, width):
            keys[first + feature * _STRIP] = of_row[feature]


@njit(forceinline=True)
def _places(walk_rows, nodes, top, tree, keys, depth, count, results, places):
    """The leaf that each row of a strip reaches in a tree; `count` rows are there, the others are padding."""
    offsets, thresholds, top_nodes = top
    walk_top_levels(keys, offsets[tree], thresholds[tree], results)
    below, reached = top_nodes[tree], results[len(results) - 1]
    for row in range(_U0, _STRIP):
        places[row] = below[np.uint64(reached[row])]
    walk_rows(nodes, places, keys, depth - TOP_LEVELS, count)


@njit(forceinline=True)
def _means(walk_rows, nodes, top, depths, values, outputs, keys, results, places, sums, found):
    count, outputs, n_trees = np.uint64(len(found)), np.uint64(outputs), len(top[0])
    for tree in range(n_trees):
        for strip in range(len(keys)):
            first = np.uint64(strip) * _STRIP
            there = min(_STRIP, count - first)
            _places(walk_rows, nodes, top, tree, keys[strip], depths[tree], there, results, places)
            for row in range(_U0, there):
                _add_leaf(values, outputs, places[row], sums, first + row)
    for row in range(_U0, count):
        for output in range(found.shape[1]):
            found[row, output] = sums[row * outputs + np.uint64(output)] / n_trees


@cached_njit(nogil=True)
def _means_plain(nodes, offsets, thresholds, tops, depths, values, outputs, keys, results, places, sums, found):
    top = offsets, thresholds, tops
    _means(plain_walk.walk_rows, nodes, top, depths, values, outputs, keys, results, places, sums, found)


@cached_njit(nogil=True)
def _means_by_gather(nodes, offsets, thresholds, tops, depths, values, outputs, keys, results, places, sums, found):
    top = offsets, thresholds, tops
    _means(gather_rows, nodes, top, depths, values, outputs, keys, results, places, sums, found)


@cached_njit(nogil=True)
def _means_few_rows(nodes, roots, depths, values, outputs, n_trees, rows, bits, found):
    outputs = np.uint64(outputs)
    keys = np.empty(rows.shape[1] + KEY_PADDING, dtype=np.int16)
    places = np.empty(len(roots), dtype=np.uint64)
    for row in range(len(rows)):
        _row_keys(rows[row], bits[row], keys)
        sums = np.zeros(outputs)
        for first in range(_U0, np.uint64(len(roots)), np.uint64(WALKS)):
            deepest = 0
            for tree in range(first, first + np.uint64(WALKS)):
                places[tree] = roots[tree]
                deepest = max(deepest, depths[tree])
            plain_walk.walk_trees(nodes, places[first:], keys, deepest)
        for tree in range(_U0, np.uint64(n_trees)):
            _add_leaf(values, outputs, places[tree], sums, _U0)
        for output in range(found.shape[1]):
            found[row, output] = sums[output] / n_trees


@njit(forceinline=True)
def _leaves(walk_rows, nodes, top, depths, roots, keys, results, places, found):
    for strip in range(len(keys)):
        first = np.uint64(strip) * _STRIP
        there = min(_STRIP, np.uint64(len(found)) - first)
        for tree in range(found.shape[1]):
            _places(walk_rows, nodes, top, tree, keys[strip], depths[tree], there, results, places)
            for row in range(_U0, there):
                found[first + row, tree] = places[row] - roots[tree]


@cached_njit(nogil=True)
def _leaves_plain(nodes, offsets, thresholds, tops, depths, roots, keys, results, places, found):
    _leaves(plain_walk.walk_rows, nodes, (offsets, thresholds, tops), depths, roots, keys, results, places, found)


@cached_njit(nogil=True)
def _leaves_by_gather(nodes, offsets, thresholds, tops, depths, roots, keys, results, places, found):
    _leaves(gather_rows, nodes, (offsets, thresholds, tops), depths, roots, keys, results, places, found)
