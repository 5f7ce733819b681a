"""Scores of one survey year by a served model: prediction, rankings, lists, reasons, and years until Poor.

Features with other definitions than those on which the model was trained are refused. There are two rankings.
`rank_in_state` uses only the probability: the model is evaluated by this order, and Good bridges come first, because
their ratings drop most often. `look_first_rank` weights the probability by the consequence of a drop: see
`look_first_weight`. A regression is ranked by its expected change in the same two ways, largest loss first.

Three lists (`listed_as`) hold what a person acts on: bridges that are Poor, those that are Poor after one more point,
and those that are no longer Good after it. A 9 that becomes an 8, or a 6 that becomes a 5, is in none of them.

Belongs here: computing the rows of bridge_predictions. Does not belong here: reading features and writing scores; these
functions take tables and return tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge_assets.errors import SourceError
from bridge_assets.models.tasks.tasks import CLASSIFICATION, task_of_table
from bridge_assets.nbi.derived import GOOD_MIN, POOR_MAX

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import YearTable
    from bridge_assets.models.tasks.base import Task
    from bridge_assets.runtime.scoring_model import ScoringModel
    from bridge_assets.scoring.shap_values import Explainer
    from bridge_assets.settings import LookFirstSettings

TABLE_NAME = "bridge_predictions"

#: The lists, in the order in which they are shown.
POOR_NOW, LIKELY_POOR, LOSING_GOOD = "Poor now", "Likely to become Poor", "Good, losing a point"
LISTS = (POOR_NOW, LIKELY_POOR, LOSING_GOOD)


def look_first_weight(settings: LookFirstSettings) -> pl.Expr:
    """Weight of a drop, or of one point, by the current condition (column `condition`).

    Good is 7 or more and Poor 4 or less (23 CFR 490.409): after a drop from 8 or 9 a bridge is still Good, a drop from
    7 makes it Fair, a drop from 5 Poor, and a drop from 4 or less makes a Poor bridge worse. The weights are a choice
    of the user (`look_first` in model_config.yaml); they do not come from a publication.
    """
    import polars as pl

    condition = pl.col("condition")
    return (
        pl.when(condition > GOOD_MIN)
        .then(settings.stays_good)
        .when(condition == GOOD_MIN)
        .then(settings.good)
        .when(condition > POOR_MAX + 1)
        .then(settings.fair)
        .otherwise(settings.to_poor)
    )


def list_of() -> pl.Expr:
    """The list that a bridge is in, by its condition (column `condition`); null for none.

    A bridge that is expected to stay above Poor for longer than the horizon of years until Poor (`years_until_poor` is
    null, its horizon is not) is not likely to become it.
    """
    import polars as pl

    condition = pl.col("condition")
    stays = pl.col("years_until_poor").is_null() & pl.col("years_until_poor_horizon").is_not_null()
    return (
        pl.when(condition <= POOR_MAX)
        .then(pl.lit(POOR_NOW))
        .when((condition == POOR_MAX + 1) & ~stays)
        .then(pl.lit(LIKELY_POOR))
        .when(condition == GOOD_MIN)
        .then(pl.lit(LOSING_GOOD))
    )


def score_survey_year(
    features: YearTable,
    model: ScoringModel,
    look_first: LookFirstSettings | None = None,
    *,
    years: YearTable | None = None,
    is_explained: bool = True,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Score every bridge of a survey year.

    Parameters
    ----------
    features : YearTable
        bridge_features of that year.
    model : ScoringModel
    look_first : LookFirstSettings, optional
        Weight of a drop, and which bridges get reasons; by default, the defaults of model_config.yaml.
    years : YearTable, optional
        years_until_poor of the same year, if it exists.
    is_explained : bool, default True
        Whether the first bridges of each list get reasons: true for the last survey years.

    Returns
    -------
    scores : pl.DataFrame
        structure_key, survey_year, inspection_date, condition, fall_probability (Float32), rank_in_state (Int32, 1 =
        highest probability; ties in key order), look_first_rank (Int32, within the state, 1 = highest product of
        probability and `look_first_weight`; ties by probability, then key), listed_as (one of `LISTS`, or null),
        rank_in_list (Int32, within state and list, 1 = highest probability, in `Poor now` the lowest condition first;
        null without a list), target (the predicted outcome), reasons (`shap_values.reasons_dtype`; null except for the
        first bridges of each list of a state), the columns years_until_poor,
        years_until_poor_low, years_until_poor_high (Float32, null beyond the horizon) and years_until_poor_horizon
        (Int16, null if no years were computed), model_version, features_digest; sorted by structure key. For a
        regression, expected_change (Float32, points; the lowest ranks first) comes before the ranks, and
        fall_probability is null.
    provenance : dict
        Digest of the features, features_digest, model_version, the number of bridges with reasons and their base value
        (`explained`), and the origin of the years until Poor (`years_until_poor`), or why there are none.

    Raises
    ------
    SourceError
        If the features have other definitions than those on which the model was trained.
    """
    import polars as pl

    from bridge_assets.scoring.years_until_poor import match_years_until_poor
    from bridge_assets.settings import LookFirstSettings

    look_first = look_first or LookFirstSettings()
    _require_same_definitions(features, model)
    until_poor, years_provenance = match_years_until_poor(years, features)
    scored = features.table.with_columns(model.predict(features.table)).join(
        until_poor, on="structure_key", how="left", maintain_order="left"
    )
    ranked = _with_ranks(scored, model.task, look_first)
    reasons, explained = _explainer(model, features.survey_year, is_explained).explain(
        ranked, model.normalization, pl.col("rank_in_list") <= look_first.explained_per_list
    )
    scores = ranked.join(reasons, on="structure_key", how="left").select(_columns(model)).sort("structure_key")
    return scores, {
        "bridge_features": features.digest,
        "features_digest": model.features_digest,
        "model_version": model.version,
        "explained": explained,
        "years_until_poor": years_provenance,
    }


def _require_same_definitions(features: YearTable, model: ScoringModel) -> None:
    definitions_digest = features.provenance["features_digest"]
    if definitions_digest != model.features_digest:
        raise SourceError(
            f"model {model.version} cannot score the features of {features.survey_year}",
            where=features.path,
            why=f"It was trained with feature definitions {model.features_digest}, but these were computed with "
            f"{definitions_digest}",
            do="build the features again, or train and deploy a model with the current definitions",
            stage="bridge_features",
        )


def _explainer(model: ScoringModel, survey_year: int, is_explained: bool) -> Explainer:
    from bridge_assets.scoring.shap_values import Explainer

    if not is_explained:
        return Explainer(None, f"{survey_year} is not one of the last survey years (look_first.explained_years)")
    return Explainer(model.forest, "the served model has no float16 forest next to its ONNX graph")


def _columns(model: ScoringModel) -> list[str | pl.Expr]:
    """The columns of bridge_predictions, from the ranked features with years and reasons."""
    import polars as pl

    from bridge_assets.scoring.years_until_poor import YEARS_COLUMNS

    # Every table of scores has this column, so that several years can be read together and falls can be summed.
    null_probability = (
        [] if model.task is CLASSIFICATION else [pl.lit(None, pl.Float32).alias(CLASSIFICATION.prediction_column)]
    )
    return [
        "structure_key",
        "survey_year",
        "inspection_date",
        pl.col("condition").cast(pl.Int8),
        model.task.prediction_column,
        "rank_in_state",
        "look_first_rank",
        "listed_as",
        "rank_in_list",
        *null_probability,
        pl.lit(model.target).alias("target"),
        "reasons",
        *YEARS_COLUMNS,
        pl.lit(model.version).alias("model_version"),
        pl.lit(model.features_digest).alias("features_digest"),
    ]


def _with_ranks(scored: pl.DataFrame, task: Task, look_first: LookFirstSettings) -> pl.DataFrame:
    """The same rows with the columns `rank_in_state`, `look_first_rank`, `listed_as` and `rank_in_list` added."""
    import polars as pl

    state, rank = "STATE_CODE_001", pl.int_range(1, pl.len() + 1).over("STATE_CODE_001").cast(pl.Int32)
    severity = task.severity(pl.col(task.prediction_column))
    return (
        scored.sort(state, -severity * look_first_weight(look_first), -severity, "structure_key")
        .with_columns(rank.alias("look_first_rank"), list_of().alias("listed_as"))
        .sort(state, -severity, "structure_key")
        .with_columns(rank.alias("rank_in_state"))
        .sort(state, pl.when(pl.col("condition") <= POOR_MAX).then("condition"), -severity, "structure_key")
        .with_columns(_number_in_list(state).alias("rank_in_list"))
    )


def _number_in_list(state: str) -> pl.Expr:
    """1, 2, 3 ... in each list of each state, in the order of the rows; null where a bridge is in none."""
    import polars as pl

    place = pl.int_range(1, pl.len() + 1).over(state, "listed_as").cast(pl.Int32)
    return pl.when(pl.col("listed_as").is_not_null()).then(place)


def score_problems(scores: pl.DataFrame, features: pl.DataFrame) -> list[str]:
    """Problems in the scores of one survey year, one sentence each; empty if there are none."""
    import polars as pl

    state = pl.col("structure_key").str.slice(0, 2)
    problems = []
    if missing := features.join(scores, on="structure_key", how="anti").height:
        problems.append(f"{missing} bridges have no score")
    if duplicates := scores.height - scores["structure_key"].n_unique():
        problems.append(f"{duplicates} duplicated bridges")
    task = task_of_table(scores)
    lowest, highest = task.prediction_bounds
    inside = pl.col(task.prediction_column).is_between(lowest, highest)
    if out_of_bounds := scores.filter(~inside.fill_null(False)).height:
        problems.append(f"{out_of_bounds} scores outside {lowest:g} to {highest:g}")
    expected_ranks = pl.int_range(1, pl.len() + 1).over(state)
    problems += [
        f"{rank} does not number the bridges of a state from 1"
        for rank in ("rank_in_state", "look_first_rank")
        if scores.filter(pl.col(rank).sort().over(state) != expected_ranks).height
    ]
    listed = scores.filter(pl.col("listed_as").is_not_null())
    expected_places = pl.int_range(1, pl.len() + 1).over(state, "listed_as")
    if listed.filter(pl.col("rank_in_list").sort().over(state, "listed_as") != expected_places).height:
        problems.append("rank_in_list does not number the bridges of a list from 1")
    explained = scores.filter(pl.col("reasons").is_not_null())
    explained_counts = explained.group_by(state, "listed_as").agg(
        pl.len().alias("explained"), pl.col("rank_in_list").max()
    )
    if n_lists := explained_counts.filter(pl.col("explained").ne_missing(pl.col("rank_in_list"))).height:
        problems.append(f"in {n_lists} lists the bridges with reasons are not the first ones")
    return problems
