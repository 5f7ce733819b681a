"""A forest as an ONNX file, the form that is served.

A float16 forest is written with float32 fields that hold float16 values (ONNX Runtime refuses float16 trees) and
compared in float32, so each decision is the same. The trees stand in one TreeEnsembleRegressor with one target a class:
it averages, where a TreeEnsembleClassifier adds up and would need the leaf values divided beforehand, off the float16
grid.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.models.errors import ExportError
from bridge_assets.models.forest import Float16Forest
from bridge_assets.models.matrix import feature_matrix, feature_names
from bridge_assets.models.onnx_parity import onnx_problems
from bridge_assets.storage import replacing

if TYPE_CHECKING:
    import numpy as np
    import onnx

#: Operator sets and file version of ONNX 1.12 (2022), which every ONNX Runtime that this project accepts reads.
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8

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
    features = _features(model)
    sample = feature_matrix(X_sample, features)
    graph = _from_float16(model) if isinstance(model, Float16Forest) else _from_sklearn(model)
    _describe(graph, model, features)
    try:
        onnx.checker.check_model(graph, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the export is not valid ONNX: {error}") from error
    content = graph.SerializeToString(deterministic=True)
    _refuse_other_answers(content, model, sample)
    with replacing(path) as aside:
        aside.write_bytes(content)
    return path


def _features(model: Any) -> tuple[str, ...]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    if isinstance(model, Float16Forest):
        return model.features
    if not isinstance(model, RandomForestClassifier | RandomForestRegressor) or not hasattr(model, "estimators_"):
        raise TypeError(
            f"expected a Float16Forest or a fitted random forest of scikit-learn, found {type(model).__name__}"
        )
    return feature_names(model)


def _from_float16(forest: Float16Forest) -> onnx.ModelProto:
    from onnx import TensorProto, helper

    outputs = forest.leaf.shape[1]
    classifies = forest.task == "classifier"
    mean = "probabilities" if classifies else "prediction"
    trees = helper.make_node("TreeEnsembleRegressor", ["X"], [mean], domain="ai.onnx.ml", **_tree_fields(forest))
    nodes, constants = [trees], []
    results = [helper.make_tensor_value_info(mean, TensorProto.FLOAT, ["n", outputs])]
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


def _tree_fields(forest: Float16Forest) -> dict[str, Any]:
    """The forest as attributes of a TreeEnsembleRegressor; node ids count from 0 in each tree, breadth first."""
    import numpy as np

    nodes = forest.nodes
    tree = np.repeat(np.arange(forest.n_trees), forest.tree_nodes)
    number = np.arange(len(tree)) - nodes.roots[tree]
    left = np.where(nodes.is_leaf, 0, nodes.left - nodes.roots[tree])
    leaves = np.flatnonzero(nodes.is_leaf)
    outputs = forest.leaf.shape[1]
    return {
        "n_targets": outputs,
        "aggregate_function": "AVERAGE",
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_modes": np.where(nodes.is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": nodes.feature.tolist(),
        "nodes_values": np.where(nodes.is_leaf, np.float32(0), nodes.threshold).tolist(),
        "nodes_truenodeids": left.tolist(),
        "nodes_falsenodeids": np.where(nodes.is_leaf, 0, left + 1).tolist(),
        "target_treeids": np.repeat(tree[leaves], outputs).tolist(),
        "target_nodeids": np.repeat(number[leaves], outputs).tolist(),
        "target_ids": np.tile(np.arange(outputs), len(leaves)).tolist(),
        "target_weights": forest.leaf[nodes.leaf[leaves]].astype(np.float32).ravel().tolist(),
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
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
    )


def _describe(graph: onnx.ModelProto, model: Any, features: tuple[str, ...]) -> None:
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


def _refuse_other_answers(content: bytes, model: Any, sample: np.ndarray) -> None:
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


__all__ = ["ExportError", "export_to_onnx", "onnx_problems"]
