"""Answers from the ONNX file that is served.

The file alone says which features it takes, in which order: nothing else is needed to ask it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import FeatureError, PredictorError
from bridge_assets.models.dataset.matrix import fall_probability_column, feature_matrix
from bridge_assets.models.tasks.tasks import CLASSIFICATION, REGRESSION

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.models.tasks.base import Task

#: Rows that ONNX Runtime is asked for at once: what it needs for them grows with rows times trees, and it keeps it.
_BATCH_ROWS = 1000


class OnnxPredictor:
    """What an exported forest says: the probability of a fall, or the expected change of the rating.

    Parameters
    ----------
    path : Path
        Written by `export_onnx.export_to_onnx`.
    threads : int
        Threads a call may use; 0 = one for each processor. One is right where calls come in side by side.

    Attributes
    ----------
    features : tuple of str
        In the order of the columns of X.
    classes : tuple
        Empty for a regression.
    task : Task
    metadata : dict of str to str
        What the file says about itself.

    Raises
    ------
    PredictorError
        If the file is no ONNX model, or not one that `export_to_onnx` wrote.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if not path.is_file():
            raise PredictorError(f"{path} is not there. What to do: materialise onnx_model")
        try:
            # By its name: of bytes that it is given, a session keeps a copy for as long as it lives.
            self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no other base
            raise PredictorError(f"{path} is no model that ONNX Runtime can run: {error}") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        outputs = {output.name for output in self._session.get_outputs()}
        if "features" not in self.metadata or not outputs & {"probabilities", "prediction"}:
            raise PredictorError(
                f"{path} is no forest written by export_to_onnx: it names no features, or gives neither probabilities "
                f"nor a prediction"
            )
        self.task: Task = CLASSIFICATION if "probabilities" in outputs else REGRESSION
        self.features: tuple[str, ...] = tuple(json.loads(self.metadata["features"]))
        self.classes: tuple[Any, ...] = tuple(json.loads(self.metadata["classes"]))

    def predict(self, X: Any) -> np.ndarray:
        """The probability of a fall, or the expected change in points, as the task is.

        Parameters
        ----------
        X : array of shape (n, n_features) or DataFrame
            Normalised features.

        Returns
        -------
        np.ndarray
            Shape (n,), float32.

        Raises
        ------
        FeatureError
            If a feature is missing from a table, the number of columns is another one, or a value is missing.
        """
        import numpy as np

        matrix = feature_matrix(X, self.features)
        if not len(matrix):
            return np.empty(0, dtype=np.float32)
        name = self._session.get_inputs()[0].name
        output = "probabilities" if self.task is CLASSIFICATION else "prediction"
        blocks = [
            np.asarray(self._session.run([output], {name: matrix[start : start + _BATCH_ROWS]})[0])
            for start in range(0, len(matrix), _BATCH_ROWS)
        ]
        outputs = np.concatenate(blocks)
        return fall_probability_column(outputs, self.classes) if self.task is CLASSIFICATION else outputs[:, 0]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of a fall, for whoever can do with nothing else: raises PredictorError for a regression."""
        self.require_classification()
        return self.predict(X)

    def require_classification(self) -> None:
        """Raises PredictorError where there is no probability to be had."""
        if self.task is not CLASSIFICATION:
            raise PredictorError(
                "this model is a regression: it says by how many points the rating changes, and gives no probability. "
                "What to do: ask for its answers, or deploy a model of task: classification"
            )


__all__ = ["FeatureError", "OnnxPredictor", "PredictorError"]
