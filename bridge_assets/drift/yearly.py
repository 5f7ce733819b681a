"""Drift of a survey year against the years a model was trained on, from the tables in the lake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.drift.detection import drift_table, learn_thresholds

if TYPE_CHECKING:
    from typing import Self

    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.settings import DriftSettings

PROBABILITY = "fall_probability"


@dataclass(frozen=True)
class Reference:
    """The reference period: its rows, and how far apart its own years lie."""

    table: pl.DataFrame
    thresholds: dict[str, float]

    @classmethod
    def of(cls, lake: Lake, years: tuple[int, int], settings: DriftSettings) -> Self:
        """The features, and where they have been scored the probabilities, of the reference years (both ends
        included).
        """
        import polars as pl

        columns = _columns()
        by_year = {year: _year(lake, year) for year in lake.years("bridge_features") if years[0] <= year <= years[1]}
        thresholds = learn_thresholds(by_year, columns, settings)
        return cls(pl.concat(by_year.values()), thresholds)

    def report(self, lake: Lake, survey_year: int, model_version: str) -> pl.DataFrame:
        """Compare one survey year with the reference and write its drift_report."""
        import polars as pl

        table = drift_table(self.table, _year(lake, survey_year), _columns(), self.thresholds).select(
            pl.lit(survey_year, dtype=pl.Int16).alias("survey_year"),
            pl.all(),
            pl.lit(model_version).alias("model_version"),
        )
        lake.write(table, "drift_report", survey_year)
        return table


def _columns() -> list[str]:
    from bridge_assets.data.features import FEATURE_NAMES

    return [*FEATURE_NAMES, PROBABILITY]


def _year(lake: Lake, survey_year: int) -> pl.DataFrame:
    import polars as pl

    features = lake.read_year("bridge_features", survey_year)
    if survey_year not in lake.years("bridge_predictions"):
        return features.select("structure_key", *_columns()[:-1], pl.lit(None, dtype=pl.Float32).alias(PROBABILITY))
    scores = lake.read_year("bridge_predictions", survey_year).select("structure_key", PROBABILITY)
    return features.join(scores, on="structure_key", how="left").select("structure_key", *_columns())
