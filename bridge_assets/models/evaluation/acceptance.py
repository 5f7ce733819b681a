"""Is a model good enough? What the gate's checks ask of a model on held-out inspections, and of its float16 form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.metrics.probability import roc_auc
from bridge_assets.models.tasks.tasks import TASKS, task_of_table
from bridge_assets.models.training.train_forest import holdout_predictions

if TYPE_CHECKING:
    import polars as pl
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.evaluation.record import Evaluation
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.metrics.bootstrap import Interval
    from bridge_assets.models.tasks.base import AcceptanceMetric
    from bridge_assets.settings import GateSettings


def quality_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Why a model is not good enough; an empty list lets it pass.

    Each problem gives the figure, the limit, and in brackets the key of `gate` in model_config.yaml. Where a gain has
    an interval, its lower end is held against the limit: a gain that chance alone may have given is none.
    """
    problems = []
    if evaluation.inspections < gate.holdout_inspections:
        problems.append(
            f"{evaluation.inspections:,} held-out inspections prove nothing; the least is {gate.holdout_inspections:,} "
            f"(holdout_inspections)"
        )
    if evaluation.falls < gate.holdout_falls:
        problems.append(
            f"{evaluation.falls:,} held-out falls prove nothing; the least is {gate.holdout_falls:,} (holdout_falls)"
        )
    for metric in TASKS[evaluation.task].acceptance_metrics:
        model_value, baseline_value = (metric.value(evaluation.scores[name]) for name in ("model", metric.baseline))
        gain, interval = metric.gain(model_value, baseline_value), evaluation.gain(metric.baseline, metric.metric)
        if model_value is None or baseline_value is None or gain is None:
            problems.append(metric.unavailable_message)
        elif _conservative_gain(gain, interval) < (min_gain := getattr(gate, metric.min_gain_setting)):
            problems.append(
                f"{metric.name} {metric.format_value(model_value)} is a gain of {metric.format_value(gain, '+')} over "
                f"{metric.baseline_label} {metric.format_value(baseline_value)}{_interval_text(interval, metric)}; "
                f"the least is "
                f"{metric.format_value(min_gain, '+')} ({metric.min_gain_setting})"
            )
    return problems


def calibration_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Why the answers cannot be taken at their word; an empty list lets them pass.

    What is held against `gate.calibration_error` is the error beyond that which perfect answers have on as many
    inspections (`calibration.Reliability.excess`).
    """
    answers = TASKS[evaluation.task].predictions_name
    if evaluation.calibration is None:
        return [f"the {answers} cannot be judged: there is no held-out inspection"]
    found = evaluation.calibration
    if found.excess <= gate.calibration_error:
        return []
    return [
        f"the {answers} do not come true: {found.summary}. The error exceeds that of perfect {answers} by "
        f"{found.excess:.4f}; the most is {gate.calibration_error:g} (calibration_error)"
    ]


def _conservative_gain(gain: float, interval: Interval | None) -> float:
    return gain if interval is None else interval.low


def _interval_text(interval: Interval | None, judged: AcceptanceMetric) -> str:
    if interval is None:
        return ""
    return f" (95 % interval {judged.format_value(interval.low, '+')} to {judged.format_value(interval.high, '+')})"


def quantization_problems(
    forest: RandomForestClassifier,
    quantized: Float16Forest,
    training: pl.DataFrame,
    features: Sequence[str],
    gate: GateSettings,
) -> tuple[list[str], float, float]:
    """What float16 costs on the held-out inspections, held against the gate.

    Parameters
    ----------
    forest, quantized
        The same forest before and after.
    training : pl.DataFrame
        With `split`, `fall` and the features on the model's scale.
    features : sequence of str
        What `forest` was trained on; `quantized` must take the same.
    gate : GateSettings

    Returns
    -------
    problems : list of str
        Empty = passes.
    difference : float
        The most that an answer moves.
    loss : float
        AUC of the falls lost; 0 where it cannot be measured, since nothing ranks differently there.
    """
    import numpy as np

    if quantized.features != tuple(features):
        return ["the float16 forest takes other features than the forest it is compared with"], 1.0, 1.0
    holdout = holdout_rows(training)
    if holdout.is_empty():
        return ["there is no held-out inspection to measure the loss on"], 0.0, 0.0
    task = task_of_table(training)
    exact_predictions = holdout_predictions(forest, training, features)
    float16_predictions = task.predict(quantized, holdout).astype(float)
    falls = holdout["fall"].to_numpy().astype(bool)
    difference = float(np.abs(exact_predictions - float16_predictions).max())
    auc_before, auc_after = (
        roc_auc(falls, task.severity(answers)) or 0.0 for answers in (exact_predictions, float16_predictions)
    )
    loss = auc_before - auc_after
    problems = []
    if difference > gate.quantization_difference:
        problems.append(
            f"{task.prediction_name} moves by {difference:.6f} in float16; the most is "
            f"{gate.quantization_difference:g} (quantization_difference)"
        )
    if loss > gate.quantization_auc_loss:
        problems.append(
            f"AUC falls by {loss:.6f} in float16; the most is {gate.quantization_auc_loss:g} (quantization_auc_loss)"
        )
    return problems, difference, loss
