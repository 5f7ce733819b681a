"""The way of rows through the trees of a float16 forest, compiled.

What costs is waiting for memory: each step needs the one before it. So eight ways are gone at once, of eight rows
through one tree or, where there are fewer rows, of one row through eight trees, and no step has a branch. A node takes
eight bytes. A block of rows passes tree after tree, so that a tree stays in the second-level cache meanwhile.

Numbers are compared as integers: a row's value, rounded up to float16's grid, is above a float16 threshold exactly
where the value itself is.

Belongs here: packed nodes, rows that are already a matrix. Does not belong here: what a forest is, its file, which rows
are refused (`forest`, `matrix`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from bridge_assets.models.forest import Float16Forest

#: Ways that are gone at once. Measured: 4 take a fifth to a third longer, 16 gain nothing that is sure.
WAYS = 8

#: Rows that pass a tree together. A tree comes from memory in no order, which is slow, the rows' keys and sums in their
#: order, which is not: so the block is large. Measured with 2 MB of second-level cache on a busy machine:
#: 4096 rows a block take half as long again as 16,384 or 65,536.
BLOCK = 32_768

#: Rows times trees of the smallest block, about two milliseconds: less is not worth handing to another thread.
LEAST_WORK = 100_000

NODE = np.dtype([("left", np.uint32), ("feature", np.uint16), ("threshold", np.int16)])

# IEEE 754: float16 has 10 bits of fraction and float32 has 23; the exponents are biased by 15 and 127. Below 2**-14
# float16 counts in steps of 2**-24.
_LOST_BITS = 23 - 10
_BIAS = (127 - 15) << 10
_MAGNITUDE = 0x7FFFFFFF
_LEAST_NORMAL = (127 - 14) << 23
_STEPS = np.float32(2**24)
_LARGEST, _INFINITE = 0x7BFF, 0x7C00

#: Above every key, so that a row which has arrived at a leaf stays.
_NEVER_ABOVE = np.iinfo(np.int16).max

_U0, _U1, _U2, _U3, _U4, _U5, _U6, _U7, _U8 = (np.uint64(number) for number in range(WAYS + 1))


@dataclass(frozen=True, eq=False)
class PackedForest:
    """A forest as the compiled loops read it.

    Attributes
    ----------
    nodes : np.ndarray of NODE
        Left child (of a leaf: itself; the right child stands after the left one), feature, key of the threshold.
    roots, depths : np.ndarray of uint32
        One a tree, with single leaves added until their number is a multiple of `WAYS`.
    leaf_rows : np.ndarray of uint32
        For each node that is a leaf, its row in `values`.
    values : np.ndarray of float32, shape (n_leaves, padded n_outputs)
        One, two, or a multiple of four outputs: added that many at a time.
    n_trees, n_outputs, n_features : int
    """

    nodes: np.ndarray
    roots: np.ndarray
    depths: np.ndarray
    leaf_rows: np.ndarray
    values: np.ndarray
    n_trees: int
    n_outputs: int
    n_features: int


def pack(forest: Float16Forest) -> PackedForest:
    """The forest with its nodes in eight bytes each and leaf values that are added without conversion."""
    unpacked, added = forest.nodes, -forest.n_trees % WAYS
    count, (leaves, outputs) = len(unpacked.left), forest.leaf.shape
    nodes = np.zeros(count + (added > 0), dtype=NODE)
    nodes["left"][:count], nodes["left"][count:] = unpacked.left, count
    nodes["feature"][:count] = unpacked.feature
    nodes["threshold"] = _NEVER_ABOVE
    nodes["threshold"][:count][~unpacked.is_leaf] = threshold_keys(forest.threshold)
    values = np.zeros((leaves, outputs if outputs <= 2 else -(-outputs // 4) * 4), dtype=np.float32)
    values[:, :outputs] = forest.leaf
    return PackedForest(
        nodes=nodes,
        roots=np.append(unpacked.roots, np.full(added, count)).astype(np.uint32),
        depths=np.append(unpacked.depths, np.zeros(added)).astype(np.uint32),
        leaf_rows=np.append(np.maximum(unpacked.leaf, 0), np.zeros(1)).astype(np.uint32),
        values=values,
        n_trees=forest.n_trees,
        n_outputs=outputs,
        n_features=len(forest.features),
    )


def threshold_keys(thresholds: np.ndarray) -> np.ndarray:
    """Integers (int16) in the order of float16 thresholds; no number, which nothing is above, is the largest."""
    bits = np.ascontiguousarray(thresholds).view(np.int16)
    magnitude = bits & np.int16(0x7FFF)
    return np.where(np.isnan(thresholds), np.int16(_NEVER_ABOVE), np.where(bits < 0, -magnitude, magnitude))


def row_keys(rows: np.ndarray) -> np.ndarray:
    """Integers (int16) that are above the key of a threshold where the value is above the threshold.

    Parameters
    ----------
    rows : np.ndarray of shape (n, n_features)
        float32, C order, finite.
    """
    keys = np.empty(rows.shape, dtype=np.int16)
    _row_keys(rows.ravel(), rows.view(np.int32).ravel(), keys.ravel())
    return keys


def means(packed: PackedForest, rows: np.ndarray, threads: int = 0) -> np.ndarray:
    """The mean over the trees of the leaf values that each row reaches.

    Trees are added in their order, in float64, whatever the number of rows or threads. A float16 value is a multiple of
    2**-24 below 2**16, so the sum of up to 2**13 trees needs 53 bits and is exact. One division and one rounding to
    float32 follow.

    Parameters
    ----------
    rows : np.ndarray of shape (n, n_features)
        float32, C order, finite.
    threads : int
        0 = one for each processor.

    Returns
    -------
    np.ndarray
        Shape (n, n_outputs), float32.
    """
    threads = _threads(threads)
    found = np.empty((len(rows), packed.n_outputs), dtype=np.float32)
    arrays = packed.nodes, packed.roots, packed.depths, packed.leaf_rows, packed.values.ravel(), packed.values.shape[1]
    if len(rows) < WAYS:
        _means_of_few(*arrays, packed.n_trees, rows, rows.view(np.int32), found)
        return found

    def score(block: slice) -> None:
        some = rows[block]
        _means(*arrays, packed.n_trees, some, some.view(np.int32), found[block])

    _each(score, len(rows), packed.n_trees, threads)
    return found


def leaves(packed: PackedForest, rows: np.ndarray, threads: int = 0) -> np.ndarray:
    """The leaf each row reaches in each tree, counted from the root of the tree; shape (n, n_trees), int32."""
    threads = _threads(threads)
    found = np.empty((len(rows), packed.n_trees), dtype=np.int32)

    def descend(block: slice) -> None:
        some = rows[block]
        _leaves(packed.nodes, packed.roots, packed.depths, some, some.view(np.int32), found[block])

    _each(descend, len(rows), packed.n_trees, threads)
    return found


def _threads(threads: int) -> int:
    if threads < 0:
        raise ValueError(f"threads must be 0 (one for each processor) or more, found {threads}")
    if threads:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _each(task: Callable[[slice], None], rows: int, trees: int, threads: int) -> None:
    """Run a task over blocks of rows. Blocks share nothing, so it does not matter which thread takes which."""
    blocks = list(_blocks(rows, trees, threads))
    if threads == 1 or len(blocks) <= 1:
        for block in blocks:
            task(block)
        return
    with ThreadPoolExecutor(min(threads, len(blocks)), "forest") as pool:
        for _ in pool.map(task, blocks):
            pass


def _blocks(rows: int, trees: int, threads: int) -> Iterator[slice]:
    share = max(-(-rows // threads), -(-LEAST_WORK // trees))
    step = min(BLOCK, -(-share // WAYS) * WAYS)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@njit(forceinline=True)
def _step(nodes, node, keys, row):
    # Unsigned throughout: a signed index would be asked each time whether it counts from the end.
    here = nodes[node]
    return np.uint64(here.left) + np.uint64(keys[row + np.uint64(here.feature)] > here.threshold)


@njit(forceinline=True)
def _descend(nodes, depth, keys, start, row):
    """Eight ways at once, each from its node with its row of keys."""
    a, b, c, d, e, f, g, h = start
    for _ in range(depth):
        a = _step(nodes, a, keys, row[0])
        b = _step(nodes, b, keys, row[1])
        c = _step(nodes, c, keys, row[2])
        d = _step(nodes, d, keys, row[3])
        e = _step(nodes, e, keys, row[4])
        f = _step(nodes, f, keys, row[5])
        g = _step(nodes, g, keys, row[6])
        h = _step(nodes, h, keys, row[7])
    return a, b, c, d, e, f, g, h


@njit(forceinline=True)
def _rows_through(nodes, root, depth, keys, width, first, reached):
    """The leaves that eight rows reach in one tree."""
    row = first * width
    rows = (
        row, row + width, row + _U2 * width, row + _U3 * width, row + _U4 * width, row + _U5 * width,
        row + _U6 * width, row + _U7 * width,
    )  # fmt: skip
    a, b, c, d, e, f, g, h = _descend(nodes, depth, keys, (root, root, root, root, root, root, root, root), rows)
    reached[first], reached[first + _U1], reached[first + _U2], reached[first + _U3] = a, b, c, d
    reached[first + _U4], reached[first + _U5], reached[first + _U6], reached[first + _U7] = e, f, g, h


@njit(forceinline=True)
def _add(values, outputs, leaf, sums, row):
    """Add a leaf's values to a row's sums: all loads before the stores, so that they become one instruction each."""
    value, total = leaf * outputs, row * outputs
    if outputs == _U1:
        sums[total] += values[value]
    elif outputs == _U2:
        a, b = values[value], values[value + _U1]
        sums[total] += a
        sums[total + _U1] += b
    else:
        for _ in range(outputs >> _U2):
            a, b, c, d = values[value], values[value + _U1], values[value + _U2], values[value + _U3]
            sums[total] += a
            sums[total + _U1] += b
            sums[total + _U2] += c
            sums[total + _U3] += d
            value += _U4
            total += _U4


@njit(cache=True, nogil=True)
def _row_keys(values, bits, keys):
    for place in range(len(values)):
        magnitude, negative = bits[place] & np.int32(_MAGNITUDE), bits[place] < 0
        if magnitude < _LEAST_NORMAL:
            steps = abs(values[place]) * _STEPS
            key = np.int32(np.floor(steps) if negative else np.ceil(steps))
        else:
            up = 0 if negative else (1 << _LOST_BITS) - 1
            key = ((magnitude + up) >> _LOST_BITS) - _BIAS
            key = min(key, _LARGEST if negative else _INFINITE)
        keys[place] = -key if negative else key


@njit(cache=True, nogil=True)
def _means(nodes, roots, depths, leaf_rows, values, outputs, n_trees, rows, bits, found):
    count, width, outputs = len(rows), np.uint64(rows.shape[1]), np.uint64(outputs)
    whole = (count + WAYS - 1) // WAYS * WAYS
    keys = np.zeros(whole * rows.shape[1], dtype=np.int16)
    _row_keys(rows.ravel(), bits.ravel(), keys)
    sums = np.zeros(np.uint64(whole) * outputs)
    reached = np.empty(whole, dtype=np.uint32)
    for tree in range(n_trees):
        root, depth = np.uint64(roots[tree]), depths[tree]
        for first in range(_U0, np.uint64(whole), _U8):
            _rows_through(nodes, root, depth, keys, width, first, reached)
        for row in range(_U0, np.uint64(count)):
            _add(values, outputs, np.uint64(leaf_rows[reached[row]]), sums, row)
    for row in range(count):
        for output in range(found.shape[1]):
            found[row, output] = sums[np.uint64(row) * outputs + np.uint64(output)] / n_trees


@njit(cache=True, nogil=True)
def _means_of_few(nodes, roots, depths, leaf_rows, values, outputs, n_trees, rows, bits, found):
    outputs = np.uint64(outputs)
    keys = np.empty(rows.shape[1], dtype=np.int16)
    reached = np.empty(len(roots), dtype=np.uint32)
    for row in range(len(rows)):
        _row_keys(rows[row], bits[row], keys)
        sums = np.zeros(outputs)
        for tree in range(_U0, np.uint64(len(roots)), _U8):
            start = (
                np.uint64(roots[tree]), np.uint64(roots[tree + _U1]), np.uint64(roots[tree + _U2]),
                np.uint64(roots[tree + _U3]), np.uint64(roots[tree + _U4]), np.uint64(roots[tree + _U5]),
                np.uint64(roots[tree + _U6]), np.uint64(roots[tree + _U7]),
            )  # fmt: skip
            depth = np.max(depths[tree : tree + _U8])
            a, b, c, d, e, f, g, h = _descend(nodes, depth, keys, start, (_U0, _U0, _U0, _U0, _U0, _U0, _U0, _U0))
            reached[tree], reached[tree + _U1], reached[tree + _U2], reached[tree + _U3] = a, b, c, d
            reached[tree + _U4], reached[tree + _U5], reached[tree + _U6], reached[tree + _U7] = e, f, g, h
        for tree in range(_U0, np.uint64(n_trees)):
            _add(values, outputs, np.uint64(leaf_rows[reached[tree]]), sums, _U0)
        for output in range(found.shape[1]):
            found[row, output] = sums[output] / n_trees


@njit(cache=True, nogil=True)
def _leaves(nodes, roots, depths, rows, bits, found):
    count, width = len(rows), np.uint64(rows.shape[1])
    whole = (count + WAYS - 1) // WAYS * WAYS
    keys = np.zeros(whole * rows.shape[1], dtype=np.int16)
    _row_keys(rows.ravel(), bits.ravel(), keys)
    reached = np.empty(whole, dtype=np.uint32)
    for tree in range(found.shape[1]):
        root, depth = np.uint64(roots[tree]), depths[tree]
        for first in range(_U0, np.uint64(whole), _U8):
            _rows_through(nodes, root, depth, keys, width, first, reached)
        for row in range(count):
            found[row, tree] = reached[row] - roots[tree]
