"""Is a model good enough? What the gate's checks ask of a model on held-out inspections, and of its float16 form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.matrix import fall_column
from bridge_assets.models.scores import area_under_curve
from bridge_assets.models.split import holdout_rows
from bridge_assets.models.train import holdout_probability

if TYPE_CHECKING:
    import polars as pl
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.evaluation import Evaluation
    from bridge_assets.models.forest import Float16Forest
    from bridge_assets.models.resampling import Interval
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
    model, table, rate = (evaluation.scores[name] for name in ("model", "rating_table", "base_rate"))
    if model.auc is None or table.auc is None:
        problems.append(
            "the ranking cannot be judged: AUC needs training inspections, held-out falls and bridges that did not fall"
        )
    else:
        gain, interval = model.auc - table.auc, evaluation.gain("rating_table", "auc")
        if _least(gain, interval) < gate.auc_gain:
            problems.append(
                f"AUC {model.auc:.4f} is a gain of {gain:+.4f} over the rating table's {table.auc:.4f}"
                f"{_spread(interval, '+.4f')}; the least is {gate.auc_gain:+.4f} (auc_gain)"
            )
    if model.brier is None or rate.brier is None:
        problems.append("the probabilities cannot be judged: the Brier score needs training and held-out inspections")
    else:
        gain, interval = rate.brier - model.brier, evaluation.gain("base_rate", "brier")
        if _least(gain, interval) < gate.brier_gain:
            problems.append(
                f"Brier score {model.brier:.5f} is a gain of {gain:+.5f} over the base rate's {rate.brier:.5f}"
                f"{_spread(interval, '+.5f')}; the least is {gate.brier_gain:+.5f} (brier_gain)"
            )
    return problems


def calibration_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Why the probabilities cannot be taken at their word; an empty list lets them pass.

    What is held against `gate.calibration_error` is the error beyond that which perfect probabilities have on as many
    inspections (`calibration.Reliability.excess`).
    """
    if evaluation.calibration is None:
        return ["the probabilities cannot be judged: there is no held-out inspection"]
    found = evaluation.calibration
    if found.excess <= gate.calibration_error:
        return []
    return [
        f"the probabilities do not come true: {found.said}. The error exceeds that of perfect probabilities by "
        f"{found.excess:.4f}; the most is {gate.calibration_error:g} (calibration_error)"
    ]


def _least(gain: float, interval: Interval | None) -> float:
    return gain if interval is None else interval.low


def _spread(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f" (95 % interval {interval.low:{form}} to {interval.high:{form}})"


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
        The most that a probability moves.
    loss : float
        AUC lost; 0 where AUC cannot be measured, since nothing ranks differently there.
    """
    import numpy as np

    if quantized.features != tuple(features):
        return ["the float16 forest takes other features than the forest it is compared with"], 1.0, 1.0
    holdout = holdout_rows(training)
    if holdout.is_empty():
        return ["there is no held-out inspection to measure the loss on"], 0.0, 0.0
    before = holdout_probability(forest, training, features)
    after = fall_column(quantized.predict_proba(holdout), quantized.classes).astype(float)
    falls = holdout["fall"].to_numpy().astype(bool)
    difference = float(np.abs(before - after).max())
    loss = (area_under_curve(falls, before) or 0.0) - (area_under_curve(falls, after) or 0.0)
    problems = []
    if difference > gate.quantization_difference:
        problems.append(
            f"a probability moves by {difference:.6f} in float16; the most is {gate.quantization_difference:g} "
            f"(quantization_difference)"
        )
    if loss > gate.quantization_auc_loss:
        problems.append(
            f"AUC falls by {loss:.6f} in float16; the most is {gate.quantization_auc_loss:g} (quantization_auc_loss)"
        )
    return problems, difference, loss
