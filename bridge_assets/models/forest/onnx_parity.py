"""Does an exported file decide and answer as the float16 forest it was made from?

Equal probabilities alone would not prove equal decisions: two wrong branches can cancel. So ONNX Runtime is also asked
which leaf each row reached in each tree of the file, and that is compared with `Float16Forest.apply`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.models.dataset.matrix import feature_matrix
from bridge_assets.models.forest.float16_forest import Float16Forest

if TYPE_CHECKING:
    import numpy as np
    import onnx

#: Random rows of each kind, and given rows that the decisions are compared on.
_N_ROWS = 1000

#: Rows that ONNX Runtime is asked for at once.
_BATCH_ROWS = 10_000

#: What the trees of an export give, for each row and tree: the row of the forest's leaf values.
LEAF_OUTPUT = "leaf"


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
    problems = _metadata_problems(forest, model)
    if problems or not any(node.op_type == "TreeEnsemble" and LEAF_OUTPUT in node.output for node in model.graph.node):
        return problems or [f"{path.name} holds no TreeEnsemble: it was not made from a float16 forest"], 1.0
    given = feature_matrix(X, forest.features)
    kinds = {"given": given, "random": random_rows(forest), "threshold": threshold_rows(forest, given)}
    session = _session(model, forest.n_trees)
    output = "probabilities" if forest.task == "classifier" else "prediction"
    largest = 0.0
    for kind, rows in kinds.items():
        if not len(rows):
            continue
        expected = forest.predict_proba(rows) if forest.task == "classifier" else forest.predict(rows).reshape(-1, 1)
        found = np.concatenate(
            [
                session.run([output], {"X": rows[start : start + _BATCH_ROWS]})[0]
                for start in range(0, len(rows), _BATCH_ROWS)
            ]
        )
        difference = float(np.abs(found - expected).max())
        largest = max(largest, difference)
        if not difference <= limit:
            problems.append(
                f"on {len(rows):,} {kind} rows an answer differs by {difference:.3g}; the limit is {limit:g}"
            )
        sampled_rows = rows[:: max(1, len(rows) // _N_ROWS)]
        (reached,) = session.run([LEAF_OUTPUT], {"X": sampled_rows})
        if n_mismatches := int((reached != forest.nodes.leaf[forest.nodes.roots + forest.apply(sampled_rows)]).sum()):
            problems.append(
                f"on {len(sampled_rows):,} {kind} rows {n_mismatches:,} of {reached.size:,} decisions (row and tree) "
                f"are other ones"
            )
    return problems, largest


def random_rows(forest: Float16Forest, count: int = _N_ROWS, seed: int = 0) -> np.ndarray:
    """Rows of any finite float16 values, tiny and huge alike; shape (count, n_features), float32."""
    import numpy as np

    bits = np.random.default_rng(seed).integers(0, 2**16, size=(count, len(forest.features)), dtype=np.uint16)
    bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits)  # an exponent of all ones is infinite or no number
    return bits.view(np.float16).astype(np.float32)


def threshold_rows(forest: Float16Forest, X: np.ndarray, count: int = _N_ROWS, seed: int = 0) -> np.ndarray:
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
        at_threshold = random.choice(thresholds, count)
        next_to_threshold = np.nextafter(
            at_threshold, random.choice(np.array([-1, 1], dtype=np.float16) * np.float16(65504), count)
        )
        values = np.where(random.random(count) < 0.5, at_threshold, next_to_threshold)
        rows[:, feature] = np.where(random.random(count) < 0.5, values.astype(np.float32), rows[:, feature])
    return rows


def _metadata_problems(forest: Float16Forest, model: onnx.ModelProto) -> list[str]:
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    expected = {
        "features": json.dumps(list(forest.features)),
        "classes": json.dumps(list(forest.classes)),
        "forest_sha256": forest.checksum,
    }
    return [
        f"the file says that its {key} is {metadata.get(key, 'nothing')[:80]}, the forest's is {value[:80]}"
        for key, value in expected.items()
        if metadata.get(key) != value
    ]


def _session(model: onnx.ModelProto, n_trees: int) -> Any:
    """The file's own graph, which gives the leaves too; shape (n, n_trees)."""
    import onnxruntime as ort
    from onnx import TensorProto, helper

    model.graph.output.append(helper.make_tensor_value_info(LEAF_OUTPUT, TensorProto.FLOAT, ["n", n_trees]))
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
