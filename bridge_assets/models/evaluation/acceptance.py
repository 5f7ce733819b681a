"""Is a model good enough? What the gate's checks ask of a model on held-out inspections, and of its float16 form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.metrics.probability import area_under_curve
from bridge_assets.models.tasks.tasks import TASKS, task_of
from bridge_assets.models.training.train_forest import holdout_answers

if TYPE_CHECKING:
    import polars as pl
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.evaluation.record import Evaluation
    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.models.metrics.bootstrap import Interval
    from bridge_assets.models.tasks.base import Judged
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
    for judged in TASKS[evaluation.task].judged:
        mine, other = (judged.of(evaluation.scores[name]) for name in ("model", judged.over))
        gain, interval = judged.gain(mine, other), evaluation.gain(judged.over, judged.figure)
        if mine is None or other is None or gain is None:
            problems.append(judged.cannot)
        elif _least(gain, interval) < (least := getattr(gate, judged.least)):
            problems.append(
                f"{judged.name} {judged.written(mine)} is a gain of {judged.written(gain, '+')} over "
                f"{judged.over_in_words} {judged.written(other)}{_spread(interval, judged)}; the least is "
                f"{judged.written(least, '+')} ({judged.least})"
            )
    return problems


def calibration_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Why the answers cannot be taken at their word; an empty list lets them pass.

    What is held against `gate.calibration_error` is the error beyond that which perfect answers have on as many
    inspections (`calibration.Reliability.excess`).
    """
    answers = TASKS[evaluation.task].answers_in_words
    if evaluation.calibration is None:
        return [f"the {answers} cannot be judged: there is no held-out inspection"]
    found = evaluation.calibration
    if found.excess <= gate.calibration_error:
        return []
    return [
        f"the {answers} do not come true: {found.said}. The error exceeds that of perfect {answers} by "
        f"{found.excess:.4f}; the most is {gate.calibration_error:g} (calibration_error)"
    ]


def _least(gain: float, interval: Interval | None) -> float:
    return gain if interval is None else interval.low


def _spread(interval: Interval | None, judged: Judged) -> str:
    if interval is None:
        return ""
    return f" (95 % interval {judged.written(interval.low, '+')} to {judged.written(interval.high, '+')})"


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
    task = task_of(training)
    before = holdout_answers(forest, training, features)
    after = task.ask(quantized, holdout).astype(float)
    falls = holdout["fall"].to_numpy().astype(bool)
    difference = float(np.abs(before - after).max())
    auc_before, auc_after = (area_under_curve(falls, task.severity(answers)) or 0.0 for answers in (before, after))
    loss = auc_before - auc_after
    problems = []
    if difference > gate.quantization_difference:
        problems.append(
            f"{task.answer_in_words} moves by {difference:.6f} in float16; the most is "
            f"{gate.quantization_difference:g} (quantization_difference)"
        )
    if loss > gate.quantization_auc_loss:
        problems.append(
            f"AUC falls by {loss:.6f} in float16; the most is {gate.quantization_auc_loss:g} (quantization_auc_loss)"
        )
    return problems, difference, loss
