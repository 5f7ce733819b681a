from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

import bridge_assets
from bridge_assets.errors import FeatureError
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.kernels import (
    BLOCK_ROWS,
    FEW_ROWS,
    MIN_BLOCK_WORK,
    leaf_indices,
    mean_leaf_values,
    row_keys,
)
from bridge_assets.models.forest.onnx_parity import random_rows, threshold_rows
from bridge_assets.models.forest.packing import threshold_keys
from bridge_assets.models.forest.plain_walk import STRIP_ROWS, TOP_LEVELS
from bridge_assets.models.forest.quantize import quantize_rf, to_float16_grid
from bridge_assets.models.forest.walks import GATHER, PLAIN

#: The most rows that are processed one by one, each through many trees at a time.
FEW = FEW_ROWS - 1


def walk(forest: Float16Forest, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reference: leaves and means by walking the packed arrays node by node, in float32 and float64."""
    is_leaf = np.unpackbits(forest.leaf_bits, count=int(forest.tree_nodes.sum())).astype(bool)
    inner_of, leaf_of = np.cumsum(~is_leaf) - 1, np.cumsum(is_leaf) - 1
    reached = np.empty((len(rows), forest.n_trees), dtype=np.int32)
    means = np.empty((len(rows), forest.leaf.shape[1]), dtype=np.float32)
    roots = np.cumsum(forest.tree_nodes) - forest.tree_nodes
    for number, row in enumerate(np.asarray(rows, dtype=np.float32)):
        total = np.zeros(forest.leaf.shape[1])
        for tree, root in enumerate(roots.tolist()):
            place = 0
            while not is_leaf[root + place]:
                inner = inner_of[root + place]
                before = inner - (inner_of[root] if not is_leaf[root] else 0)
                right = row[forest.feature[inner]] > np.float32(forest.threshold[inner])
                place = 1 + 2 * before + int(right)
            reached[number, tree] = place
            total += forest.leaf[leaf_of[root + place]].astype(np.float64)
        means[number] = (total / forest.n_trees).astype(np.float32)
    return reached, means


def predict_forest(forest: Float16Forest, rows: np.ndarray, threads: int = 1) -> np.ndarray:
    if forest.task == "classifier":
        return forest.predict_proba(rows, threads=threads)
    return forest.predict(rows, threads=threads).reshape(-1, 1)


def matches_reference(forest: Float16Forest, rows: np.ndarray) -> bool:
    reached, means = walk(forest, rows)
    return bool((forest.apply(rows) == reached).all() and (predict_forest(forest, rows) == means).all())


def walks_agree(forest: Float16Forest, rows: np.ndarray) -> bool:
    """Whether both walks give the bits of the prediction and the leaves, on any processor."""
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    expected, leaves = predict_forest(forest, rows).tobytes(), forest.apply(rows)
    return all(
        mean_leaf_values(forest.packed, rows, 2, walk).tobytes() == expected
        and (leaf_indices(forest.packed, rows, 2, walk) == leaves).all()
        for walk in (PLAIN, GATHER)
    )


def build_forest(
    left_right: list[list[tuple[int, float] | None]], values: np.ndarray, features: int, task
) -> Float16Forest:
    """A forest of trees given breadth first: (feature, threshold) at an inner node, None at a leaf."""
    nodes = [node for tree in left_right for node in tree]
    inner = [node for node in nodes if node is not None]
    return Float16Forest(
        leaf_bits=np.packbits([node is None for node in nodes]),
        tree_nodes=np.array([len(tree) for tree in left_right], dtype=np.int32),
        feature=np.array([feature for feature, _ in inner], dtype=np.uint8 if features <= 256 else np.uint16),
        threshold=np.array([threshold for _, threshold in inner], dtype=np.float16),
        leaf=values,
        features=tuple(f"feature_{index}" for index in range(features)),
        classes=tuple(range(values.shape[1])) if task == "classifier" else (),
        task=task,
    )


def any_tree(draw, features: int, most_inner: int) -> list[tuple[int, float] | None]:
    """A tree of any shape: pending nodes become inner nodes or leaves one by one, breadth first."""
    tree: list[tuple[int, float] | None] = []
    pending, inner = 1, 0
    threshold = st.floats(width=16, allow_nan=False)
    while pending:
        pending -= 1
        if inner < most_inner and draw(st.booleans()):
            tree.append((draw(st.integers(0, features - 1)), draw(threshold)))
            pending, inner = pending + 2, inner + 1
        else:
            tree.append(None)
    return tree


@st.composite
def forests(draw):
    features, task = draw(st.integers(1, 4)), draw(st.sampled_from(["classifier", "regressor"]))
    trees = [any_tree(draw, features, 6) for _ in range(draw(st.integers(1, 11)))]
    outputs = draw(st.integers(2, 9)) if task == "classifier" else 1
    leaves = sum(node is None for tree in trees for node in tree)
    bits = draw(hnp.arrays(np.uint16, (leaves, outputs), elements=st.integers(0, 0x7BFF)))
    return build_forest(trees, bits.view(np.float16), features, task)


@settings(max_examples=150, deadline=None)  # the first example may have to compile
@given(st.data())
def test_any_forest_predicts_like_the_reference_walk(data):
    forest = data.draw(forests())
    thresholds = forest.threshold.astype(np.float32).tolist()
    value = st.floats(width=32, allow_nan=False, allow_infinity=False)
    if finite := [each for each in thresholds if np.isfinite(each)]:
        on = st.sampled_from(finite)
        steps = [np.nextafter(np.float32(each), np.float32(way)) for each in finite for way in (-np.inf, np.inf)]
        value = value | on | st.sampled_from([float(each) for each in steps])
    shape = (data.draw(st.sampled_from([0, 1, 2, FEW, FEW + 1, FEW + 9])), len(forest.features))
    rows = data.draw(hnp.arrays(np.float32, shape, elements=value))
    assert matches_reference(forest, rows)
    assert walks_agree(forest, rows)


@settings(deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(width=16, allow_nan=False))
def test_keys_compare_like_their_numbers(value, threshold):
    (key,) = row_keys(np.array([value], dtype=np.float32))
    assert (key > threshold_keys(np.array([threshold], dtype=np.float16))[0]) == (value > threshold)


def test_keys_around_every_threshold_compare_like_their_numbers():
    thresholds = np.arange(2**16, dtype=np.uint16).view(np.float16)
    keys = threshold_keys(thresholds)
    finite = np.isfinite(thresholds)
    numbers = thresholds[finite].astype(np.float32)
    for values in (numbers, np.nextafter(numbers, np.float32(-np.inf)), np.nextafter(numbers, np.float32(np.inf))):
        assert ((row_keys(values) > keys[finite]) == (values > numbers)).all()
    assert (row_keys(numbers) > keys[thresholds == -np.inf]).all()
    assert (row_keys(numbers) <= keys[thresholds == np.inf]).all()
    assert (keys[np.isnan(thresholds)] == np.iinfo(np.int16).max).all(), (
        "no value is above a threshold that is not a number"
    )


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize("count", [0, 1, FEW, FEW + 1, 300])
def test_rows_on_thresholds_reach_the_leaf_of_the_reference_walk(kind, count, grid_rows, request):
    forest = quantize_rf(request.getfixturevalue(kind))
    assert matches_reference(forest, threshold_rows(forest, grid_rows, count=count))
    assert matches_reference(forest, random_rows(forest, count=count))


@pytest.mark.parametrize("depth", [1, TOP_LEVELS, TOP_LEVELS + 1, None])
@pytest.mark.parametrize("count", [FEW + 1, STRIP_ROWS - 1, STRIP_ROWS, STRIP_ROWS + 1, 3 * STRIP_ROWS + 17])
def test_both_walks_give_the_same_bits(depth, count, grid_rows):
    labels = np.random.default_rng(3).integers(0, 3, len(grid_rows))
    forest = quantize_rf(RandomForestClassifier(21, max_depth=depth, random_state=0).fit(grid_rows, labels))
    rows = threshold_rows(forest, grid_rows, count=count)
    assert matches_reference(forest, rows)
    assert walks_agree(forest, rows)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_neither_blocks_nor_threads_change_a_prediction(kind, beyond, grid_rows, request):
    forest = quantize_rf(request.getfixturevalue(kind))
    rows = threshold_rows(forest, grid_rows, count=3 * MIN_BLOCK_WORK // forest.n_trees + beyond)
    few = np.concatenate([predict_forest(forest, rows[start : start + FEW]) for start in range(0, len(rows), FEW)])
    leaves = np.concatenate([forest.apply(rows[start : start + FEW]) for start in range(0, len(rows), FEW)])
    for threads in (1, 2, 3, 0):
        assert predict_forest(forest, rows, threads=threads).tobytes() == few.tobytes()
        assert (forest.apply(rows, threads=threads) == leaves).all()


def test_more_rows_than_a_block_are_predicted_like_fewer(classifier, grid_rows):
    forest = quantize_rf(classifier)
    rows = threshold_rows(forest, grid_rows, count=BLOCK_ROWS + 1)
    halves = np.array_split(rows, 2)
    assert (predict_forest(forest, rows) == np.concatenate([predict_forest(forest, half) for half in halves])).all()
    assert (forest.apply(rows) == np.concatenate([forest.apply(half) for half in halves])).all()


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_negative_number_of_threads_is_rejected(count, classifier, grid_rows):
    with pytest.raises(ValueError, match="threads must be 0"):
        quantize_rf(classifier).predict_proba(grid_rows[:count], threads=-1)


@pytest.mark.parametrize("count", [1, FEW + 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_missing_or_infinite_value_is_rejected_with_the_feature_name(value, count, classifier, grid_rows):
    rows = grid_rows[:count].copy()
    rows[-1, 3] = value
    with pytest.raises(FeatureError, match=rf"row {count - 1}: feature feature_3 is {value}"):
        quantize_rf(classifier).predict_proba(rows)


@pytest.mark.parametrize("classes", [2, 3, 8, 40])
def test_any_number_of_classes_is_predicted(classes, grid_rows):
    labels = np.random.default_rng(classes).integers(0, classes, len(grid_rows))
    model = RandomForestClassifier(9, max_depth=6, random_state=0).fit(grid_rows, labels)
    forest = quantize_rf(model)
    assert matches_reference(forest, grid_rows[:60])
    assert (forest.predict(grid_rows) == np.asarray(forest.classes)[forest.predict_proba(grid_rows).argmax(1)]).all()
    assert np.abs(forest.predict_proba(grid_rows) - model.predict_proba(grid_rows)).max() <= 0.001


@pytest.mark.parametrize("depth", [1, 2, None])
def test_stumps_and_fully_grown_trees_are_walked(depth, grid_rows):
    model = RandomForestRegressor(7, max_depth=depth, random_state=0).fit(grid_rows, grid_rows[:, 1] ** 2)
    assert matches_reference(quantize_rf(model), grid_rows[:80])


def test_a_tree_as_deep_as_it_has_inner_nodes_is_walked():
    depth = 400
    chain: list[tuple[int, float] | None] = [(0, 0.0)]
    for level in range(1, depth):
        chain += [None, (0, float(level))]
    chain += [None, None]
    values = np.arange(depth + 1, dtype=np.float16).reshape(-1, 1)
    forest = build_forest([chain, [None]], np.vstack([values, [[0]]]).astype(np.float16), 1, "regressor")
    rows = np.arange(-1, depth + 1, dtype=np.float32).reshape(-1, 1)
    assert matches_reference(forest, rows)


def test_more_than_256_features_are_walked():
    rows = np.random.default_rng(0).integers(-9, 9, (200, 300)).astype(np.float32)
    model = RandomForestClassifier(20, random_state=0).fit(rows, rows[:, 299] > 0)
    assert matches_reference(quantize_rf(model), rows)


def test_thresholds_and_values_beyond_float16_are_compared_correctly():
    forest = build_forest(
        [[(0, -np.inf), None, (0, 65504.0), None, None]], np.array([[0], [1], [2]], np.float16), 1, "regressor"
    )
    rows = np.array([[-3e38], [-65504], [65504], [np.nextafter(np.float32(65504), np.float32(1e9))], [3e38]])
    assert forest.predict(rows).tolist() == [1, 1, 1, 2, 2]
    assert matches_reference(forest, rows)


def test_the_memory_layout_of_the_rows_does_not_matter(classifier, grid_rows):
    forest = quantize_rf(classifier)
    expected = forest.predict_proba(grid_rows)
    assert (forest.predict_proba(np.asfortranarray(grid_rows)) == expected).all()
    assert (forest.predict_proba(np.repeat(grid_rows, 2, axis=0)[::2]) == expected).all()
    assert (forest.predict_proba(grid_rows.astype(np.float64)) == expected).all()


def test_a_loaded_forest_predicts_from_several_threads_at_once(classifier, grid_rows, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    forest = quantize_rf(classifier)
    expected = forest.predict_proba(grid_rows)
    loaded = Float16Forest.load(forest.save(tmp_path / "forest.safetensors"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: loaded.predict_proba(grid_rows, threads=2), range(8)))
    assert all((found == expected).all() for found in answers)


def test_leaf_values_of_very_different_size_are_summed_exactly():
    # 2**-24 next to 1: a sum in float32 would lose the small ones.
    small, trees = float(np.float16(2**-24)), 300
    values = np.tile(np.array([[1.0, small]], dtype=np.float16), (trees, 1))
    values[::2] = values[::2, ::-1]
    forest = build_forest([[None]] * trees, values, 1, "classifier")
    exact = np.float32((trees / 2 * (1 + small)) / trees)
    for count in (1, FEW + 1):
        assert (forest.predict_proba(np.zeros((count, 1))) == exact).all()


def test_replacing_the_leaves_changes_only_the_new_forest(regressor, grid_rows):
    forest = quantize_rf(regressor)
    before = forest.predict(grid_rows)
    doubled = replace(forest, leaf=forest.leaf * np.float16(2))
    assert (doubled.predict(grid_rows) == 2 * before).all()
    assert (forest.predict(grid_rows) == before).all()


def test_values_on_the_grid_keep_their_order_as_keys(grid_rows):
    values = np.unique(to_float16_grid(grid_rows))
    assert (np.diff(row_keys(values)) > 0).all()


#: Ways to have only the plain walk in another process: environment, code to run first, and a condition that must hold.
PLAIN_RUNS = {
    "without AVX-512": ({"NUMBA_CPU_NAME": "generic"}, "", "walks.WALKS_TO_TRY == ('plain',)"),
    "without private interfaces": (
        {},
        "sys.modules['bridge_assets.models.forest.llvm_intrinsics'] = None",
        "(walks.WALKS_TO_TRY, walks.add_two) == (('plain',), plain_walk.add_two)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("run", PLAIN_RUNS)
def test_the_plain_walk_gives_the_same_predictions(run, tmp_path):
    """Runs the other tests of this file in a process that cannot use the vector instructions."""
    variables, setup, condition = PLAIN_RUNS[run]
    code = f"""
import sys
{setup}
from bridge_assets.models.forest import plain_walk, walks
assert {condition}
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", "-k", "not plain_walk_gives", {__file__!r}]))
"""
    environment = {**os.environ, **variables, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_only_one_module_uses_private_interfaces_of_numba():
    package = Path(bridge_assets.__file__).parent
    private = ("numba.core", "numba.np", "numba.extending", "llvmlite")
    users = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(f"{how} {name}" in path.read_text(encoding="utf-8") for how in ("from", "import") for name in private)
    ]
    assert users == ["models/forest/llvm_intrinsics.py"]
