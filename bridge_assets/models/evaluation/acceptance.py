"""Acceptance: is a model good enough for the gate? Quality, calibration, and the cost of float16, on held-out data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.metrics.calibration import Reliability
from bridge_assets.models.metrics.parts import LOW_RATED
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
    """Why a model is not good enough; an empty list means that it passes.

    Each problem gives the value, the limit, and in brackets the key under `gate` in model_config.yaml. Where a gain has
    an interval, its lower end is compared with the limit: a gain that may be due to chance does not count.
    """
    problems = []
    if evaluation.inspections < gate.holdout_inspections:
        problems.append(
            f"Only {evaluation.inspections:,} held-out inspections; at least {gate.holdout_inspections:,} are required "
            f"(holdout_inspections)"
        )
    if evaluation.falls < gate.holdout_falls:
        problems.append(
            f"Only {evaluation.falls:,} held-out falls; at least {gate.holdout_falls:,} are required (holdout_falls)"
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
                f"at least {metric.format_value(min_gain, '+')} is required ({metric.min_gain_setting})"
            )
    return problems + _part_problems(evaluation, gate)


def _part_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Whether the model is worth its cost where people act on it.

    Each part with enough falls is compared with the rating table, by AUC and by the share found in the worst tenth.
    Among ratings of 7 and less, a gain that chance explains does not count. Which bridges become Poor, the table knows
    well already, because most of them are one point above it: there the model must not be worse beyond chance.
    """
    problems = []
    for part in evaluation.parts:
        if part.falls < gate.part_falls or "rating_table" not in part.scores:
            continue
        for metric, name, setting in (
            ("auc", "AUC", "part_auc_gain"),
            ("worst_10", "the share found in the worst 10 %", "part_capture_gain"),
        ):
            model, baseline = (getattr(part.scores[each], metric) for each in ("model", "rating_table"))
            if model is None or baseline is None:
                continue
            interval, limit = part.gains.get(metric), getattr(gate, setting)
            gain = model - baseline
            compared = gain if interval is None else interval.low if part.name == LOW_RATED else interval.high
            if compared < limit:
                between = "" if interval is None else f" (95 % interval {interval.low:+.3f} to {interval.high:+.3f})"
                problems.append(
                    f"{part.meaning}: {name} is {model:.3f}, a gain of {gain:+.3f} over the rating table's "
                    f"{baseline:.3f}{between}; at least {limit:+.3f} is required ({setting})"
                )
    return problems


def calibration_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Why the predictions are not well calibrated; an empty list means that they pass.

    Compared with `gate.calibration_error` is the excess error: what remains after subtracting the error that perfect
    predictions would have on as many inspections (`calibration.Reliability.excess`).
    """
    predictions = TASKS[evaluation.task].predictions_name
    if evaluation.calibration is None:
        return [f"the calibration of the {predictions} cannot be measured: there are no held-out inspections"]
    found, problems = evaluation.calibration, _ratio_problems(evaluation, gate)
    if found.excess <= gate.calibration_error:
        return problems
    return [
        f"the {predictions} are not calibrated: {found.summary}. The error exceeds that of perfect {predictions} by "
        f"{found.excess:.4f}; at most {gate.calibration_error:g} is allowed (calibration_error)",
        *problems,
    ]


def _ratio_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Where expected over observed falls is too far from 1, beyond chance: of all inspections, and of each rating with
    enough falls.
    """
    whole = evaluation.calibration
    ratios = (
        [("all ratings", evaluation.falls, whole.ratio, whole.ratio_interval)] if isinstance(whole, Reliability) else []
    )
    ratios += [(f"rating {each.rating}", each.falls, each.ratio, each.ratio_interval) for each in evaluation.by_rating]
    problems = []
    for name, falls, ratio, interval in ratios:
        if ratio is None or falls < gate.calibration_falls:
            continue
        low, high = (ratio, ratio) if interval is None else (interval.low, interval.high)
        if low > gate.calibration_ratio or high < 1 / gate.calibration_ratio:
            between = "" if interval is None else f" (95 % interval {low:.2f} to {high:.2f})"
            problems.append(
                f"{name}: expected over observed falls is {ratio:.2f}{between}; beyond chance at most "
                f"{gate.calibration_ratio:g} and at least {1 / gate.calibration_ratio:.2f} is allowed "
                f"(calibration_ratio)"
            )
    return problems


def _conservative_gain(gain: float, interval: Interval | None) -> float:
    return gain if interval is None else interval.low


def _interval_text(interval: Interval | None, metric: AcceptanceMetric) -> str:
    if interval is None:
        return ""
    return f" (95 % interval {metric.format_value(interval.low, '+')} to {metric.format_value(interval.high, '+')})"


def quantization_problems(
    forest: RandomForestClassifier,
    quantized: Float16Forest,
    training: pl.DataFrame,
    features: Sequence[str],
    gate: GateSettings,
) -> tuple[list[str], float, float]:
    """Measure what float16 costs on the held-out inspections and compare it with the gate's limits.

    Parameters
    ----------
    forest, quantized
        The same forest before and after quantization.
    training : pl.DataFrame
        With `split`, `fall` and the features on the model's scale.
    features : sequence of str
        The features of `forest`; `quantized` must have the same.
    gate : GateSettings

    Returns
    -------
    problems : list of str
        Empty if it passes.
    difference : float
        Largest change of a prediction.
    loss : float
        Loss of AUC for falls; 0 where AUC cannot be measured.
    """
    import numpy as np

    if quantized.features != tuple(features):
        return ["the float16 forest has other features than the forest it is compared with"], 1.0, 1.0
    holdout = holdout_rows(training)
    if holdout.is_empty():
        return ["there are no held-out inspections to measure the loss on"], 0.0, 0.0
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
            f"{task.prediction_name} changes by up to {difference:.6f} in float16; at most "
            f"{gate.quantization_difference:g} is allowed (quantization_difference)"
        )
    if loss > gate.quantization_auc_loss:
        problems.append(
            f"AUC drops by {loss:.6f} in float16; at most {gate.quantization_auc_loss:g} is allowed "
            f"(quantization_auc_loss)"
        )
    return problems, difference, loss
