"""Export a forest to ONNX, the format that endpoints serve.

The trees of a float16 forest become one TreeEnsemble. Its thresholds are float32 fields with float16 values (ONNX
Runtime does not support float16 trees), so each decision is the same. A leaf of that operator holds one number: here,
the row of a float16 table with the leaf's values. The rows that all trees reach are looked up and averaged in float32.
Each class has its own column, also with two classes: each value is rounded separately, so the second one is not 1 - p,
and a row sums to 1 within 2**-12 per class.

A call needs 8 bytes, plus 6 per class, for each row and tree: send a few thousand rows per call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import ExportError
from bridge_assets.models.calibration.rating_odds import insert_rating_odds
from bridge_assets.models.dataset.matrix import feature_matrix, feature_names
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.onnx_parity import LEAF_OUTPUT
from bridge_assets.models.forest.onnx_sklearn import MAX_LEAVES, from_sklearn, label_tensor, rows_on_thresholds
from bridge_assets.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    import onnx

#: Operator sets and file version. TreeEnsemble was added in ai.onnx.ml 5, with ONNX 1.16 (2024) and file version 10.
#: ONNX Runtime supports it since 1.21.
OPSET, ML_OPSET, IR_VERSION = 17, 5, 10

#: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
_SUM, _BRANCH_LEQ = 1, 0

#: Largest difference allowed between the export and the model on the sample rows, relative to the largest prediction if
#: that is above 1. The cause is float32 sums over some hundred trees.
_SAMPLE_TOLERANCE = 1e-5


def export_to_onnx(model: Any, X_sample: Any, path: Path | str) -> Path:
    """Write a forest as ONNX, after comparing the export's predictions for the sample rows with the model's.

    The export of a scikit-learn forest is compared on rows exactly at thresholds too. Its labels are the model's own,
    also where two classes are equally likely.

    Parameters
    ----------
    model : Float16Forest, RandomForestClassifier or RandomForestRegressor
        The export of a classifier has the outputs `label` and `probabilities` (n, n_classes), that of a regressor
        `prediction` (n, 1); the input is `X` (n, n_features), float32.
    X_sample : array of shape (n, n_features) or DataFrame
        Some rows of normalised features.
    path : Path or str

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    TypeError
        If the model has another type, or is not fitted.
    FeatureError
        If the sample rows do not fit the model.
    ExportError
        If the export is not valid ONNX, or its predictions or labels differ from the model's.
    StorageError
        If it cannot be written; `path` is then unchanged.
    """
    import onnx

    path = Path(path)
    features = _model_features(model)
    sample = feature_matrix(X_sample, features)
    graph = _from_float16(model) if isinstance(model, Float16Forest) else from_sklearn(model, OPSET)
    _set_metadata(graph, model, features)
    try:
        onnx.checker.check_model(graph, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the export is not valid ONNX: {error}") from error
    content = graph.SerializeToString(deterministic=True)
    _check_predictions_match(content, model, sample)
    with atomic_write(path) as temp_path:
        temp_path.write_bytes(content)
    return path


def _model_features(model: Any) -> tuple[str, ...]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    if isinstance(model, Float16Forest):
        return model.features
    if not isinstance(model, RandomForestClassifier | RandomForestRegressor) or not hasattr(model, "estimators_"):
        raise TypeError(
            f"expected a Float16Forest or a fitted random forest of scikit-learn, found {type(model).__name__}"
        )
    return feature_names(model)


def _from_float16(forest: Float16Forest) -> onnx.ModelProto:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    classifies = forest.task == "classifier"
    mean = "probabilities" if classifies else "prediction"
    constants = [numpy_helper.from_array(forest.leaf, "leaf_values")]
    nodes = [
        helper.make_node(
            "TreeEnsemble", ["X"], [LEAF_OUTPUT], domain="ai.onnx.ml", **_tree_ensemble_attributes(forest)
        ),
        helper.make_node("Cast", [LEAF_OUTPUT], ["leaf_row"], to=TensorProto.INT32),
        helper.make_node("Gather", ["leaf_values", "leaf_row"], ["reached"]),
        helper.make_node("Cast", ["reached"], ["reached_float32"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["reached_float32"], [mean], axes=[1], keepdims=0),
    ]
    results = [helper.make_tensor_value_info(mean, TensorProto.FLOAT, ["n", forest.leaf.shape[1]])]
    if classifies:
        labels = label_tensor(forest.classes)
        constants.append(labels)
        nodes.append(helper.make_node("ArgMax", [mean], ["class_index"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Gather", [labels.name, "class_index"], ["label"]))
        results.insert(0, helper.make_tensor_value_info("label", labels.data_type, ["n"]))
    rows = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", len(forest.features)])
    graph = helper.make_graph(nodes, "float16_forest", [rows], results, initializer=constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="bridge_assets",
    )
    if forest.odds is not None:
        insert_rating_odds(model, forest.odds, forest.features, forest.classes, mean, np.float32)
    return model


def _tree_ensemble_attributes(forest: Float16Forest) -> dict[str, Any]:
    """The forest as attributes of a TreeEnsemble that outputs, for each tree, the row of the leaf that is reached.

    ONNX Runtime 1.22 treats a root as a leaf if its two children have the same number, even if one of them is an inner
    node (https://github.com/microsoft/onnxruntime/issues/24679). Inner nodes and leaves are numbered separately; with
    the leaves of each tree numbered from the last to the first, the two children of a root never have the same number.
    A tree of one leaf gets a root above two copies of that leaf.
    """
    import numpy as np
    from onnx import numpy_helper

    if len(forest.leaf) > MAX_LEAVES:
        raise ExportError(
            f"the forest has {len(forest.leaf):,} leaves; float32 can number at most {MAX_LEAVES:,}",
            do="train fewer or shallower trees",
        )
    nodes = forest.nodes
    tree = np.repeat(np.arange(forest.n_trees), forest.tree_nodes)
    is_single_leaf = np.zeros(len(tree), dtype=bool)
    is_single_leaf[nodes.roots] = nodes.is_leaf[nodes.roots]
    inner, leaves = np.flatnonzero(~nodes.is_leaf | is_single_leaf), np.flatnonzero(nodes.is_leaf)
    leaves = leaves[np.lexsort((-leaves, tree[leaves]))]
    leaves = np.repeat(leaves, 1 + is_single_leaf[leaves])
    inner_place, leaf_place = np.zeros((2, len(tree)), dtype=np.intp)
    inner_place[inner], leaf_place[leaves] = np.arange(len(inner)), np.arange(len(leaves))  # of two, the second
    left = nodes.left[inner]
    right = left + ~is_single_leaf[inner]
    return {
        "n_targets": forest.n_trees,
        "aggregate_function": _SUM,
        "tree_roots": inner_place[nodes.roots].tolist(),
        "nodes_modes": numpy_helper.from_array(np.full(len(inner), _BRANCH_LEQ, dtype=np.uint8), "modes"),
        "nodes_featureids": nodes.feature[inner].tolist(),
        "nodes_splits": numpy_helper.from_array(nodes.threshold[inner], "splits"),
        "nodes_truenodeids": np.where(
            nodes.is_leaf[left], leaf_place[left] - is_single_leaf[left], inner_place[left]
        ).tolist(),
        "nodes_trueleafs": nodes.is_leaf[left].astype(int).tolist(),
        "nodes_falsenodeids": np.where(nodes.is_leaf[right], leaf_place[right], inner_place[right]).tolist(),
        "nodes_falseleafs": nodes.is_leaf[right].astype(int).tolist(),
        "leaf_targetids": tree[leaves].tolist(),
        "leaf_weights": numpy_helper.from_array(nodes.leaf[leaves].astype(np.float32), "rows"),
    }


def _set_metadata(graph: onnx.ModelProto, model: Any, features: tuple[str, ...]) -> None:
    from onnx import helper

    origin: Mapping[str, str]
    if isinstance(model, Float16Forest):
        classes, origin = model.classes, {**model.metadata, "forest_sha256": model.checksum, "task": model.task}
    else:
        import sklearn

        classes = tuple(model.classes_.tolist()) if hasattr(model, "classes_") else ()
        origin = {"made_from": f"sklearn.{type(model).__name__}", "sklearn_version": sklearn.__version__}
    properties = {**origin, "features": json.dumps(list(features)), "classes": json.dumps(list(classes))}
    helper.set_model_props(graph, dict(sorted(properties.items())))


def _check_predictions_match(content: bytes, model: Any, sample: np.ndarray) -> None:
    import onnxruntime as ort

    if not len(sample):
        return
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base class but Exception
        raise ExportError(f"ONNX Runtime cannot load the export: {error}") from error
    _check_rows(session, model, sample, "sample")
    if not isinstance(model, Float16Forest):  # of a float16 forest, onnx_parity compares such rows
        _check_rows(session, model, rows_on_thresholds(model, sample), "threshold")


def _check_rows(session: Any, model: Any, matrix: np.ndarray, kind: str) -> None:
    import numpy as np
    from sklearn.base import is_classifier

    is_float16 = isinstance(model, Float16Forest)
    classifies = model.task == "classifier" if is_float16 else is_classifier(model)
    (predictions,) = session.run(["probabilities" if classifies else "prediction"], {"X": matrix})
    if is_float16:
        rows: Any = matrix
    else:
        # Several workers add up the trees in the order they finish, which decides between classes that are level.
        model, rows = copy(model).set_params(n_jobs=1), _with_names(model, matrix)
    expected = model.predict_proba(rows) if classifies else model.predict(rows).reshape(-1, 1)
    scale = max(1.0, float(np.abs(expected).max()))
    remedy = "report it with the versions of onnx, skl2onnx and onnxruntime"
    if not (difference := float(np.abs(np.asarray(predictions) - expected).max()) / scale) <= _SAMPLE_TOLERANCE:
        raise ExportError(
            f"the predictions of the export differ from the model's by {difference:.2g} on the {kind} rows",
            why=f"At most {_SAMPLE_TOLERANCE:g} is allowed",
            do=remedy,
        )
    if not classifies or is_float16:  # the label of a float16 forest follows from its probabilities
        return
    labels = np.asarray(session.run(["label"], {"X": matrix})[0])
    if n_wrong := int((labels != model.predict(rows)).sum()):
        raise ExportError(
            f"the export gives another label than the model on {n_wrong:,} of {len(matrix):,} {kind} rows", do=remedy
        )


def _with_names(model: Any, sample: np.ndarray) -> Any:
    import pandas as pd

    return (
        pd.DataFrame(sample, columns=list(model.feature_names_in_)) if hasattr(model, "feature_names_in_") else sample
    )
