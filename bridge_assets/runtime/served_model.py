"""A model version as an endpoint serves it: predictor, scale and, for many rows, the forest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.tasks.base import Task
    from bridge_assets.runtime.onnx_predictor import OnnxPredictor


#: Rows from which on the forest's compiled loops are used: for fewer, loading them takes longer than the graph does.
_COMPILED_MIN_ROWS = 10_000


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
    target : str
        What is foreseen: `Task.target_name`.
    forest : Float16Forest, optional
        What the predictor's graph was exported from. It decides alike, and is asked for many rows.
    """

    version: str
    features_digest: str
    training_years: tuple[int, int]
    normalization: Normalization
    predictor: OnnxPredictor
    target: str = "fall"
    forest: Float16Forest | None = None

    @property
    def task(self) -> Task:
        return self.predictor.task

    def predict(self, features: pl.DataFrame) -> pl.Series:
        """What it says of features in natural units, as Float32: `fall_probability`, or `expected_change` in points."""
        import polars as pl

        scaled = self.normalization.transform(features).select(self.normalization.features).to_numpy()
        if self.forest is not None and len(scaled) >= _COMPILED_MIN_ROWS:
            predictions = self.task.predict(self.forest, scaled)
        else:
            predictions = self.predictor.predict(scaled)
        return pl.Series(self.task.prediction_column, predictions, dtype=pl.Float32)

    def fall_probability(self, features: pl.DataFrame) -> pl.Series:
        """The same, for whoever can do with a probability alone: raises PredictorError for a regression."""
        self.predictor.require_classification()
        return self.predict(features)
