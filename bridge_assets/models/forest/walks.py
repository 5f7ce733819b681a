"""Select how trees are walked: with vector instructions where possible, otherwise in plain numba.

Both reach the same leaves and give the same sums. The choice depends on the processor, and on whether the installed
numba and llvmlite have the private interfaces that `llvm_intrinsics` uses.
"""

from __future__ import annotations

import logging

from bridge_assets.models.forest import plain_walk
from bridge_assets.models.forest.plain_walk import KEY_PADDING, LANES, NODE_PADDING

try:
    from bridge_assets.models.forest import llvm_intrinsics
except (ImportError, AttributeError) as error:
    logging.getLogger(__name__).warning(
        "forests are scored in plain numba, which is slower: the installed numba or llvmlite lacks an interface that "
        "the vector instructions need (%s). Install the versions that pyproject.toml allows",
        error,
    )
    WALKS, walk_rows, walk_trees = plain_walk.WALKS, plain_walk.walk, plain_walk.walk
    add_two, add_eight = plain_walk.add_two, plain_walk.add_eight
else:
    add_two, add_eight = llvm_intrinsics.add_two, llvm_intrinsics.add_eight
    if llvm_intrinsics.HAS_AVX512:
        WALKS, walk_rows, walk_trees = llvm_intrinsics.WALKS, llvm_intrinsics.walk_rows, llvm_intrinsics.walk_trees
    else:
        WALKS, walk_rows, walk_trees = plain_walk.WALKS, plain_walk.walk, plain_walk.walk

__all__ = ["KEY_PADDING", "LANES", "NODE_PADDING", "WALKS", "add_eight", "add_two", "walk_rows", "walk_trees"]
