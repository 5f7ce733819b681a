"""A model on held-out inspections, beside what it is held against.

Belongs here: making the figures of one evaluation, and the tables for people. Each kind of figure has a module of its
own: `scores`, `resampling`, `calibration`, `groups`, `rolling_origin`; how they are kept is in `evaluation`. The
forecasts that the model is held against are in `baselines`, the gate's judgement in `quality`, leaks in `leakage`,
pictures in `plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.baselines import (
    base_rate,
    gradient_boosting,
    logistic_regression,
    persistence,
    rating_table,
)
from bridge_assets.models.calibration import reliability
from bridge_assets.models.errors import ModelError
from bridge_assets.models.evaluation import AGAINST, FORECASTS, Evaluation
from bridge_assets.models.groups import figures_by_group
from bridge_assets.models.leakage import leakage_problems
from bridge_assets.models.plots import calibration_plot_png
from bridge_assets.models.quality import calibration_problems, quality_problems, quantization_problems
from bridge_assets.models.resampling import intervals
from bridge_assets.models.scores import Scores, expected_auc, scores
from bridge_assets.models.split import holdout_rows, train_rows

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.importance import Importance
    from bridge_assets.models.rolling_origin import Cut
    from bridge_assets.settings import EvaluationSettings


def evaluate(
    training: pl.DataFrame,
    probability: np.ndarray,
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
        natural units.
    probability : np.ndarray of shape (n_holdout,)
        The model's probability of a fall for `holdout_rows(training)`, in that order.
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
        If there are not as many probabilities as held-out inspections, or the oracle does not know one of them.
    """
    import numpy as np

    from bridge_assets.settings import EvaluationSettings

    settings = settings or EvaluationSettings()
    holdout, train = holdout_rows(training), train_rows(training)
    if len(probability) != holdout.height:
        raise ModelError(
            f"expected {holdout.height} probabilities, one for each held-out inspection, found {len(probability)}"
        )
    falls = holdout["fall"].to_numpy().astype(bool)
    probability = np.asarray(probability, dtype=float)
    forecasts: dict[str, np.ndarray | None] = {
        "base_rate": base_rate(training),
        "persistence": persistence(training),
        "rating_table": rating_table(training),
    }
    if features:
        forecasts["logistic_regression"] = logistic_regression(training, features)
        forecasts["gradient_boosting"] = gradient_boosting(training, features)
    forecasts["model"] = probability
    if oracle is not None:
        known = oracle.filter(training["split"] == "holdout")
        if known.null_count():
            raise ModelError(f"the oracle knows nothing of {known.null_count()} of {len(known)} held-out inspections")
        forecasts["oracle"] = known.to_numpy()
    structures = holdout["structure_key"].to_list()
    there = {name: said for name, said in forecasts.items() if said is not None}
    truth = there.get("oracle")
    of_figures, of_gains = intervals(
        falls, there, structures, AGAINST, resamples=settings.resamples, seed=settings.seed
    )
    years = holdout["survey_year"].to_list()
    return Evaluation(
        inspections=holdout.height,
        falls=int(falls.sum()),
        base_rate=float(falls.mean()) if holdout.height else None,
        first_year=min(years, default=None),
        last_year=max(years, default=None),
        train_inspections=train.height,
        train_falls=int(train["fall"].sum()),
        scores={name: Scores() if values is None else scores(falls, values) for name, values in forecasts.items()},
        intervals=of_figures,
        gains=of_gains,
        expected_auc={} if truth is None else {name: expected_auc(truth, said) for name, said in there.items()},
        calibration=reliability(falls, probability, structures, resamples=settings.resamples, seed=settings.seed),
        groups=() if keys is None else tuple(figures_by_group(falls, probability, keys, settings)),
        rolling=tuple(rolling),
        importance=importance,
    )


def markdown_table(evaluation: Evaluation) -> str:
    """The forecasts side by side, as a Markdown table under one line that says what they were measured on."""
    if not evaluation.inspections:
        return "No held-out inspections."
    years = f"{evaluation.first_year}" + (
        f" to {evaluation.last_year}" if evaluation.last_year != evaluation.first_year else ""
    )
    lines = [
        f"{evaluation.inspections:,} held-out inspections of {years}, of which {evaluation.falls:,} fell "
        f"({evaluation.falls / evaluation.inspections:.1%}); trained on {evaluation.train_inspections:,} inspections.",
        "",
        "| forecast | AUC | average precision | Brier | accuracy | falls in worst 5 % | 10 % | 20 % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, figures in evaluation.scores.items():
        cells = [
            _cell(figures.auc, ".3f"),
            _cell(figures.average_precision, ".3f"),
            _cell(figures.brier, ".4f"),
            *(_cell(value, ".1%") for value in (figures.accuracy, figures.worst_5, figures.worst_10, figures.worst_20)),
        ]
        lines.append(f"| {FORECASTS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


#: figure -> what people call it, and its form.
_SHOWN = {
    "auc": ("AUC", ".3f"),
    "average_precision": ("average precision", ".3f"),
    "brier": ("Brier (gain = lower)", ".4f"),
    "worst_5": ("falls in worst 5 %", ".1%"),
    "worst_10": ("falls in worst 10 %", ".1%"),
    "worst_20": ("falls in worst 20 %", ".1%"),
}


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
    over = [name for name in AGAINST if name in evaluation.gains and name != "base_rate"]
    head = [f"gain over {FORECASTS[name].removesuffix(' (sample only)')}" for name in over]
    lines = [f"| figure | model (95 % interval) | {' | '.join(head)} |", "|---|---|" + "---|" * len(head)]
    for figure, (name, form) in _SHOWN.items():
        interval = evaluation.interval("model", figure)
        if interval is None:
            continue
        gains = [evaluation.gain(each, figure) for each in over]
        cells = ["-" if gain is None else f"{gain.low:+{form}} to {gain.high:+{form}}" for gain in gains]
        value = _cell(getattr(model, figure), form)
        lines.append(f"| {name} | {value} ({interval.low:{form}} to {interval.high:{form}}) | {' | '.join(cells)} |")
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
