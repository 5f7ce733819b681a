"""Drift of a survey year against the years a model was trained on, from the tables in the lake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.drift.detection import drift_table, learn_thresholds
from bridge_assets.models.tasks.tasks import CLASSIFICATION

if TYPE_CHECKING:
    from typing import Self

    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.settings import DriftSettings


@dataclass(frozen=True)
class ReferencePeriod:
    """The reference period: its rows, and how far apart its own years lie."""

    table: pl.DataFrame
    thresholds: dict[str, float]
    prediction_column: str = CLASSIFICATION.prediction_column

    @classmethod
    def from_lake(
        cls,
        lake: Lake,
        years: tuple[int, int],
        settings: DriftSettings,
        prediction_column: str = CLASSIFICATION.prediction_column,
    ) -> Self:
        """The features, and where they have been scored the answers (`Task.prediction_column`), of the reference years
        (both ends included).
        """
        import polars as pl

        columns = _compared_columns(prediction_column)
        inside = [year for year in lake.available_years("bridge_features") if years[0] <= year <= years[1]]
        by_year = {year: _load_year(lake, year, prediction_column) for year in inside}
        thresholds = learn_thresholds(by_year, columns, settings)
        return cls(pl.concat(by_year.values()), thresholds, prediction_column)

    def write_report(self, lake: Lake, survey_year: int, model_version: str) -> pl.DataFrame:
        """Compare one survey year with the reference and write its drift_report."""
        import polars as pl

        year = _load_year(lake, survey_year, self.prediction_column)
        table = drift_table(self.table, year, _compared_columns(self.prediction_column), self.thresholds).select(
            pl.lit(survey_year, dtype=pl.Int16).alias("survey_year"),
            pl.all(),
            pl.lit(model_version).alias("model_version"),
        )
        lake.write(table, "drift_report", survey_year)
        return table


def _compared_columns(prediction_column: str) -> list[str]:
    from bridge_assets.data.features.definitions import FEATURE_NAMES

    return [*FEATURE_NAMES, prediction_column]


def _load_year(lake: Lake, survey_year: int, prediction_column: str) -> pl.DataFrame:
    import polars as pl

    features, columns = lake.read_year("bridge_features", survey_year), _compared_columns(prediction_column)
    scored = survey_year in lake.available_years("bridge_predictions")
    scores = lake.read_year("bridge_predictions", survey_year) if scored else pl.DataFrame()
    if prediction_column not in scores.columns:  # not scored, or by a model of another task
        return features.select("structure_key", *columns[:-1], pl.lit(None, dtype=pl.Float32).alias(prediction_column))
    answers = scores.select("structure_key", prediction_column)
    return features.join(answers, on="structure_key", how="left").select("structure_key", *columns)
