"""Walk rows down trees, eight at a time, with the public interface of numba: runs on every processor.

A node is an int64. From the lowest bit: the left child (32 bits; the right child follows it, and a leaf is its own left
child), the feature (16 bits), the key of the threshold (16 bits). The position of a walk is a uint64, an index of a
node.

Belongs here: code that needs only numba's documented interface. Does not belong here: vector instructions
(`llvm_intrinsics`), the choice between the two (`walks`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: 64-bit numbers in a vector of AVX-512. Arrays are padded for vectors of this length on every processor.
LANES = 8

#: Keys that may be read past the last one: eight bytes are loaded to use two.
KEY_PADDING = 3

#: Nodes that may be read past the last root.
NODE_PADDING = LANES

#: Mask of the left child, mask of the feature, and the positions of the first bits of feature and key.
LEFT, FEATURE, FEATURE_AT, KEY_AT = 0xFFFFFFFF, 0xFFFF, 32, 48

#: Number of walks that advance at once.
WALKS = LANES


@njit(forceinline=True)
def _step(nodes, position, keys, row):
    node = nodes[position]
    key = np.int64(keys[row + ((np.uint64(node) >> np.uint64(FEATURE_AT)) & np.uint64(FEATURE))])
    # The threshold is in the highest bits of the node; the lower bits cannot make a smaller key larger.
    return np.uint64(node & np.int64(LEFT)) + np.uint64((key << np.int64(KEY_AT)) > node)


@njit(forceinline=True)
def walk(nodes, root, starts, keys, rows, depth, reached):
    """Advance `WALKS` walks by `depth` steps from the nodes `root + starts`, each with its row of keys.

    Writes the nodes that they reach to `reached`.
    """
    a, b, c, d = root + starts[0], root + starts[1], root + starts[2], root + starts[3]
    e, f, g, h = root + starts[4], root + starts[5], root + starts[6], root + starts[7]
    for _ in range(depth):
        a, b = _step(nodes, a, keys, rows[0]), _step(nodes, b, keys, rows[1])
        c, d = _step(nodes, c, keys, rows[2]), _step(nodes, d, keys, rows[3])
        e, f = _step(nodes, e, keys, rows[4]), _step(nodes, f, keys, rows[5])
        g, h = _step(nodes, g, keys, rows[6]), _step(nodes, h, keys, rows[7])
    reached[0], reached[1], reached[2], reached[3] = a, b, c, d
    reached[4], reached[5], reached[6], reached[7] = e, f, g, h


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
