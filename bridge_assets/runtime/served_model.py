"""A model version as an endpoint serves it: predictor and normalization."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bridge_assets.models.tasks.names import PREDICTION_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.data.features.normalization import Normalization, RowScaler
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor


@dataclass(frozen=True)
class ServedModel:
    """A model version as an endpoint serves it.

    Attributes
    ----------
    version : str
    features_digest : str
        Digest of the feature definitions it was trained on.
    training_years : tuple of (int, int)
        First and last survey year it was trained on.
    normalization : Normalization
    predictor : OnnxPredictor
    """

    version: str
    features_digest: str
    training_years: tuple[int, int]
    normalization: Normalization
    predictor: OnnxPredictor

    @property
    def prediction_column(self) -> str:
        """Name of the predictions: `fall_probability`, or `expected_change` for a regression."""
        return PREDICTION_COLUMNS[self.predictor.task_name]

    def predict(self, features: pl.DataFrame) -> pl.Series:
        """Predict from features in natural units.

        Parameters
        ----------
        features : pl.DataFrame
            One row per bridge, with at least the model's features; missing values are null or NaN.

        Returns
        -------
        pl.Series
            Float32, one value per row, named `prediction_column`: a probability, or a change in points.
        """
        import polars as pl

        scaled = self.normalization.transform(features).select(self.normalization.features).to_numpy()
        return pl.Series(self.prediction_column, self._predict_scaled(scaled), dtype=pl.Float32)

    @cached_property
    def row_scaler(self) -> RowScaler:
        """Scales the rows of a request."""
        return self.normalization.row_scaler()

    def predict_scaled(self, scaled: np.ndarray) -> np.ndarray:
        """Predict from the few rows of a request on the model's scale, with the same result as `predict`.

        Parameters
        ----------
        scaled : np.ndarray, shape (n, n_features)
            What `row_scaler` returned, all finite.

        Returns
        -------
        np.ndarray
            Shape (n,), float32.
        """
        return self.predictor.predict_matrix(scaled)

    def fall_probability(self, features: pl.DataFrame) -> pl.Series:
        """`predict`, for a caller that needs a probability: raises PredictorError for a regression."""
        self.predictor.require_classification()
        return self.predict(features)

    def _predict_scaled(self, scaled: np.ndarray) -> np.ndarray:
        """Predict from rows of shape (n, n_features) on the model's scale."""
        return self.predictor.predict(scaled)
