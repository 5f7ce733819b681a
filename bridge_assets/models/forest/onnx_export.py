"""A forest as an ONNX file, the form that is served.

The trees of a float16 forest stand in one TreeEnsemble, their thresholds in float32 fields that hold float16 values
(ONNX Runtime refuses float16 trees), so each decision is the same. A leaf of that operator holds one number: here the
row of a table, in float16, where its values are. The rows that all trees reach are looked up and averaged in float32.
Each class has its own column, two classes too: 1 - p is not the forest's answer for the other, each is rounded by
itself and a row sums to 1 within 2**-12 a class.

While it answers, a call takes 8 bytes, and 6 for each class, for each row and tree: ask for some thousand rows a call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import ExportError
from bridge_assets.models.dataset.matrix import feature_matrix, feature_names
from bridge_assets.models.forest.float16_forest import Float16Forest
from bridge_assets.models.forest.onnx_parity import LEAF_OUTPUT
from bridge_assets.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np
    import onnx

#: Operator sets and file version. TreeEnsemble came with ai.onnx.ml 5, that with ONNX 1.16 (2024), whose files are of
#: version 10. ONNX Runtime runs it since 1.21.
OPSET, ML_OPSET, IR_VERSION = 17, 5, 10

#: skl2onnx writes forests with operators that later ones deprecate.
_SKLEARN_ML_OPSET = 3

#: Whole numbers that float32 holds.
_MAX_LEAVES = 2**24

#: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
_SUM, _BRANCH_LEQ = 1, 0

#: Most an output may differ from the model's own answer on the sample rows, as a share of the largest answer where that
#: is above 1: float32 sums of some hundred trees.
_SAMPLE_TOLERANCE = 1e-5


def export_to_onnx(model: Any, X_sample: Any, path: Path | str) -> Path:
    """Write a forest as ONNX, after asking the export for the sample rows and comparing the answers.

    Parameters
    ----------
    model : Float16Forest, RandomForestClassifier or RandomForestRegressor
        A classifier's export gives `label` and `probabilities` (n, n_classes), a regressor's `prediction` (n, 1); the
        input is `X` (n, n_features), float32.
    X_sample : array of shape (n, n_features) or DataFrame
        Some rows of normalised features.
    path : Path or str

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        If the model is something else, or not fitted.
    FeatureError
        If the sample rows do not fit the model.
    ExportError
        If the export is not valid ONNX or answers otherwise than the model.
    StorageError
        If it cannot be written; `path` is then what it was before.
    """
    import onnx

    path = Path(path)
    features = _model_features(model)
    sample = feature_matrix(X_sample, features)
    graph = _from_float16(model) if isinstance(model, Float16Forest) else _from_sklearn(model)
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
        labels = _label_tensor(forest.classes)
        constants.append(labels)
        nodes.append(helper.make_node("ArgMax", [mean], ["class_index"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Gather", [labels.name, "class_index"], ["label"]))
        results.insert(0, helper.make_tensor_value_info("label", labels.data_type, ["n"]))
    rows = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", len(forest.features)])
    graph = helper.make_graph(nodes, "float16_forest", [rows], results, initializer=constants)
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="bridge_assets",
    )


def _tree_ensemble_attributes(forest: Float16Forest) -> dict[str, Any]:
    """The forest as attributes of a TreeEnsemble that adds up, tree by tree, the row of the leaf that is reached.

    ONNX Runtime 1.22 takes a root whose two sides have the same number for a leaf, even if one is an inner node
    (https://github.com/microsoft/onnxruntime/issues/24679). Inner nodes and leaves are counted apart; with the leaves
    of each tree counted from the last to the first, the two sides of a root never meet. A tree of one leaf gets a node
    above two of that leaf.
    """
    import numpy as np
    from onnx import numpy_helper

    if len(forest.leaf) > _MAX_LEAVES:
        raise ExportError(
            f"the forest has {len(forest.leaf):,} leaves; at most {_MAX_LEAVES:,} can be told apart in float32. "
            f"What to do: train fewer or shallower trees"
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


def _label_tensor(classes: tuple[Any, ...]) -> onnx.TensorProto:
    from onnx import TensorProto, helper

    kinds = {bool: TensorProto.BOOL, int: TensorProto.INT64, float: TensorProto.DOUBLE, str: TensorProto.STRING}
    kind = kinds.get(type(classes[0]))
    if kind is None or len({type(label) for label in classes}) > 1:
        raise ExportError(f"class labels must be all Boolean, whole, decimal or text, found {classes!r}")
    values = [label.encode() for label in classes] if kind == TensorProto.STRING else list(classes)
    return helper.make_tensor("classes", kind, [len(classes)], values)


def _from_sklearn(model: Any) -> onnx.ModelProto:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.base import is_classifier

    if model.n_outputs_ != 1:
        raise ExportError(
            f"the forest has {model.n_outputs_} outputs; one can be exported. What to do: train one forest each"
        )
    classifies = is_classifier(model)
    return convert_sklearn(  # type: ignore[return-value] # annotated for all its backends
        model,
        name="random_forest",  # the default is a new random name each time
        initial_types=[("X", FloatTensorType([None, model.n_features_in_]))],
        final_types=None if classifies else [("prediction", FloatTensorType([None, 1]))],
        options={"zipmap": False} if classifies else None,
        target_opset={"": OPSET, "ai.onnx.ml": _SKLEARN_ML_OPSET},
    )


def _set_metadata(graph: onnx.ModelProto, model: Any, features: tuple[str, ...]) -> None:
    from onnx import helper

    about: Mapping[str, str]
    if isinstance(model, Float16Forest):
        classes, about = model.classes, {**model.metadata, "forest_sha256": model.checksum, "task": model.task}
    else:
        import sklearn

        classes = tuple(model.classes_.tolist()) if hasattr(model, "classes_") else ()
        about = {"made_from": f"sklearn.{type(model).__name__}", "sklearn_version": sklearn.__version__}
    properties = {**about, "features": json.dumps(list(features)), "classes": json.dumps(list(classes))}
    helper.set_model_props(graph, dict(sorted(properties.items())))


def _check_predictions_match(content: bytes, model: Any, sample: np.ndarray) -> None:
    import numpy as np
    import onnxruntime as ort
    from sklearn.base import is_classifier

    if not len(sample):
        return
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no other base
        raise ExportError(f"ONNX Runtime refuses the export: {error}") from error
    classifies = model.task == "classifier" if isinstance(model, Float16Forest) else is_classifier(model)
    (answers,) = session.run(["probabilities" if classifies else "prediction"], {"X": sample})
    rows = sample if isinstance(model, Float16Forest) else _with_names(model, sample)
    expected = model.predict_proba(rows) if classifies else model.predict(rows).reshape(-1, 1)
    scale = max(1.0, float(np.abs(expected).max()))
    if (difference := float(np.abs(np.asarray(answers) - expected).max()) / scale) > _SAMPLE_TOLERANCE:
        raise ExportError(
            f"the export answers otherwise than the model: by {difference:.2g} on the sample rows, "
            f"where {_SAMPLE_TOLERANCE:g} is the most. What to do: report it with the versions of onnx, skl2onnx and "
            f"onnxruntime"
        )


def _with_names(model: Any, sample: np.ndarray) -> Any:
    import pandas as pd

    return (
        pd.DataFrame(sample, columns=list(model.feature_names_in_)) if hasattr(model, "feature_names_in_") else sample
    )
