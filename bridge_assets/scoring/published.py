"""The scores as they were first published: what a model said before anybody knew better.

bridge_predictions holds the latest scores of a survey year; scoring it again replaces them. Here the first scores of
each model version for each survey year stay, so that they can be compared with what the inspections found later.

Belongs here: keeping them. Does not belong here: judging them (`drift.realised_quality`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bridge_assets.errors import StorageError
from bridge_assets.file_lock import LockHeldError, file_lock
from bridge_assets.scoring.batch import TABLE_NAME as SCORES

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.runtime.scoring_model import ScoringModel

TABLE_NAME = "published_scores"

#: Seconds to wait for another run that publishes.
_LOCK_SECONDS = 60.0


def publish_scores(lake: Lake, scores: pl.DataFrame, survey_year: int, model: ScoringModel) -> bool:
    """Keep the scores of a survey year, unless this model version has published some for it before.

    Parameters
    ----------
    lake : Lake
        published_scores gets one row per bridge and model version: structure_key, inspection_date, condition,
        prediction (Float32: a probability, or points), target, model_version, training_until (Int16: the last survey
        year that the model was trained on), published_at (UTC).
    scores : pl.DataFrame
        From `batch.score_survey_year`.
    survey_year : int
    model : ScoringModel
        The model that gave them.

    Returns
    -------
    bool
        Whether they are new. What was published before is never replaced.

    Raises
    ------
    StorageError
        If another run does not finish writing, or the file cannot be written.
    """
    import polars as pl

    path = lake.year_path(TABLE_NAME, survey_year)
    try:
        with file_lock(path.with_name(f".{survey_year}.lock"), _LOCK_SECONDS):
            earlier = [lake.read_year(TABLE_NAME, survey_year)] if path.is_file() else []
            if earlier and model.version in earlier[0]["model_version"].unique():
                return False
            published = scores.select(
                "structure_key",
                "inspection_date",
                "condition",
                pl.col(model.task.prediction_column).alias("prediction"),
                "target",
                "model_version",
                pl.lit(model.training_years[1], pl.Int16).alias("training_until"),
                pl.lit(datetime.now(UTC).replace(tzinfo=None), pl.Datetime("ms")).alias("published_at"),
            )
            lake.write(pl.concat([*earlier, published]), TABLE_NAME, survey_year)
    except LockHeldError as held:
        raise StorageError(
            f"the scores of {survey_year} could not be published",
            where=path,
            why=f"Process {held.holder} has been writing there for {_LOCK_SECONDS:g} s",
            do="wait until it has finished, then score the year again",
        ) from held
    return True


def unpublished_years(lake: Lake, model_version: str) -> list[int]:
    """The survey years that this version scored last, but of which no published scores of it are kept."""
    return [
        year
        for year in lake.available_years(SCORES)
        if model_version in _versions(lake, SCORES, year)
        and not (lake.year_path(TABLE_NAME, year).is_file() and model_version in _versions(lake, TABLE_NAME, year))
    ]


def _versions(lake: Lake, table: str, survey_year: int) -> set[str]:
    return set(lake.scan_year(table, survey_year).select("model_version").unique().collect().to_series())
