"""Scores of one survey year by a served model. A prediction from features of other definitions is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.nbi.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.data.normalization import Normalization
    from bridge_assets.models.predict import OnnxPredictor


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

    def fall_probability(self, features: pl.DataFrame) -> pl.Series:
        """Probability of a fall for features in natural units, as Float32."""
        import polars as pl

        scaled = self.normalization.apply(features).select(self.normalization.features).to_numpy()
        return pl.Series("fall_probability", self.predictor.predict_proba(scaled), dtype=pl.Float32)


def score_year(lake: Lake, survey_year: int, model: ServedModel) -> pl.DataFrame:
    """Score every bridge of a survey year and write bridge_predictions.

    Returns
    -------
    pl.DataFrame
        structure_key, survey_year, inspection_date, condition, fall_probability (Float32), rank_in_state (Int32, 1 =
        highest probability; equal ones in the order of their keys), model_version, features_digest; sorted by structure
        key.

    Raises
    ------
    SourceError
        If the features have not been made, or by other definitions than those the model was trained on.
    """
    import polars as pl

    made_by = lake.note("bridge_features", survey_year)["features_digest"]
    if made_by != model.features_digest:
        raise SourceError(
            f"model {model.version} cannot score the features of {survey_year}",
            where=lake.year("bridge_features", survey_year),
            why=f"It was trained on feature definitions {model.features_digest}, these were made by {made_by}",
            do="materialise bridge_features again, or train and deploy a model on the present definitions",
        )
    features = lake.read_year("bridge_features", survey_year)
    scores = (
        features.with_columns(model.fall_probability(features))
        .sort("STATE_CODE_001", -pl.col("fall_probability"), "structure_key")
        .select(
            "structure_key",
            "survey_year",
            "inspection_date",
            pl.col("condition").cast(pl.Int8),
            "fall_probability",
            pl.int_range(1, pl.len() + 1).over("STATE_CODE_001").cast(pl.Int32).alias("rank_in_state"),
            pl.lit(model.version).alias("model_version"),
            pl.lit(model.features_digest).alias("features_digest"),
        )
        .sort("structure_key")
    )
    lake.write(scores, "bridge_predictions", survey_year)
    return scores
