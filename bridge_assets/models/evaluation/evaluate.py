"""A model on held-out inspections, beside what it is held against.

Belongs here: making the figures of one evaluation, and the tables for people. Each kind of figure has a module of its
own: `scores`, `resampling`, `calibration`, `groups`, `rolling_origin`; how they are kept is in `evaluation`. The
forecasts that the model is held against are in `baselines`, the gate's judgement in `quality`, leaks in `leakage`,
pictures in `plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.errors import ModelError
from bridge_assets.models.dataset.split import holdout_rows, train_rows
from bridge_assets.models.evaluation.acceptance import calibration_problems, quality_problems, quantization_problems
from bridge_assets.models.evaluation.baselines import forecasts as baseline_forecasts
from bridge_assets.models.evaluation.plots import calibration_plot_png
from bridge_assets.models.evaluation.record import FORECASTS, Evaluation
from bridge_assets.models.metrics.bootstrap import intervals
from bridge_assets.models.metrics.groups import figures_by_group
from bridge_assets.models.metrics.probability import Scores, expected_auc
from bridge_assets.models.tasks.tasks import task_of
from bridge_assets.models.training.leakage import leakage_problems

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.evaluation.importance import Importance
    from bridge_assets.models.evaluation.rolling_origin import Cut
    from bridge_assets.settings import EvaluationSettings


def evaluate(
    training: pl.DataFrame,
    answers: np.ndarray,
    *,
    oracle: pl.Series | None = None,
    features: Sequence[str] = (),
    keys: pl.DataFrame | None = None,
    rolling: Sequence[Cut] = (),
    importance: Importance | None = None,
    settings: EvaluationSettings | None = None,
) -> Evaluation:
    """Measure a model, and what it is held against, on the same held-out inspections.

    Parameters
    ----------
    training : pl.DataFrame
        The training table with `structure_key`, `split`, `fall`, `survey_year`, and `rating` and `years_in_rating` in
        natural units; for a regression with `change`.
    answers : np.ndarray of shape (n_holdout,)
        The model's probability of a fall, or expected change, for `holdout_rows(training)`, in that order.
    oracle : pl.Series, optional
        The true probability of a fall for every row of `training`, where it is known (the sample inventory).
    features : sequence of str
        What the baselines that learn are given: the model's features. Empty = they are left out.
    keys : pl.DataFrame, optional
        `groups.group_keys` of the held-out inspections; without them there are no figures by group.
    rolling : sequence of Cut
        `rolling_origin.rolling_origin`, to be kept with the rest.
    importance : Importance, optional
        `importance.permutation_importance`, to be kept with the rest.
    settings : EvaluationSettings, optional
        Default: those of model_config.yaml's defaults.

    Raises
    ------
    ModelError
        If there are not as many answers as held-out inspections, or the oracle does not know one of them.
    """
    import numpy as np

    from bridge_assets.settings import EvaluationSettings

    settings = settings or EvaluationSettings()
    task, holdout, train = task_of(training), holdout_rows(training), train_rows(training)
    if len(answers) != holdout.height:
        raise ModelError(f"expected {holdout.height} answers, one for each held-out inspection, found {len(answers)}")
    happened, falls = task.happened(holdout), holdout["fall"].to_numpy().astype(bool)
    answers = np.asarray(answers, dtype=float)
    forecasts = {**baseline_forecasts(training, features), "model": answers}
    if oracle is not None:
        known = oracle.filter(training["split"] == "holdout")
        if known.null_count():
            raise ModelError(f"the oracle knows nothing of {known.null_count()} of {len(known)} held-out inspections")
        forecasts["oracle"] = known.to_numpy()
    structures = holdout["structure_key"].to_list()
    there = {name: said for name, said in forecasts.items() if said is not None}
    truth = there.get("oracle")
    drawn = {"resamples": settings.resamples, "seed": settings.seed}
    of_figures, of_gains = intervals(happened, there, structures, task.against, **drawn, measured=task.measured)
    years = holdout["survey_year"].to_list()
    return Evaluation(
        inspections=holdout.height,
        falls=int(falls.sum()),
        base_rate=float(falls.mean()) if holdout.height else None,
        first_year=min(years, default=None),
        last_year=max(years, default=None),
        train_inspections=train.height,
        train_falls=int(train["fall"].sum()),
        scores={
            name: task.scores_type() if values is None else task.scores(happened, values)
            for name, values in forecasts.items()
        },
        intervals=of_figures,
        gains=of_gains,
        expected_auc={} if truth is None else {name: expected_auc(truth, said) for name, said in there.items()},
        calibration=task.reliability(happened, answers, structures, **drawn),
        groups=() if keys is None else tuple(figures_by_group(happened, answers, keys, settings, task.group_figures)),
        rolling=tuple(rolling),
        importance=importance,
        task=task.name,
    )


def markdown_table(evaluation: Evaluation) -> str:
    """The forecasts side by side, as a Markdown table under one line that says what they were measured on."""
    if not evaluation.inspections:
        return "No held-out inspections."
    years = f"{evaluation.first_year}" + (
        f" to {evaluation.last_year}" if evaluation.last_year != evaluation.first_year else ""
    )
    columns = type(evaluation.scores["model"]).TABLE
    lines = [
        f"{evaluation.inspections:,} held-out inspections of {years}, of which {evaluation.falls:,} fell "
        f"({evaluation.falls / evaluation.inspections:.1%}); trained on {evaluation.train_inspections:,} inspections.",
        "",
        f"| forecast | {' | '.join(column.heading for column in columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    for name, figures in evaluation.scores.items():
        cells = [_cell(getattr(figures, column.figure), column.form) for column in columns]
        lines.append(f"| {FORECASTS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def oracle_sentence(evaluation: Evaluation) -> str:
    """How far the model stays below the oracle, in a sentence; empty where there is none."""
    figures = evaluation.figures()
    below, expected = figures.get("auc_below_oracle"), figures.get("expected_auc_below_oracle")
    if below is None or expected is None:
        return ""
    return (
        f"AUC {below:.3f} below the oracle's on what happened, and {expected:.3f} below it over everything that might "
        f"have happened to the same bridges."
    )


def intervals_markdown(evaluation: Evaluation) -> str:
    """The model's figures with their 95 % intervals, and what it gains over each forecast, as a Markdown table."""
    if not evaluation.intervals.get("model"):
        return "No intervals: there is nothing to resample."
    model = evaluation.scores["model"]
    over = [name for name in evaluation.gains if name not in ("base_rate", "average_change")]
    head = [f"gain over {FORECASTS[name].removesuffix(' (sample only)')}" for name in over]
    lines = [f"| figure | model (95 % interval) | {' | '.join(head)} |", "|---|---|" + "---|" * len(head)]
    for column in type(model).INTERVALS:
        figure, form = column.figure, column.form
        interval = evaluation.interval("model", figure)
        if interval is None:
            continue
        gains = [evaluation.gain(each, figure) for each in over]
        cells = ["-" if gain is None else f"{gain.low:+{form}} to {gain.high:+{form}}" for gain in gains]
        value = _cell(getattr(model, figure), form)
        lines.append(
            f"| {column.heading} | {value} ({interval.low:{form}} to {interval.high:{form}}) | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


__all__ = [
    "FORECASTS",
    "Evaluation",
    "Scores",
    "calibration_plot_png",
    "calibration_problems",
    "evaluate",
    "holdout_rows",
    "intervals_markdown",
    "leakage_problems",
    "markdown_table",
    "oracle_sentence",
    "quality_problems",
    "quantization_problems",
]
