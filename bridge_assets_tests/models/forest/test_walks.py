from __future__ import annotations

import json
import multiprocessing
import os
import platform
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from bridge_assets.compiled import cached_njit
from bridge_assets.models.forest import kernels, walks
from bridge_assets.models.forest.quantize import quantize_rf
from bridge_assets.models.forest.walks import GATHER, PLAIN, fastest_walk, known_walk, timing_sample


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A process with two walks to try that has chosen none, and an empty cache folder."""
    monkeypatch.setattr(walks, "WALKS_TO_TRY", (PLAIN, GATHER))
    monkeypatch.setattr(walks, "_chosen", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bridge_assets"


class Clock:
    """Times of the two walks, and how often each was asked for."""

    def __init__(self, plain: float, gather: float) -> None:
        self.seconds = {PLAIN: plain, GATHER: gather}
        self.asked: list[str] = []

    def __call__(self, walk: str) -> float:
        self.asked.append(walk)
        # Now and then another process takes the processor.
        return self.seconds[walk] * (50 if len(self.asked) % 3 else 1)


@pytest.mark.parametrize(("plain", "gather", "faster"), [(1.0, 2.0, PLAIN), (2.0, 1.0, GATHER)])
def test_the_faster_walk_is_kept_for_the_process_and_for_the_next_one(plain, gather, faster, cache, monkeypatch):
    clock = Clock(plain, gather)
    assert fastest_walk(clock) == faster == fastest_walk(clock) == known_walk()
    assert len(clock.asked) == 2 * (walks._ROUNDS + 1)
    monkeypatch.setattr(walks, "_chosen", {})
    later = Clock(gather, plain)
    assert fastest_walk(later) == faster
    assert later.asked == []
    (kept,) = cache.iterdir()
    assert json.loads(kept.read_text(encoding="utf-8"))["of"]["processor"] == walks.processor()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"walk": "gather"}', '{"walk": "other", "of": {}}', "\ud800"])
def test_a_damaged_choice_is_measured_again(content, cache, monkeypatch):
    fastest_walk(Clock(1, 2))
    (kept,) = cache.iterdir()
    kept.write_text(content, encoding="utf-8", errors="surrogatepass")
    monkeypatch.setattr(walks, "_chosen", {})
    assert fastest_walk(Clock(2, 1)) == GATHER
    assert json.loads(kept.read_text(encoding="utf-8"))["walk"] == GATHER


def test_the_choice_of_another_processor_is_not_taken(cache, monkeypatch):
    fastest_walk(Clock(1, 2))
    monkeypatch.setattr(walks, "_chosen", {})
    monkeypatch.setattr(walks, "processor", lambda: "another processor")
    assert fastest_walk(Clock(2, 1)) == GATHER
    assert len(list(cache.iterdir())) == 2


def test_without_a_cache_folder_each_process_measures(cache, monkeypatch):
    cache.write_text("a file where the folder should be", encoding="utf-8")
    assert fastest_walk(Clock(2, 1)) == GATHER == known_walk()
    monkeypatch.setattr(walks, "_chosen", {})
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/proc/no_home")
    assert fastest_walk(Clock(1, 2)) == PLAIN


def test_one_walk_is_not_timed(cache, monkeypatch):
    monkeypatch.setattr(walks, "WALKS_TO_TRY", (PLAIN,))
    clock = Clock(1, 1)
    assert fastest_walk(clock) == PLAIN
    assert clock.asked == [] and not cache.exists()


def test_few_rows_do_not_pay_for_the_timing(cache, classifier, grid_rows):
    forest = quantize_rf(classifier)
    for count in (0, 1, kernels.FEW_ROWS, kernels.MIN_BLOCK_WORK // forest.n_trees - 1):
        forest.predict_proba(np.resize(grid_rows, (count, grid_rows.shape[1])))
    assert walks._chosen == {} and not cache.exists()
    forest.predict_proba(np.resize(grid_rows, (kernels.MIN_BLOCK_WORK // forest.n_trees + 1, grid_rows.shape[1])))
    assert known_walk() == next(iter(walks._chosen.values()))
    assert cache.exists()


def test_threads_that_score_while_one_measures_do_not_wait(cache):
    inside, go_on = threading.Event(), threading.Event()

    def slow(walk: str) -> float:
        inside.set()
        assert go_on.wait(30)
        return 2.0 if walk == PLAIN else 1.0

    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(fastest_walk, slow)
        assert inside.wait(30)
        assert fastest_walk(Clock(1, 1)) == PLAIN
        # A process forked now never sees the end of that measurement.
        child = multiprocessing.get_context("fork").Process(target=fastest_walk, args=(Clock(1, 1),))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        go_on.set()
        assert measuring.result(30) == GATHER == known_walk()


def test_the_timed_forest_reaches_many_leaves_and_both_walks_agree_on_it():
    packed, rows = timing_sample()
    leaves = kernels.leaf_indices(packed, rows, 1, PLAIN)
    assert (leaves == kernels.leaf_indices(packed, rows, 1, GATHER)).all()
    assert all(len(np.unique(of_tree)) > len(rows) / 4 for of_tree in leaves.T)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks at the instructions of x86-64")
def test_the_upper_levels_are_compared_with_vector_instructions(tmp_path):
    """LLVM stops to vectorize a loop without a word, and scoring then takes three times as long."""
    code = """
import numpy as np
from bridge_assets.compiled import cached_njit
from bridge_assets.models.forest import kernels, walks
packed, rows = walks.timing_sample()
kernels.mean_leaf_values(packed, rows, 1, "plain")
(instructions,) = kernels._means_plain.inspect_asm().values()
assert instructions.count("pcmpgtw") >= 2, instructions.count("pcmpgtw")
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CPU_NAME": "generic"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_loop_that_cannot_be_kept_on_disk_is_compiled_all_the_same():
    """numba finds no place for a function whose file it cannot write next to, as in a read-only container."""
    names: dict = {}
    exec(compile("def successor(x):\n    return x + 1", "/proc/nowhere/loop.py", "exec"), names)
    with pytest.raises(RuntimeError, match="no locator available"):
        njit(cache=True)(names["successor"])
    assert cached_njit(nogil=True)(names["successor"])(1) == 2


def test_a_loop_in_a_folder_that_can_be_written_is_kept():
    assert kernels._row_keys.stats.cache_path
