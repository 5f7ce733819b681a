from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bridge_assets.errors import ForestFileError
from bridge_assets.models.forest.float16_forest import FORMAT, Float16Forest
from bridge_assets.models.forest.quantize import quantize_rf


@pytest.fixture
def saved(classifier, tmp_path):
    forest = quantize_rf(classifier)
    return forest, forest.save(tmp_path / "forest.safetensors")


def test_a_loaded_forest_gives_the_same_predictions(saved, grid_rows):
    forest, path = saved
    loaded = Float16Forest.load(path)
    assert loaded.checksum == forest.checksum
    assert (loaded.features, loaded.classes, loaded.task) == (forest.features, ("fair", "good", "poor"), "classifier")
    assert loaded.metadata == forest.metadata
    assert (loaded.predict_proba(grid_rows) == forest.predict_proba(grid_rows)).all()
    assert (loaded.predict(grid_rows) == forest.predict(grid_rows)).all()


def test_a_file_takes_three_bytes_per_inner_node_and_two_per_leaf_value(saved):
    forest, path = saved
    inner, leaves = len(forest.feature), len(forest.leaf)
    assert path.stat().st_size < 3 * inner + 6 * leaves + (inner + leaves) / 8 + 4 * forest.n_trees + 2000


def test_any_reader_of_safetensors_can_open_it(saved):
    forest, path = saved
    arrays = load_file(path)
    assert {name: str(array.dtype) for name, array in arrays.items()} == {
        "leaf_bits": "uint8",
        "tree_nodes": "int32",
        "feature": "uint8",
        "threshold": "float16",
        "leaf": "float16",
    }
    assert (arrays["threshold"] == forest.threshold).all()


def test_another_process_writes_the_same_bytes(saved, tmp_path):
    _, path = saved
    again = tmp_path / "again.safetensors"
    code = (
        "import sys; from pathlib import Path; from bridge_assets.models.forest.float16_forest import Float16Forest; "
        "Float16Forest.load(Path(sys.argv[1])).save(Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(again)], check=True)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("place", [0.0, 0.02, 0.3, 0.6, 0.999])
def test_a_changed_byte_is_found(saved, place):
    _, path = saved
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ForestFileError, match="quantize the model again"):
        Float16Forest.load(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_found(saved, share):
    _, path = saved
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ForestFileError, match="not a complete safetensors file"):
        Float16Forest.load(path)


def test_a_changed_header_is_found(saved):
    forest, path = saved
    header = {"format_version": 1, "features": list(reversed(forest.features)), "classes": list(forest.classes)}
    header |= {"task": forest.task, "metadata": dict(forest.metadata), "checksum": forest.checksum}
    save_file(load_file(path), path, metadata={FORMAT: json.dumps(header)})
    with pytest.raises(ForestFileError, match="was changed after it was written"):
        Float16Forest.load(path)


def test_another_format_version_is_rejected(saved):
    _, path = saved
    header = json.dumps({"format_version": 3, "checksum": ""})
    save_file(load_file(path), path, metadata={FORMAT: header})
    with pytest.raises(ForestFileError, match="format version 3; this version reads 1 and 2"):
        Float16Forest.load(path)


def test_another_safetensors_file_is_rejected(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": np.zeros(3, dtype=np.float32)}, path)
    with pytest.raises(ForestFileError, match="without a float16 forest"):
        Float16Forest.load(path)


def test_a_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        Float16Forest.load(tmp_path / "forest.safetensors")


def test_nodes_are_unpacked_breadth_first_tree_after_tree():
    # Two trees: 0(1, 2(3, 4)) with a split on feature 1 and one on feature 0, and a tree that is a single leaf.
    forest = Float16Forest(
        leaf_bits=np.packbits([False, True, False, True, True, True]),
        tree_nodes=np.array([5, 1], dtype=np.uint32),
        feature=np.array([1, 0], dtype=np.uint16),
        threshold=np.array([0.5, -2.0], dtype=np.float16),
        leaf=np.array([[0.25], [0.5], [0.75], [1.0]], dtype=np.float16),
        features=("a", "b"),
        classes=(),
        task="regressor",
    )
    nodes = forest.nodes
    assert nodes.roots.tolist() == [0, 5]
    assert nodes.depths.tolist() == [2, 0]
    assert nodes.is_leaf.tolist() == [False, True, False, True, True, True]
    assert nodes.left.tolist() == [1, 1, 3, 3, 4, 5]
    assert nodes.feature.tolist() == [1, 0, 0, 0, 0, 0]
    assert nodes.threshold.tolist() == [0.5, np.inf, -2.0, np.inf, np.inf, np.inf]
    assert nodes.leaf[nodes.is_leaf].tolist() == [0, 1, 2, 3]
