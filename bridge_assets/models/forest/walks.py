"""Find out which walk is the faster one on this processor: the plain one, or the one that gathers.

Both reach the same leaves and give the same sums. Where a processor has AVX-512, either may be twice as fast as the
other: gathers are fast on Intel's since 2019 and slow on AMD's Zen 4. So both score a small forest once, and the
faster one is kept for the process, and in the user's cache folder for the next ones. Without AVX-512, there is nothing
to choose.

Belongs here: the choice. Does not belong here: the walks (`plain_walk`, `llvm_intrinsics`), the loops (`kernels`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.models.forest import plain_walk

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.models.forest.packing import PackedForest

PLAIN, GATHER = "plain", "gather"

_logger = logging.getLogger(__name__)

try:
    from bridge_assets.models.forest import llvm_intrinsics
except (ImportError, AttributeError) as error:
    _logger.warning(
        "forests are scored in plain numba, which is slower: the installed numba or llvmlite lacks an interface that "
        "the vector instructions need (%s). Install the versions that pyproject.toml allows",
        error,
    )
    WALKS_TO_TRY: tuple[str, ...] = (PLAIN,)
    gather_rows = plain_walk.walk_rows
    add_two, add_eight = plain_walk.add_two, plain_walk.add_eight
    _TARGET = ""
else:
    WALKS_TO_TRY = (PLAIN, GATHER) if llvm_intrinsics.HAS_AVX512 else (PLAIN,)
    gather_rows = llvm_intrinsics.walk_rows
    add_two, add_eight = llvm_intrinsics.add_two, llvm_intrinsics.add_eight
    _TARGET = llvm_intrinsics.TARGET

#: Version of the walks: raise it after a change that may make another one the faster.
_VERSION = 1

#: Each walk is timed this often, alternately, and its shortest time counts: other processes only add time.
_ROUNDS = 7

#: The forest that is timed: complete trees whose nodes fill a first-level cache twice, as those of a real one do.
_TREES, _DEPTH, _ROWS, _FEATURES = 8, 12, 2048, 40

_measuring = threading.Lock()
_chosen: dict[tuple[str, ...], str] = {}


def known_walk() -> str:
    """The walk chosen before in this process; otherwise the plain one, which is fast enough everywhere."""
    return _chosen.get(WALKS_TO_TRY, PLAIN)


def fastest_walk(seconds: Callable[[str], float]) -> str:
    """The faster walk: chosen before in this process, else read from the cache folder, else measured.

    Parameters
    ----------
    seconds : callable
        Scores `timing_sample` with a walk and returns the time. Called only if there is more than one walk to try; the
        first call of each may have to compile, and does not count.

    Returns
    -------
    str
        `PLAIN` or `GATHER`. While another thread measures, `PLAIN`: nobody waits.
    """
    if len(WALKS_TO_TRY) == 1:
        return WALKS_TO_TRY[0]
    if (chosen := _chosen.get(WALKS_TO_TRY)) is not None:
        return chosen
    if not _measuring.acquire(blocking=False):
        return PLAIN
    try:
        chosen = _read() or _measure(seconds)
        _chosen[WALKS_TO_TRY] = chosen
        return chosen
    finally:
        _measuring.release()


@cache
def timing_sample() -> tuple[PackedForest, np.ndarray]:
    """A forest of complete trees and rows that spread over all of its leaves; always the same ones."""
    import numpy as np

    from bridge_assets.models.forest.nodes import UnpackedNodes
    from bridge_assets.models.forest.packing import pack_forest

    random = np.random.default_rng(0)
    inner, size = 2**_DEPTH - 1, 2 ** (_DEPTH + 1) - 1
    roots = np.arange(_TREES) * size
    is_leaf = np.tile(np.arange(size) >= inner, _TREES)
    left = (roots[:, None] + np.where(np.arange(size) < inner, 2 * np.arange(size) + 1, np.arange(size))).ravel()
    thresholds = random.normal(scale=0.5, size=inner * _TREES).astype(np.float16)
    feature = np.where(is_leaf, 0, random.integers(0, _FEATURES, size * _TREES))
    nodes = UnpackedNodes(
        roots=roots,
        depths=np.full(_TREES, _DEPTH),
        is_leaf=is_leaf,
        left=left,
        feature=feature,
        threshold=np.empty(0),
        leaf=np.empty(0),
    )
    leaves = random.random((int(is_leaf.sum()), 2)).astype(np.float16)
    return pack_forest(nodes, thresholds, leaves, _FEATURES), random.normal(size=(_ROWS, _FEATURES)).astype(np.float32)


def processor() -> str:
    """The name of this processor as the operating system says it, and the one that numba compiles for."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {_TARGET.partition(' ')[0]}" if _TARGET else name


def _measure(seconds: Callable[[str], float]) -> str:
    best = dict.fromkeys(WALKS_TO_TRY, float("inf"))
    for number in range(_ROUNDS + 1):
        for walk in WALKS_TO_TRY:
            taken = seconds(walk)
            if number:
                best[walk] = min(best[walk], taken)
    chosen = min(best, key=best.__getitem__)
    _logger.debug("walks of a forest on %s: %s; kept: %s", processor(), best, chosen)
    _write(chosen, best)
    return chosen


def _origin() -> dict[str, str]:
    """What a measurement depends on."""
    import numba

    return {"processor": processor(), "target": _TARGET, "numba": numba.__version__, "version": str(_VERSION)}


def _file() -> Path:
    """Where the choice for this processor is kept between processes.

    Raises
    ------
    RuntimeError
        If this user has no home directory.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(json.dumps(_origin(), sort_keys=True).encode()).hexdigest()
    return folder / "bridge_assets" / f"forest_walk_{digest[:16]}.json"


def _read() -> str:
    """The choice of an earlier process; empty if there is none, or it is of no use."""
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
        return kept["walk"] if kept["walk"] in WALKS_TO_TRY and kept["of"] == _origin() else ""
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return ""


def _write(walk: str, seconds: dict[str, float]) -> None:
    """Keep the choice for other processes. Where that is impossible, each one measures: a few milliseconds."""
    from bridge_assets.storage import write_json

    try:
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json({"of": _origin(), "walk": walk, "seconds": seconds}, file)
    except (OSError, RuntimeError) as error:
        _logger.debug("the faster walk is not kept for other processes: %s", error)
