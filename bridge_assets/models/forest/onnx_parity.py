"""Check that an exported ONNX file makes the same decisions and predictions as its float16 forest.

Equal probabilities alone would not prove equal decisions: two wrong branches can cancel out. So the leaf that each row
reaches in each tree of the file is compared with `Float16Forest.apply` too.
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

#: Number of random rows, of rows on thresholds, and of given rows for which decisions are compared.
_N_ROWS = 1000

#: Rows in one call of ONNX Runtime.
_BATCH_ROWS = 10_000

#: Internal output of an export: for each row and tree, the row of the forest's leaf values.
LEAF_OUTPUT = "leaf"


def onnx_problems(forest: Float16Forest, path: Path, X: Any, limit: float = 1e-5) -> tuple[list[str], float]:
    """Compare an exported file with its forest, on given rows, random rows, and rows exactly on thresholds.

    Parameters
    ----------
    forest : Float16Forest
    path : Path
        Written by `export_to_onnx` from `forest`.
    X : array of shape (n, n_features) or DataFrame
        Real rows, normalised. Predictions are compared for all of them, decisions for 1,000 spread evenly over them.
    limit : float
        Largest difference allowed in a prediction. Decisions may not differ at all.

    Returns
    -------
    problems : list of str
        Empty = parity.
    difference : float
        Largest difference of a prediction; 1, the maximum for a probability, if the file cannot be compared.
    """
    import numpy as np
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:  # errors of protobuf and of the disk have no common base class but Exception
        return [f"{path} cannot be read as ONNX: {error}"], 1.0
    problems = _metadata_problems(forest, model)
    if problems or not any(node.op_type == "TreeEnsemble" and LEAF_OUTPUT in node.output for node in model.graph.node):
        return problems or [f"{path.name} has no TreeEnsemble: it was not exported from a float16 forest"], 1.0
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
                f"on {len(rows):,} {kind} rows, a prediction differs by {difference:.3g}; at most {limit:g} is allowed"
            )
        sampled_rows = rows[:: max(1, len(rows) // _N_ROWS)]
        (reached,) = session.run([LEAF_OUTPUT], {"X": sampled_rows})
        if n_mismatches := int((reached != forest.nodes.leaf[forest.nodes.roots + forest.apply(sampled_rows)]).sum()):
            problems.append(
                f"on {len(sampled_rows):,} {kind} rows, {n_mismatches:,} of {reached.size:,} decisions (row and tree) "
                f"differ"
            )
    return problems, largest


def random_rows(forest: Float16Forest, count: int = _N_ROWS, seed: int = 0) -> np.ndarray:
    """Rows of random finite float16 values of any size; shape (count, n_features), float32."""
    import numpy as np

    bits = np.random.default_rng(seed).integers(0, 2**16, size=(count, len(forest.features)), dtype=np.uint16)
    bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits)  # an exponent of all ones means infinite or NaN
    return bits.view(np.float16).astype(np.float32)


def threshold_rows(forest: Float16Forest, X: np.ndarray, count: int = _N_ROWS, seed: int = 0) -> np.ndarray:
    """Rows whose values are thresholds of their features, or the next float16 value above or below one.

    Parameters
    ----------
    forest : Float16Forest
    X : np.ndarray of shape (n, n_features)
        Features without a threshold, and half of the others, take their value from a row of X (0 if X is empty): rows
        of thresholds only would reach few of the leaves.

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
        f"{key} in the file is {metadata.get(key, 'missing')[:80]}, but {value[:80]} in the forest"
        for key, value in expected.items()
        if metadata.get(key) != value
    ]


def _session(model: onnx.ModelProto, n_trees: int) -> Any:
    """A session of the file's graph with the leaves, shape (n, n_trees), as an additional output."""
    import onnxruntime as ort
    from onnx import TensorProto, helper

    model.graph.output.append(helper.make_tensor_value_info(LEAF_OUTPUT, TensorProto.FLOAT, ["n", n_trees]))
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
