"""Predictions from an ONNX file, which itself records its features and their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import PredictorError
from bridge_assets.models.dataset.matrix import fall_probability_column, feature_matrix

if TYPE_CHECKING:
    import numpy as np

#: Rows in one call of ONNX Runtime: its buffers grow with rows times trees and are never released.
_BATCH_ROWS = 1000


class OnnxPredictor:
    """An exported forest that predicts the probability of a fall, or the expected change of the rating.

    Parameters
    ----------
    path : Path
        Written by `export_onnx.export_to_onnx`.
    threads : int
        Threads of one call; 0 = one for each processor. Use 1 where several calls run at the same time.

    Attributes
    ----------
    features : tuple of str
        In the order of the columns of X.
    classes : tuple
        Empty for a regression.
    task_name : str
        `classification` or `regression`.
    metadata : dict of str to str
        The file's own metadata, such as `forest_sha256`.

    Raises
    ------
    PredictorError
        If the file is missing, not an ONNX model, or not written by `export_to_onnx`.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        if not path.is_file():
            raise PredictorError(
                "there is no ONNX model", where=path, do="export the model version", stage="onnx_model"
            )
        try:
            # Loaded from the path: a session would keep a copy of the bytes.
            self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common base class but Exception
            raise PredictorError(f"{path} is not a model that ONNX Runtime can run: {error}") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        outputs = {output.name for output in self._session.get_outputs()}
        if "features" not in self.metadata or not outputs & {"probabilities", "prediction"}:
            raise PredictorError(
                f"{path} was not written by export_to_onnx: its metadata has no features, or it outputs neither "
                f"probabilities nor a prediction"
            )
        self.task_name = "classification" if "probabilities" in outputs else "regression"
        self.features: tuple[str, ...] = tuple(json.loads(self.metadata["features"]))
        self.classes: tuple[Any, ...] = tuple(json.loads(self.metadata["classes"]))
        self._input = self._session.get_inputs()[0].name
        self._outputs = ["probabilities" if self._is_classification else "prediction"]

    def predict(self, X: Any) -> np.ndarray:
        """Predict the probability of a fall, or the expected change in points, depending on the task.

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
            If a table lacks a feature, an array has another number of columns, or a value is missing.
        """
        return self.predict_matrix(feature_matrix(X, self.features))

    def predict_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """`predict` without its checks, which take as long as one row: for a caller that has made them.

        Parameters
        ----------
        matrix : np.ndarray, shape (n, n_features)
            Normalised features, float32, C order, all finite.
        """
        import numpy as np

        if not len(matrix):
            return np.empty(0, dtype=np.float32)
        blocks = [
            np.asarray(self._session.run(self._outputs, {self._input: matrix[start : start + _BATCH_ROWS]})[0])
            for start in range(0, len(matrix), _BATCH_ROWS)
        ]
        outputs = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return fall_probability_column(outputs, self.classes) if self._is_classification else outputs[:, 0]

    def predict_proba(self, X: Any) -> np.ndarray:
        """`predict`, for a caller that needs a probability: raises PredictorError for a regression."""
        self.require_classification()
        return self.predict(X)

    def require_classification(self) -> None:
        """Raise PredictorError if the model does not predict a probability."""
        if not self._is_classification:
            raise PredictorError(
                "this model is a regression: it predicts by how many points the rating changes, not a probability",
                do="call predict, or deploy a model with task: classification",
            )

    @property
    def _is_classification(self) -> bool:
        return self.task_name == "classification"
