"""Evaluate a model and its baselines on the held-out inspections, and print the results as tables.

Belongs here: computing one evaluation, and its Markdown tables. Does not belong here: the metrics (`models.metrics`),
the stored form (`record`), the baselines (`baselines`), the gate's limits (`acceptance`), plots (`plots`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.errors import ModelError
from bridge_assets.markdown import table
from bridge_assets.models.dataset.split import holdout_rows, train_rows
from bridge_assets.models.evaluation.acceptance import calibration_problems, quality_problems, quantization_problems
from bridge_assets.models.evaluation.baselines import baseline_forecasts as baseline_forecasts
from bridge_assets.models.evaluation.plots import calibration_plot_png
from bridge_assets.models.evaluation.record import FORECAST_LABELS, Evaluation
from bridge_assets.models.metrics.bootstrap import bootstrap_intervals
from bridge_assets.models.metrics.groups import metrics_by_group
from bridge_assets.models.metrics.probability import ProbabilityMetrics, expected_auc
from bridge_assets.models.tasks.tasks import task_of_table
from bridge_assets.models.training.leakage import leakage_problems

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.evaluation.importance import PermutationImportance
    from bridge_assets.models.evaluation.rolling_origin import RollingOriginCut
    from bridge_assets.settings import EvaluationSettings


def evaluate(
    training: pl.DataFrame,
    predictions: np.ndarray,
    *,
    oracle: pl.Series | None = None,
    features: Sequence[str] = (),
    keys: pl.DataFrame | None = None,
    rolling: Sequence[RollingOriginCut] = (),
    importance: PermutationImportance | None = None,
    settings: EvaluationSettings | None = None,
) -> Evaluation:
    """Measure a model and its baselines on the same held-out inspections.

    Parameters
    ----------
    training : pl.DataFrame
        The training table with `structure_key`, `split`, `fall`, `survey_year`, and `rating` and `years_in_rating` in
        natural units; for a regression with `change`.
    predictions : np.ndarray of shape (n_holdout,)
        The model's probability of a fall, or expected change, for `holdout_rows(training)`, in that order.
    oracle : pl.Series, optional
        The true probability of a fall for every row of `training`, where it is known (the sample inventory).
    features : sequence of str
        The model's features, for the baselines that are trained. Empty = without those baselines.
    keys : pl.DataFrame, optional
        `groups.group_keys` of the held-out inspections; without them there are no metrics by group.
    rolling : sequence of RollingOriginCut
        Result of `rolling_origin.rolling_origin`, stored with the rest.
    importance : PermutationImportance, optional
        Result of `importance.permutation_importance`, stored with the rest.
    settings : EvaluationSettings, optional
        Default: the defaults of model_config.yaml.

    Raises
    ------
    ModelError
        If the number of predictions is not that of the held-out inspections, or the oracle lacks one of them.
    """
    import numpy as np

    from bridge_assets.settings import EvaluationSettings

    settings = settings or EvaluationSettings()
    task, holdout, train = task_of_table(training), holdout_rows(training), train_rows(training)
    if len(predictions) != holdout.height:
        raise ModelError(
            f"expected {holdout.height} predictions, one for each held-out inspection, found {len(predictions)}"
        )
    outcomes, falls = task.outcomes(holdout), holdout["fall"].to_numpy().astype(bool)
    predictions = np.asarray(predictions, dtype=float)
    forecasts = {**baseline_forecasts(training, features), "model": predictions}
    if oracle is not None:
        forecasts["oracle"] = _holdout_oracle(training, oracle)
    structures = holdout["structure_key"].to_list()
    available = {name: predicted for name, predicted in forecasts.items() if predicted is not None}
    truth = available.get("oracle")
    bootstrap = {"resamples": settings.resamples, "seed": settings.seed}
    metric_intervals, gain_intervals = bootstrap_intervals(
        outcomes, available, structures, task.compared_baselines, **bootstrap, metrics_type=task.weighted_metrics_type
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
        scores={
            name: task.metrics_type() if values is None else task.compute_metrics(outcomes, values)
            for name, values in forecasts.items()
        },
        intervals=metric_intervals,
        gains=gain_intervals,
        expected_auc={}
        if truth is None
        else {name: expected_auc(truth, predicted) for name, predicted in available.items()},
        calibration=task.compute_reliability(outcomes, predictions, structures, **bootstrap),
        groups=()
        if keys is None
        else tuple(metrics_by_group(outcomes, predictions, keys, settings, task.compute_group_metrics)),
        by_rating=()
        if task.compute_by_rating is None or "rating" not in holdout.columns
        else task.compute_by_rating(outcomes, predictions, holdout["rating"].to_numpy(), structures, **bootstrap),
        parts=()
        if task.compute_parts is None or "rating" not in holdout.columns
        else task.compute_parts(train, holdout, available, **bootstrap),
        rolling=tuple(rolling),
        importance=importance,
        task=task.name,
    )


def _holdout_oracle(training: pl.DataFrame, oracle: pl.Series) -> np.ndarray:
    known = oracle.filter(training["split"] == "holdout")
    if known.null_count():
        raise ModelError(f"the oracle has no probability for {known.null_count()} of {len(known)} held-out inspections")
    return known.to_numpy()


def evaluation_markdown(evaluation: Evaluation) -> str:
    """The metrics of all forecasts as a Markdown table, under a line that describes the held-out inspections."""
    if not evaluation.inspections:
        return "No held-out inspections."
    years = f"{evaluation.first_year}" + (
        f" to {evaluation.last_year}" if evaluation.last_year != evaluation.first_year else ""
    )
    columns = type(evaluation.scores["model"]).TABLE_COLUMNS
    lines = [
        f"{evaluation.inspections:,} held-out inspections of {years}, of which {evaluation.falls:,} fell "
        f"({evaluation.falls / evaluation.inspections:.1%}); trained on {evaluation.train_inspections:,} inspections.",
        "",
    ]
    rows = [
        (FORECAST_LABELS[name], *(_cell(getattr(metrics, column.metric), column.format_spec) for column in columns))
        for name, metrics in evaluation.scores.items()
    ]
    header = ("forecast", *(column.heading for column in columns))
    return "\n".join([*lines, table(header, rows, "l" + "r" * len(columns))])


def oracle_gap_text(evaluation: Evaluation) -> str:
    """How far the model is below the oracle, in a sentence; empty without an oracle."""
    figures = evaluation.headline_metrics()
    below, expected = figures.get("auc_gap_to_oracle"), figures.get("expected_auc_gap_to_oracle")
    if below is None or expected is None:
        return ""
    return (
        f"AUC is {below:.3f} below the oracle's on the actual outcomes, and {expected:.3f} below it averaged over all "
        f"outcomes that were possible for the same bridges."
    )


def intervals_markdown(evaluation: Evaluation) -> str:
    """The model's metrics with 95 % intervals, and its gain over each baseline, as a Markdown table."""
    if not evaluation.intervals.get("model"):
        return "No intervals: there are no held-out inspections to resample."
    model = evaluation.scores["model"]
    baselines = [name for name in evaluation.gains if name not in ("base_rate", "average_change")]
    headings = [f"gain over {FORECAST_LABELS[name].removesuffix(' (sample only)')}" for name in baselines]
    rows = []
    for column in type(model).INTERVAL_COLUMNS:
        figure, form = column.metric, column.format_spec
        interval = evaluation.interval("model", figure)
        if interval is None:
            continue
        gains = [evaluation.gain(each, figure) for each in baselines]
        cells = ["-" if gain is None else f"{gain.low:+{form}} to {gain.high:+{form}}" for gain in gains]
        value = f"{_cell(getattr(model, figure), form)} ({interval.low:{form}} to {interval.high:{form}})"
        rows.append((column.heading, value, *cells))
    return table(("metric", "model (95 % interval)", *headings), rows)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


__all__ = [
    "FORECAST_LABELS",
    "Evaluation",
    "ProbabilityMetrics",
    "calibration_plot_png",
    "calibration_problems",
    "evaluate",
    "evaluation_markdown",
    "holdout_rows",
    "intervals_markdown",
    "leakage_problems",
    "oracle_gap_text",
    "quality_problems",
    "quantization_problems",
]
