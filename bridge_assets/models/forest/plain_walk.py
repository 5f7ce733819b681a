"""Walk rows down trees, sixteen at a time, with the public interface of numba: runs on every processor.

A node is an int64. From the lowest bit: the left child (32 bits; the right child follows it, and a leaf is its own left
child), the feature (16 bits), the key of the threshold (16 bits). The position of a walk is a uint64, an index of a
node. The keys of `STRIP_ROWS` rows are stored feature by feature, so that the key of a row is at a fixed distance from
that of the first row of its block, and the rows of a block can be compared with one threshold by vector instructions.

Belongs here: code that needs only numba's documented interface. Does not belong here: vector instructions
(`llvm_intrinsics`), the choice between the two (`walks`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: 64-bit numbers in a vector of AVX-512. Arrays are padded for vectors of this length on every processor.
LANES = 8

#: Rows whose keys are stored together, feature by feature: 128 bytes per feature, two cache lines.
STRIP_ROWS = 64

#: Keys that may be read past the last one: eight bytes are loaded to use two.
KEY_PADDING = 3

#: Nodes that may be read past the last root.
NODE_PADDING = LANES

#: Mask of the left child, mask of the feature, and the positions of the first bits of feature and key.
LEFT, FEATURE, FEATURE_AT, KEY_AT = 0xFFFFFFFF, 0xFFFF, 32, 48

#: Levels of each tree, from the root, that all rows of a block take together. Measured: five levels take as long as one
#: and a half steps of the other levels; a sixth would take as long as the step that it saves.
TOP_LEVELS = 5

#: Number of walks that advance at once. Measured: eight take a fifth longer, because each step waits for memory; of 32,
#: too many positions leave the registers.
WALKS = 16

#: Positions of the bits of the feature, multiplied by `STRIP_ROWS`: multiplication costs nothing this way.
_STRIP_SHIFT = np.uint64(FEATURE_AT - STRIP_ROWS.bit_length() + 1)
_STRIP_MASK = np.uint64(FEATURE * STRIP_ROWS)

_U0, _ONE, _ROWS, _WAYS = np.uint64(0), np.uint64(1), np.uint64(STRIP_ROWS), np.uint64(WALKS)
_BOTTOM = 2 ** (TOP_LEVELS - 1)


@njit(forceinline=True)
def _above(keys, offset, threshold, results):
    """Write for each row of a block whether its key, at `offset`, is above the key of the threshold: 1 or 0."""
    # The row is counted in uint64: with a signed index, LLVM does not vectorize the loop.
    for row in range(_U0, _ROWS):
        results[row] = np.int16(keys[offset + row] > threshold)


@njit(forceinline=True)
def _choose(keys, offset, threshold, left, right, added, results):
    """Write the result of the right subtree plus `added` for the rows above the threshold, else that of the left."""
    for row in range(_U0, _ROWS):
        from_left, from_right = left[row], np.int16(right[row] + added)
        results[row] = from_right if keys[offset + row] > threshold else from_left


@njit
def walk_top_levels(keys, offsets, thresholds, results):
    """Find the node of level `TOP_LEVELS`, counted from the left, that each row of a block reaches.

    All nodes of the upper levels are compared with all rows, from the lowest level to the root: twice as many
    comparisons as rows would make on their way, but many rows in one instruction, and no step waits for memory.

    Parameters
    ----------
    keys : np.ndarray of int16
        Keys of the block.
    offsets, thresholds : np.ndarray of uint32 and int16, shape (2 ** TOP_LEVELS - 1,)
        Of the upper nodes of a tree, level by level: place of the feature's keys, key of the threshold.
    results : np.ndarray of int16, shape (2 ** TOP_LEVELS - 1, STRIP_ROWS)
        Workspace. Its last row is the result.
    """
    for node in range(_BOTTOM):
        at = _BOTTOM - 1 + node
        _above(keys, np.uint64(offsets[at]), thresholds[at], results[node])
    width, added, source = _BOTTOM, 2, 0
    while width > 1:
        target = source + width
        width //= 2
        for node in range(width):
            at, below = width - 1 + node, source + 2 * node
            left, right = results[below], results[below + 1]
            _choose(keys, np.uint64(offsets[at]), thresholds[at], left, right, np.int16(added), results[target + node])
        source, added = target, 2 * added


@njit(forceinline=True)
def _step(nodes, position, keys, shift, mask, at):
    node = nodes[position]
    key = np.int64(keys[((np.uint64(node) >> shift) & mask) + at])
    # The threshold is in the highest bits of the node; the lower bits cannot make a smaller key larger.
    return np.uint64(node & np.int64(LEFT)) + np.uint64((key << np.int64(KEY_AT)) > node)


@njit(forceinline=True)
def _advance(nodes, places, keys, depth, shift, mask, apart):
    """Advance `WALKS` walks, in place; the keys of one are `apart` from those of the one before."""
    a, b, c, d, e, f, g, h = places[0], places[1], places[2], places[3], places[4], places[5], places[6], places[7]
    i, j, k, m = places[8], places[9], places[10], places[11]
    n, p, q, r = places[12], places[13], places[14], places[15]
    for _ in range(depth):
        a = _step(nodes, a, keys, shift, mask, np.uint64(0) * apart)
        b = _step(nodes, b, keys, shift, mask, np.uint64(1) * apart)
        c = _step(nodes, c, keys, shift, mask, np.uint64(2) * apart)
        d = _step(nodes, d, keys, shift, mask, np.uint64(3) * apart)
        e = _step(nodes, e, keys, shift, mask, np.uint64(4) * apart)
        f = _step(nodes, f, keys, shift, mask, np.uint64(5) * apart)
        g = _step(nodes, g, keys, shift, mask, np.uint64(6) * apart)
        h = _step(nodes, h, keys, shift, mask, np.uint64(7) * apart)
        i = _step(nodes, i, keys, shift, mask, np.uint64(8) * apart)
        j = _step(nodes, j, keys, shift, mask, np.uint64(9) * apart)
        k = _step(nodes, k, keys, shift, mask, np.uint64(10) * apart)
        m = _step(nodes, m, keys, shift, mask, np.uint64(11) * apart)
        n = _step(nodes, n, keys, shift, mask, np.uint64(12) * apart)
        p = _step(nodes, p, keys, shift, mask, np.uint64(13) * apart)
        q = _step(nodes, q, keys, shift, mask, np.uint64(14) * apart)
        r = _step(nodes, r, keys, shift, mask, np.uint64(15) * apart)
    places[0], places[1], places[2], places[3], places[4], places[5], places[6], places[7] = a, b, c, d, e, f, g, h
    places[8], places[9], places[10], places[11] = i, j, k, m
    places[12], places[13], places[14], places[15] = n, p, q, r


@njit(forceinline=True)
def walk_rows(nodes, places, keys, depth, count):
    """Advance at least the first `count` rows of a block by `depth` steps down a tree.

    Parameters
    ----------
    nodes : np.ndarray of int64
    places : np.ndarray of uint64, shape (STRIP_ROWS,)
        The node of each row, before and after.
    keys : np.ndarray of int16
        Keys of the block.
    depth, count : int
        No step if the depth is negative.
    """
    for first in range(_U0, np.uint64(count), _WAYS):
        _advance(nodes, places[first:], keys[first:], depth, _STRIP_SHIFT, _STRIP_MASK, _ONE)


@njit(forceinline=True)
def walk_trees(nodes, places, keys, depth):
    """Advance one row by `depth` steps down `WALKS` trees, in place; its keys are stored one after the other."""
    _advance(nodes, places, keys, depth, np.uint64(FEATURE_AT), np.uint64(FEATURE), _U0)


@njit(forceinline=True)
def _float16_to_float64(half):
    """Convert the bits of a finite float16 (uint16) to float64; exact."""
    # float32 has exponent and fraction 13 bits further left, and its exponent is biased by 112 more.
    single = np.uint32((half & 0x7FFF) << 13).view(np.float32)
    magnitude = np.float64(single) * 2.0**112
    return -magnitude if half & 0x8000 else magnitude


@njit(forceinline=True)
def add_two(values, value, sums, total):
    """Add two float16 values (as bits, uint16), starting at `value`, to the float64 sums starting at `total`."""
    for lane in range(np.uint64(2)):
        sums[total + lane] += _float16_to_float64(values[value + lane])


@njit(forceinline=True)
def add_eight(values, value, sums, total):
    """Add eight float16 values: see `add_two`."""
    for lane in range(np.uint64(LANES)):
        sums[total + lane] += _float16_to_float64(values[value + lane])
