"""Odds ratios by rating, which correct the probabilities of a forest.

A forest averages over trees that do not all split on the rating, so it expects too many falls of one rating and too few
of another; and how often a rating falls changes from year to year. One odds ratio for each rating corrects both: odds
are multiplied by it (King and Zeng, Political Analysis 9, 2001), which keeps the order of the bridges of one rating.

Belongs here: the ratios, applying them, and the same in ONNX. Does not belong here: fitting them (`fit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx


@dataclass(frozen=True, eq=False)
class RatingOdds:
    """One odds ratio for each rating.

    Attributes
    ----------
    feature : str
        The feature that is the rating, on the model's scale.
    cuts : np.ndarray of float32, shape (n_ratings - 1,)
        Values of the feature between one rating and the next, ascending. A rating that training has not seen takes the
        ratio of the nearest one below, or of the lowest.
    ratios : np.ndarray of float32, shape (n_ratings,)
        Above 1 = falls more often than the forest expects.
    """

    feature: str
    cuts: np.ndarray
    ratios: np.ndarray

    def apply(self, probabilities: np.ndarray, values: np.ndarray, classes: Sequence[Any]) -> np.ndarray:
        """Correct class probabilities.

        Parameters
        ----------
        probabilities : np.ndarray, shape (n, n_classes)
            Of the forest.
        values : np.ndarray, shape (n,)
            The feature, on the model's scale.
        classes : sequence
            Labels of the columns; the odds of True (or 1) are multiplied.

        Returns
        -------
        np.ndarray
            Shape and type of `probabilities`; each row sums to 1.
        """
        import numpy as np

        rating = np.searchsorted(self.cuts, np.asarray(values, dtype=np.float32), side="left")
        weighted = probabilities * self.weights(classes).astype(probabilities.dtype)[rating]
        return weighted / weighted.sum(axis=1, keepdims=True)

    def weights(self, classes: Sequence[Any]) -> np.ndarray:
        """The factor of each class by rating, shape (n_ratings, n_classes): the ratio for True, 1 for the others."""
        import numpy as np

        return np.where(np.asarray([label == 1 for label in classes]), self.ratios[:, None], np.float32(1))

    def to_values(self) -> dict[str, Any]:
        """The attributes by name, as stored with a scikit-learn model."""
        return {"feature": self.feature, "cuts": self.cuts, "ratios": self.ratios}


def insert_rating_odds(
    graph: onnx.ModelProto, odds: RatingOdds, features: Sequence[str], classes: Sequence[Any], tensor: str, dtype: Any
) -> None:
    """Correct a tensor of class probabilities in an ONNX graph, for everything that reads it.

    Parameters
    ----------
    graph : onnx.ModelProto
        Changed in place. Its input `X` has the features.
    odds : RatingOdds
    features : sequence of str
        In the order of the columns of X.
    classes : sequence
        Labels of the columns of the tensor.
    tensor : str
        Name of the tensor, shape (n, n_classes).
    dtype : numpy type
        Its type: float32 or float64.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    nodes = graph.graph.node
    [producer] = [place for place, node in enumerate(nodes) if tensor in node.output]
    nodes[producer].output[list(nodes[producer].output).index(tensor)] = "of_forest"
    column = np.array([list(features).index(odds.feature)], dtype=np.int64)
    graph.graph.initializer.extend(
        numpy_helper.from_array(values, name)
        for name, values in {
            "rating_column": column,
            "rating_cuts": odds.cuts[None, :],
            "rating_weights": odds.weights(classes).astype(dtype),
            "axis_of_columns": np.array([1], dtype=np.int64),
        }.items()
    )
    correction = [
        helper.make_node("Gather", ["X", "rating_column"], ["rating_value"], axis=1),
        helper.make_node("Greater", ["rating_value", "rating_cuts"], ["is_above_cut"]),
        helper.make_node("Cast", ["is_above_cut"], ["above_cut"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["above_cut", "axis_of_columns"], ["rating"], keepdims=0),
        helper.make_node("Gather", ["rating_weights", "rating"], ["weights_of_rating"]),
        helper.make_node("Mul", ["of_forest", "weights_of_rating"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axis_of_columns"], ["sum_of_weighted"], keepdims=1),
        helper.make_node("Div", ["weighted", "sum_of_weighted"], [tensor]),
    ]
    for place, node in enumerate(correction, producer + 1):
        nodes.insert(place, node)
