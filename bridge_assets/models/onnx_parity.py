"""Does an exported file decide and answer as the float16 forest it was made from?

Equal probabilities alone would not prove equal decisions: two wrong branches can cancel. So the trees of the file
itself, with its own thresholds, features and branches, are also run with other leaf values, those being the leaf's
number, and one output a tree. ONNX Runtime then says which leaf each row reached, and that is compared with
`Float16Forest.apply`, tree by tree.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.models.forest import Float16Forest
from bridge_assets.models.matrix import feature_matrix

if TYPE_CHECKING:
    import numpy as np
    import onnx

#: Random rows of each kind, and given rows that the decisions are compared on.
_ROWS = 1000

#: Rows for which ONNX Runtime is asked for the leaf of every tree at once.
_BLOCK = 1000


def onnx_problems(forest: Float16Forest, path: Path, X: Any, limit: float = 1e-5) -> tuple[list[str], float]:
    """Compare an exported file with its forest, on given rows, random rows, and rows exactly on thresholds.

    Parameters
    ----------
    forest : Float16Forest
    path : Path
        Written by `export_to_onnx` from `forest`.
    X : array of shape (n, n_features) or DataFrame
        Real rows, normalised. All of them are compared by their answers; decisions on 1,000 spread over them.
    limit : float
        Most an answer may differ. Decisions may not differ at all.

    Returns
    -------
    problems : list of str
        Empty = parity.
    difference : float
        The largest difference of an answer; 1, the most that a probability can differ, where the file gives none.
    """
    import numpy as np
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's and the disk's errors share no other base
        return [f"{path} cannot be read as ONNX: {error}"], 1.0
    problems = _other_description(forest, model)
    if problems or not any(node.op_type == "TreeEnsembleRegressor" for node in model.graph.node):
        return problems or [f"{path.name} holds no TreeEnsembleRegressor: it was not made from a float16 forest"], 1.0
    given = feature_matrix(X, forest.features)
    kinds = {"given": given, "random": random_rows(forest), "threshold": threshold_rows(forest, given)}
    answers, leaves = (
        _session(model.SerializeToString()),
        _session(_leaf_numbers(model, forest.n_trees).SerializeToString()),
    )
    output = "probabilities" if forest.task == "classifier" else "prediction"
    largest = 0.0
    for kind, rows in kinds.items():
        if not len(rows):
            continue
        expected = forest.predict_proba(rows) if forest.task == "classifier" else forest.predict(rows).reshape(-1, 1)
        found = np.concatenate(
            [answers.run([output], {"X": rows[start : start + 50_000]})[0] for start in range(0, len(rows), 50_000)]
        )
        difference = float(np.abs(found - expected).max())
        largest = max(largest, difference)
        if not difference <= limit:
            problems.append(
                f"on {len(rows):,} {kind} rows an answer differs by {difference:.3g}; the limit is {limit:g}"
            )
        some = rows[:: max(1, len(rows) // _ROWS)]
        reached = np.concatenate(
            [leaves.run(None, {"X": some[start : start + _BLOCK]})[0] for start in range(0, len(some), _BLOCK)]
        )
        if others := int((reached != forest.apply(some)).sum()):
            problems.append(
                f"on {len(some):,} {kind} rows {others:,} of {reached.size:,} decisions (row and tree) are other ones"
            )
    return problems, largest


def random_rows(forest: Float16Forest, count: int = _ROWS, seed: int = 0) -> np.ndarray:
    """Rows of any finite float16 values, tiny and huge alike; shape (count, n_features), float32."""
    import numpy as np

    bits = np.random.default_rng(seed).integers(0, 2**16, size=(count, len(forest.features)), dtype=np.uint16)
    bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits)  # an exponent of all ones is infinite or no number
    return bits.view(np.float16).astype(np.float32)


def threshold_rows(forest: Float16Forest, X: np.ndarray, count: int = _ROWS, seed: int = 0) -> np.ndarray:
    """Rows whose values are thresholds of their features, or the float16 value next above or below one.

    Parameters
    ----------
    forest : Float16Forest
    X : np.ndarray of shape (n, n_features)
        Where a feature has no threshold, and for half of the others, the value is that of a row of X (0 if there are
        none): a row of nothing but thresholds would take few of the paths.

    Returns
    -------
    np.ndarray
        Shape (count, n_features), float32.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    width = len(forest.features)
    rows = X[random.integers(0, len(X), count)].copy() if len(X) else np.zeros((count, width), dtype=np.float32)
    for feature in range(width):
        thresholds = forest.threshold[forest.feature == feature]
        thresholds = thresholds[np.isfinite(thresholds)]
        if not len(thresholds):
            continue
        on = random.choice(thresholds, count)
        beside = np.nextafter(on, random.choice(np.array([-1, 1], dtype=np.float16) * np.float16(65504), count))
        values = np.where(random.random(count) < 0.5, on, beside)
        rows[:, feature] = np.where(random.random(count) < 0.5, values.astype(np.float32), rows[:, feature])
    return rows


def _other_description(forest: Float16Forest, model: onnx.ModelProto) -> list[str]:
    said = {entry.key: entry.value for entry in model.metadata_props}
    expected = {
        "features": json.dumps(list(forest.features)),
        "classes": json.dumps(list(forest.classes)),
        "forest_sha256": forest.checksum,
    }
    return [
        f"the file says that its {key} is {said.get(key, 'nothing')[:80]}, the forest's is {value[:80]}"
        for key, value in expected.items()
        if said.get(key) != value
    ]


def _leaf_numbers(model: onnx.ModelProto, n_trees: int) -> onnx.ModelProto:
    """The same trees, giving for each tree the number of the leaf that was reached; shape (n, n_trees)."""
    from onnx import TensorProto, helper

    trees = next(node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor")
    fields = {field.name: helper.get_attribute_value(field) for field in trees.attribute}
    leaves = [
        (tree, number)
        for tree, number, mode in zip(
            fields["nodes_treeids"], fields["nodes_nodeids"], fields["nodes_modes"], strict=True
        )
        if mode == b"LEAF"
    ]
    kept = {name: value for name, value in fields.items() if name.startswith("nodes_")}
    node = helper.make_node(
        "TreeEnsembleRegressor",
        list(trees.input),
        ["leaf"],
        domain="ai.onnx.ml",
        n_targets=n_trees,
        aggregate_function="SUM",
        target_treeids=[tree for tree, _ in leaves],
        target_nodeids=[number for _, number in leaves],
        target_ids=[tree for tree, _ in leaves],
        target_weights=[float(number) for _, number in leaves],  # exact in float32 up to 2**24 nodes a tree
        **kept,
    )
    result = helper.make_tensor_value_info("leaf", TensorProto.FLOAT, ["n", n_trees])
    graph = helper.make_graph([node], "leaf_numbers", list(model.graph.input), [result])
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _session(content: bytes) -> Any:
    import onnxruntime as ort

    return ort.InferenceSession(content, providers=["CPUExecutionProvider"])
