"""Scores of one survey year by a served model: the answer, the orders to look in, why, and years until Poor.

A prediction from features of other definitions is refused. Two orders are written. `rank_in_state` goes by the
probability alone: it is what the model is judged by, and is led by Good bridges, which fall most often.
`look_first_rank` weighs the probability with what a fall would mean: see `look_first_weight`. A regression is ranked by
its expected change in the same two ways, the greatest loss first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.errors import SourceError
from bridge_assets.models.tasks.tasks import CLASSIFICATION, task_of_table

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.models.tasks.base import Task
    from bridge_assets.runtime.scoring_model import ScoringModel
    from bridge_assets.settings import LookFirstSettings

TABLE_NAME = "bridge_predictions"


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


def score_survey_year(
    lake: Lake,
    survey_year: int,
    model: ScoringModel,
    look_first: LookFirstSettings | None = None,
) -> pl.DataFrame:
    """Score every bridge of a survey year and write bridge_predictions, with its note.

    The note says what it was made from, which bridges got reasons against which base (`explained`), and whose years
    until Poor stand there (`years_until_poor`), or why there are none.

    Parameters
    ----------
    lake : Lake
        With bridge_features of that year.
    survey_year : int
    model : ScoringModel
    look_first : LookFirstSettings, optional
        What a fall is worth, and who gets reasons; default: those of model_config.yaml's defaults.

    Returns
    -------
    pl.DataFrame
        structure_key, survey_year, inspection_date, condition, fall_probability (Float32), rank_in_state (Int32, 1 =
        highest probability; equal ones in the order of their keys), look_first_rank (Int32, in its state, 1 = highest
        product of probability and `look_first_weight`; equal ones by probability, then key), target (what the
        probability is of), reasons (`shap_values.reasons_dtype`; null for all but the first of each state in the last
        survey years), years_until_poor, years_until_poor_low, years_until_poor_high (Float32, null beyond the horizon),
        years_until_poor_horizon (Int16, null where no years were worked out), model_version, features_digest; sorted by
        structure key. A regression has expected_change (Float32, points) before the ranks, in which the lowest comes
        first, and a fall_probability that is null.

    Raises
    ------
    SourceError
        If the features have not been made, or by other definitions than those the model was trained on.
    """
    import polars as pl

    from bridge_assets.scoring.shap_values import Explainer
    from bridge_assets.scoring.years_until_poor import YEARS_COLUMNS, load_years_until_poor
    from bridge_assets.settings import LookFirstSettings

    look_first = look_first or LookFirstSettings()
    definitions_digest = lake.provenance("bridge_features", survey_year)["features_digest"]
    if definitions_digest != model.features_digest:
        raise SourceError(
            f"model {model.version} cannot score the features of {survey_year}",
            where=lake.year_path("bridge_features", survey_year),
            why=f"It was trained on feature definitions {model.features_digest}, these were made by "
            f"{definitions_digest}",
            do="materialise bridge_features again, or train and deploy a model on the present definitions",
        )
    features = lake.read_year("bridge_features", survey_year)
    ranked = _with_ranks(features.with_columns(model.predict(features)), model.task, look_first)
    explainer = Explainer(model.forest, "the forest is not served beside its graph")
    if survey_year not in lake.available_years("bridge_features")[-look_first.explained_years :]:
        explainer = Explainer(None, f"{survey_year} is none of the last years (look_first.explained_years)")
    reasons, explained = explainer.explain(
        ranked, model.normalization, pl.col("look_first_rank") <= look_first.explained_per_state
    )
    # Every table of scores has the column: who reads several years, or sums up falls, finds nothing to add.
    null_probability = (
        [] if model.task is CLASSIFICATION else [pl.lit(None, pl.Float32).alias(CLASSIFICATION.prediction_column)]
    )
    years, until_poor = load_years_until_poor(lake, survey_year, features)
    scores = (
        ranked.join(reasons, on="structure_key", how="left")
        .join(years, on="structure_key", how="left")
        .select(
            "structure_key",
            "survey_year",
            "inspection_date",
            pl.col("condition").cast(pl.Int8),
            model.task.prediction_column,
            "rank_in_state",
            "look_first_rank",
            *null_probability,
            pl.lit(model.target).alias("target"),
            "reasons",
            *YEARS_COLUMNS,
            pl.lit(model.version).alias("model_version"),
            pl.lit(model.features_digest).alias("features_digest"),
        )
        .sort("structure_key")
    )
    made_from = {
        "digest": lake.write(scores, TABLE_NAME, survey_year),
        "bridge_features": lake.digest("bridge_features", survey_year),
        "features_digest": model.features_digest,
        "model_version": model.version,
        "rows": scores.height,
    }
    lake.write_provenance(
        TABLE_NAME, survey_year, {**made_from, "explained": explained, "years_until_poor": until_poor}
    )
    return scores


def _with_ranks(scored: pl.DataFrame, task: Task, look_first: LookFirstSettings) -> pl.DataFrame:
    """The same rows with `rank_in_state` and `look_first_rank`."""
    import polars as pl

    state, rank = "STATE_CODE_001", pl.int_range(1, pl.len() + 1).over("STATE_CODE_001").cast(pl.Int32)
    severity = task.severity(pl.col(task.prediction_column))
    return (
        scored.sort(state, -severity * look_first_weight(look_first), -severity, "structure_key")
        .with_columns(rank.alias("look_first_rank"))
        .sort(state, -severity, "structure_key")
        .with_columns(rank.alias("rank_in_state"))
    )


def score_problems(scores: pl.DataFrame, features: pl.DataFrame) -> list[str]:
    """What is wrong with the scores of one survey year, one sentence each; empty where nothing is."""
    import polars as pl

    state = pl.col("structure_key").str.slice(0, 2)
    problems = []
    if missing := features.join(scores, on="structure_key", how="anti").height:
        problems.append(f"{missing} bridges without a score")
    if duplicates := scores.height - scores["structure_key"].n_unique():
        problems.append(f"{duplicates} bridges stand there twice")
    task = task_of_table(scores)
    least, most = task.prediction_bounds
    inside = pl.col(task.prediction_column).is_between(least, most)
    if out_of_bounds := scores.filter(~inside.fill_null(False)).height:
        problems.append(f"{out_of_bounds} scores outside {least:g} to {most:g}")
    counted = pl.int_range(1, pl.len() + 1).over(state)
    problems += [
        f"{rank} does not count the bridges of a state from 1"
        for rank in ("rank_in_state", "look_first_rank")
        if scores.filter(pl.col(rank).sort().over(state) != counted).height
    ]
    explained = pl.col("reasons").is_not_null()
    explained_counts = (
        scores.filter(explained).group_by(state).agg(pl.len().alias("told"), pl.col("look_first_rank").max())
    )
    if n_states := explained_counts.filter(pl.col("told") != pl.col("look_first_rank")).height:
        problems.append(f"in {n_states} states others have reasons than the first")
    return problems
