"""Scores of one survey year by a served model. A prediction from features of other definitions is refused.

Two orders are written. `rank_in_state` goes by the probability alone: it is what the model is judged by, and is led by
Good bridges, which fall most often. `look_first_rank` weighs the probability with what a fall would mean: see
`look_first_weight`. A regression is ranked by its expected change in the same two ways, the greatest loss first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.models.tasks import CLASSIFICATION
from bridge_assets.nbi.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.data.normalization import Normalization
    from bridge_assets.models.predict import OnnxPredictor
    from bridge_assets.models.task import Task
    from bridge_assets.settings import LookFirstSettings


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
        What is foreseen: `Task.named`.
    """

    version: str
    features_digest: str
    training_years: tuple[int, int]
    normalization: Normalization
    predictor: OnnxPredictor
    target: str = "fall"

    @property
    def task(self) -> Task:
        return self.predictor.task

    def answers(self, features: pl.DataFrame) -> pl.Series:
        """What it says of features in natural units, as Float32: `fall_probability`, or `expected_change` in points."""
        import polars as pl

        scaled = self.normalization.apply(features).select(self.normalization.features).to_numpy()
        return pl.Series(self.task.answer, self.predictor.answers(scaled), dtype=pl.Float32)


def look_first_weight(settings: LookFirstSettings) -> pl.Expr:
    """What a fall, or a point, is worth, by the condition (column `condition`) it would begin at.

    Good is 7 or more and Poor 4 or less (23 CFR 490.409), so that a fall from 5 makes a bridge Poor, and one from 4 or
    less makes a Poor one worse. The weights are a choice of whoever makes the list (`look_first` in model_config.yaml),
    not figures of a publication.
    """
    import polars as pl

    condition = pl.col("condition")
    return (
        pl.when(condition >= 7).then(settings.good).when(condition == 6).then(settings.fair).otherwise(settings.to_poor)
    )


def score_year(
    lake: Lake, survey_year: int, model: ServedModel, look_first: LookFirstSettings | None = None
) -> pl.DataFrame:
    """Score every bridge of a survey year and write bridge_predictions.

    Parameters
    ----------
    lake : Lake
        With bridge_features of that year.
    survey_year : int
    model : ServedModel
    look_first : LookFirstSettings, optional
        What a fall is worth; default: those of model_config.yaml's defaults.

    Returns
    -------
    pl.DataFrame
        structure_key, survey_year, inspection_date, condition, fall_probability (Float32), rank_in_state (Int32, 1 =
        highest probability; equal ones in the order of their keys), look_first_rank (Int32, in its state, 1 = highest
        product of probability and `look_first_weight`; equal ones by probability, then key), target (what the
        probability is of), model_version, features_digest; sorted by structure key. A regression has expected_change
        (Float32, points) before the ranks, in which the lowest comes first, and a fall_probability that is null.

    Raises
    ------
    SourceError
        If the features have not been made, or by other definitions than those the model was trained on.
    """
    import polars as pl

    from bridge_assets.settings import LookFirstSettings

    made_by = lake.note("bridge_features", survey_year)["features_digest"]
    if made_by != model.features_digest:
        raise SourceError(
            f"model {model.version} cannot score the features of {survey_year}",
            where=lake.year("bridge_features", survey_year),
            why=f"It was trained on feature definitions {model.features_digest}, these were made by {made_by}",
            do="materialise bridge_features again, or train and deploy a model on the present definitions",
        )
    features = lake.read_year("bridge_features", survey_year)
    state, rank = "STATE_CODE_001", pl.int_range(1, pl.len() + 1).over("STATE_CODE_001").cast(pl.Int32)
    severity = model.task.severity(pl.col(model.task.answer))
    worth = severity * look_first_weight(look_first or LookFirstSettings())
    # Every table of scores has the column: those who read several years, or sum up falls, find nothing to add.
    no_probability = [] if model.task is CLASSIFICATION else [pl.lit(None, pl.Float32).alias(CLASSIFICATION.answer)]
    scores = (
        features.with_columns(model.answers(features))
        .sort(state, -worth, -severity, "structure_key")
        .with_columns(rank.alias("look_first_rank"))
        .sort(state, -severity, "structure_key")
        .select(
            "structure_key",
            "survey_year",
            "inspection_date",
            pl.col("condition").cast(pl.Int8),
            model.task.answer,
            rank.alias("rank_in_state"),
            "look_first_rank",
            *no_probability,
            pl.lit(model.target).alias("target"),
            pl.lit(model.version).alias("model_version"),
            pl.lit(model.features_digest).alias("features_digest"),
        )
        .sort("structure_key")
    )
    lake.write(scores, "bridge_predictions", survey_year)
    return scores
