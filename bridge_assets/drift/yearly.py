"""Drift of a survey year compared with the years on which a model was trained; takes and returns tables.

Belongs here: which columns are compared, and the reference period. Does not belong here: the distances and thresholds
(`drift.detection`), and reading or writing tables (the asset).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.drift.detection import drift_table, learn_thresholds
from bridge_assets.models.tasks.tasks import CLASSIFICATION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    import polars as pl

    from bridge_assets.settings import DriftSettings


@dataclass(frozen=True)
class ReferencePeriod:
    """The years on which a model was trained.

    Attributes
    ----------
    table : pl.DataFrame
        The rows of all these years, from `compared_columns`.
    thresholds : dict
        Column -> distance above which it counts as drifted, learned from the differences between these years.
    prediction_column : str
        See `Task.prediction_column`.
    """

    table: pl.DataFrame
    thresholds: dict[str, float]
    prediction_column: str = CLASSIFICATION.prediction_column

    @classmethod
    def from_years(
        cls,
        tables: Mapping[int, pl.DataFrame],
        settings: DriftSettings,
        prediction_column: str = CLASSIFICATION.prediction_column,
    ) -> Self:
        """Learn the thresholds from the tables (`compared_columns`) of the reference years."""
        import polars as pl

        thresholds = learn_thresholds(tables, _column_names(prediction_column), settings)
        return cls(pl.concat(tables.values()), thresholds, prediction_column)

    def compare(self, table: pl.DataFrame, survey_year: int, model_version: str) -> pl.DataFrame:
        """Compare one survey year with the reference.

        Parameters
        ----------
        table : pl.DataFrame
            From `compared_columns`.
        survey_year : int
        model_version : str
            The version that was trained on the reference years.

        Returns
        -------
        pl.DataFrame
            One row per compared column: survey_year (Int16), the columns of `drift_table`, model_version.
        """
        import polars as pl

        return drift_table(self.table, table, _column_names(self.prediction_column), self.thresholds).select(
            pl.lit(survey_year, dtype=pl.Int16).alias("survey_year"),
            pl.all(),
            pl.lit(model_version).alias("model_version"),
        )


def compared_columns(features: pl.DataFrame, scores: pl.DataFrame | None, prediction_column: str) -> pl.DataFrame:
    """The columns of one survey year that are compared: its features, and its predictions if it was scored.

    Parameters
    ----------
    features : pl.DataFrame
        bridge_features of the year.
    scores : pl.DataFrame or None
        bridge_predictions of the year; None if it was not scored.
    prediction_column : str
        See `Task.prediction_column`. Null for every bridge if the year was not scored, or was scored by a model for
        another task.

    Returns
    -------
    pl.DataFrame
        structure_key, the features, the prediction; one row for each row of `features`.
    """
    import polars as pl

    columns = _column_names(prediction_column)
    if scores is None or prediction_column not in scores.columns:
        return features.select("structure_key", *columns[:-1], pl.lit(None, dtype=pl.Float32).alias(prediction_column))
    predictions = scores.select("structure_key", prediction_column)
    return features.join(predictions, on="structure_key", how="left").select("structure_key", *columns)


def _column_names(prediction_column: str) -> list[str]:
    from bridge_assets.data.features.definitions import FEATURE_NAMES

    return [*FEATURE_NAMES, prediction_column]
