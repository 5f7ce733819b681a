"""Convert a scikit-learn random forest to ONNX with the same labels, also where two classes are equally likely.

skl2onnx's export of a classifier adds up the trees in float32 and in another order than scikit-learn. Where two classes
are level, the last bit decides, and the label is another one. Here, the trees of that export output the leaf that a row
reaches; its probabilities are looked up, added up tree after tree and divided in float64, as scikit-learn does with
`n_jobs=1` (several workers add up in the order they finish).

A call needs 8 bytes, plus 16 per class, for each row and tree: send a few thousand rows per call.

Belongs here: the graph, and rows to compare labels on. Does not belong here: the export of a float16 forest, the
comparison, and writing the file (`onnx_export`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge_assets.errors import ExportError

if TYPE_CHECKING:
    import numpy as np
    import onnx

#: skl2onnx writes forests with operators that later sets deprecate.
_SKLEARN_ML_OPSET = 3

#: Largest count of integers that float32 represents exactly.
MAX_LEAVES = 2**24

#: Attributes that describe the nodes in TreeEnsembleClassifier and in TreeEnsembleRegressor alike.
_NODES = "nodes_"

#: Rows on thresholds for which labels are compared.
_N_THRESHOLD_ROWS = 1000


def from_sklearn(model: Any, opset: int) -> onnx.ModelProto:
    """The graph of a fitted random forest.

    Parameters
    ----------
    model : RandomForestClassifier or RandomForestRegressor
    opset : int
        Of the default operator set.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ExportError
        If the forest has several outputs, too many leaves, or labels that ONNX cannot hold.
    """
    import numpy as np
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.base import is_classifier

    from bridge_assets.models.calibration.calibrated_forest import CalibratedForest, odds_of
    from bridge_assets.models.calibration.rating_odds import insert_rating_odds

    if model.n_outputs_ != 1:
        raise ExportError(
            f"the forest has {model.n_outputs_} outputs; only one is supported", do="train one forest per output"
        )
    classifies, odds = is_classifier(model), odds_of(model)
    if isinstance(model, CalibratedForest):
        model = model.without_odds()
    converted: onnx.ModelProto = convert_sklearn(  # type: ignore[assignment] # annotated for all its backends
        model,
        name="random_forest",  # the default is a random name
        initial_types=[("X", FloatTensorType([None, model.n_features_in_]))],
        final_types=None if classifies else [("prediction", FloatTensorType([None, 1]))],
        options={"zipmap": False} if classifies else None,
        target_opset={"": opset, "ai.onnx.ml": _SKLEARN_ML_OPSET},
    )
    if not classifies:
        return converted
    graph = _with_sums_of_scikit_learn(converted, model)
    if odds is not None:
        names = model.feature_names_in_.tolist()
        insert_rating_odds(graph, odds, names, model.classes_.tolist(), "mean", np.float64)
    return graph


def label_tensor(classes: tuple[Any, ...]) -> onnx.TensorProto:
    """The class labels as a constant named `classes`."""
    from onnx import TensorProto, helper

    kinds = {bool: TensorProto.BOOL, int: TensorProto.INT64, float: TensorProto.DOUBLE, str: TensorProto.STRING}
    kind = kinds.get(type(classes[0]))
    if kind is None or len({type(label) for label in classes}) > 1:
        raise ExportError(f"class labels must be all Boolean, all integer, all float or all text, found {classes!r}")
    values = [label.encode() for label in classes] if kind == TensorProto.STRING else list(classes)
    return helper.make_tensor("classes", kind, [len(classes)], values)


def _with_sums_of_scikit_learn(converted: onnx.ModelProto, model: Any) -> onnx.ModelProto:
    """Replace the sums of skl2onnx's graph; see the module."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    [trees] = [node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier"]
    attributes = {each.name: helper.get_attribute_value(each) for each in trees.attribute}
    is_leaf = np.array([mode == b"LEAF" for mode in attributes["nodes_modes"]])
    tree, node = (np.array(attributes[name])[is_leaf] for name in ("nodes_treeids", "nodes_nodeids"))
    if len(tree) > MAX_LEAVES:
        raise ExportError(
            f"the forest has {len(tree):,} leaves; float32 can number at most {MAX_LEAVES:,}",
            do="train fewer or shallower trees",
        )
    values = np.concatenate(
        [each.tree_.value[node[tree == number], 0, :] for number, each in enumerate(model.estimators_)]
    )
    row = np.empty(len(tree), dtype=np.intp)
    row[np.argsort(tree, kind="stable")] = np.arange(len(tree))
    count, labels = len(model.estimators_), label_tensor(tuple(model.classes_.tolist()))
    constants = [
        numpy_helper.from_array(values, "leaf_values"),
        numpy_helper.from_array(np.array(1, dtype=np.int64), "axis_of_trees"),
        numpy_helper.from_array(np.array(count - 1, dtype=np.int64), "last_tree"),
        numpy_helper.from_array(np.array(count, dtype=np.float64), "trees"),
        labels,
    ]
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor",
            ["X"],
            ["leaf"],
            domain="ai.onnx.ml",
            **{name: value for name, value in attributes.items() if name.startswith(_NODES)},
            n_targets=count,
            target_treeids=tree.tolist(),
            target_nodeids=node.tolist(),
            target_ids=tree.tolist(),
            target_weights=row.astype(float).tolist(),
        ),
        helper.make_node("Cast", ["leaf"], ["leaf_row"], to=TensorProto.INT32),
        helper.make_node("Gather", ["leaf_values", "leaf_row"], ["reached"]),
        helper.make_node("CumSum", ["reached", "axis_of_trees"], ["sums"]),  # one tree after the other
        helper.make_node("Gather", ["sums", "last_tree"], ["sum"], axis=1),
        helper.make_node("Div", ["sum", "trees"], ["mean"]),
        helper.make_node("ArgMax", ["mean"], ["class_index"], axis=1, keepdims=0),
        helper.make_node("Gather", [labels.name, "class_index"], ["label"]),
        helper.make_node("Cast", ["mean"], ["probabilities"], to=TensorProto.FLOAT),
    ]
    outputs = [
        helper.make_tensor_value_info("label", labels.data_type, [None]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(model.classes_)]),
    ]
    graph = helper.make_graph(nodes, converted.graph.name, list(converted.graph.input), outputs, initializer=constants)
    opsets = {each.domain: each for each in converted.opset_import}
    return helper.make_model(
        graph, opset_imports=list(opsets.values()), ir_version=converted.ir_version, producer_name="bridge_assets"
    )


def rows_on_thresholds(model: Any, sample: np.ndarray, seed: int = 0) -> np.ndarray:
    """Rows whose values are thresholds of a scikit-learn forest, or the float32 value next to one.

    Parameters
    ----------
    model : RandomForestClassifier or RandomForestRegressor
    sample : np.ndarray of shape (n, n_features)
        Half of the values come from a row of it; n > 0.

    Returns
    -------
    np.ndarray
        Shape (1000, n_features), float32.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    rows = sample[random.integers(0, len(sample), _N_THRESHOLD_ROWS)].copy()
    trees = [estimator.tree_ for estimator in model.estimators_]
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees]).astype(np.float32)
    for column in range(rows.shape[1]):
        found = threshold[(feature == column) & np.isfinite(threshold)]
        if not len(found):
            continue
        at_threshold = random.choice(found, len(rows))
        side = random.choice(np.array([-np.inf, np.inf], dtype=np.float32), len(rows))
        values = np.where(random.random(len(rows)) < 0.5, at_threshold, np.nextafter(at_threshold, side))
        rows[:, column] = np.where(random.random(len(rows)) < 0.5, values, rows[:, column])
    return rows
