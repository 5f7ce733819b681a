"""Plots of an evaluation: calibration and gain curve, earlier cut years, feature importance."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.evaluation.baselines import rating_table
from bridge_assets.models.evaluation.importance import MAX_FEATURES_SHOWN
from bridge_assets.models.metrics.probability import TOP_SHARES, gain_curve, recall_at_share
from bridge_assets.models.tasks.tasks import TASKS, task_of_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bridge_assets.models.evaluation.importance import FeatureImportance, PermutationImportance
    from bridge_assets.models.evaluation.record import Evaluation
    from bridge_assets.models.metrics.calibration import CalibrationBin
    from bridge_assets.models.tasks.base import AcceptanceMetric, Task

_MODEL, _TABLE, _CHANCE = "#1f5f8b", "#c9762b", "#8a8a8a"


def calibration_plot_png(training: pl.DataFrame, answers: np.ndarray) -> bytes:
    """Two panels: observed against predicted by tenths, and the share of falls found by inspecting the worst first.

    Parameters
    ----------
    training : pl.DataFrame
        As for `evaluate`.
    answers : np.ndarray of shape (n_holdout,)
        Probability of a fall, or expected change, for `holdout_rows(training)`, in that order.

    Returns
    -------
    bytes
        A PNG, the same bytes for the same input.
    """
    from matplotlib.figure import Figure

    task, holdout, table = task_of_table(training), holdout_rows(training), rating_table(training)
    falls, structures = holdout["fall"].to_numpy().astype(bool), holdout["structure_key"].to_list()
    reliability = task.compute_reliability(task.outcomes(holdout), answers, structures, resamples=0, seed=0)
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_calibration(left, task, reliability.bins if reliability else ())
    forecasts = {"model": (task.severity(answers), _MODEL)}
    if table is not None:
        forecasts["rating table"] = (task.severity(table), _TABLE)
    _draw_gain_curve(right, falls, forecasts)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
    return _to_png(figure)


def rolling_origin_plot_png(evaluation: Evaluation) -> bytes:
    """Two panels, one per acceptance metric: model and baseline at earlier cut years and on the hold-out.

    Parameters
    ----------
    evaluation : Evaluation
        With `rolling`; without, only the hold-out is drawn.

    Returns
    -------
    bytes
        A PNG, the same bytes for the same input.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), TASKS[evaluation.task].acceptance_metrics, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25, linewidth=0.6)
        _draw_rolling_origin(axes, evaluation, metric)
    return _to_png(figure)


def _draw_rolling_origin(axes: Axes, evaluation: Evaluation, metric: AcceptanceMetric) -> None:
    better = "lower" if metric.lower_is_better else "higher"
    title = f"{metric.name[0].upper()}{metric.name[1:]} by evaluated years"
    axes.set(title=title, ylabel=f"{metric.name} ({better} is better)")
    tested = [*evaluation.rolling, evaluation]
    if not evaluation.inspections:  # then no earlier year was tested either
        _draw_no_data(axes)
        return
    places = range(len(tested))
    for name, label, color in (
        (metric.baseline, metric.baseline_label.removesuffix("'s"), _TABLE),
        ("model", "the model", _MODEL),
    ):
        known = [metric.value(each.scores[name]) for each in tested]
        values = [float("nan") if value is None else value for value in known]
        axes.plot(places[:-1], values[:-1], color=color, marker="o", linewidth=1.8, label=label)
        axes.plot(places[-1], values[-1], color=color, marker="D", linestyle="none")
    if interval := evaluation.interval("model", metric.metric):
        axes.vlines(places[-1], interval.low, interval.high, color=_MODEL, linewidth=0.9)
    names = [f"{each.first_year} to {each.last_year}\n{each.inspections:,}, {each.falls:,} fell" for each in tested]
    names[-1] += "\n(hold-out)"
    axes.set_xticks(places, names, fontsize=8)
    axes.margins(x=0.12, y=0.15)
    axes.legend(frameon=False)


def importance_plot_png(importance: PermutationImportance | None) -> bytes:
    """Two panels: the AUC lost when a whole family is permuted, and when a single feature is.

    Returns
    -------
    bytes
        A PNG, the same bytes for the same input.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, title in ((left, "All features of a family"), (right, "Single features")):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.25, linewidth=0.6)
        axes.set(title=title, xlabel="AUC lost when permuted (bars: spread of the repeats)")
        if importance is None:
            _draw_no_data(axes)
    if importance is not None:
        _draw_importance(left, list(importance.families.items()), _TABLE)
        _draw_importance(right, list(importance.features.items())[:MAX_FEATURES_SHOWN], _MODEL)
    return _to_png(figure)


def _draw_importance(axes: Axes, losses: Sequence[tuple[str, FeatureImportance]], color: str) -> None:
    names = [name for name, _ in losses][::-1]
    values = [loss.auc_loss for _, loss in losses][::-1]
    axes.barh(names, values, color=color, height=0.65)
    axes.errorbar(
        values, names, xerr=[loss.std for _, loss in losses][::-1], fmt="none", ecolor="#333333", elinewidth=0.9
    )
    axes.axvline(0, color=_CHANCE, linewidth=1)


def _to_png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()


def _draw_calibration(axes: Axes, task: Task, bins: Sequence[CalibrationBin]) -> None:
    predicted_label, observed = task.calibration_axis_labels
    axes.set(xlabel=f"{predicted_label}, mean per tenth", ylabel=observed, title="Calibration by tenths")
    if not bins:
        _draw_no_data(axes)
        return
    expected, found = [each.expected for each in bins], [each.observed for each in bins]
    low, high = [each.observed_low for each in bins], [each.observed_high for each in bins]
    top = 1.08 * max(*high, *expected, 0.01)
    bottom = min(0.0, 1.08 * min(*low, *expected))
    axes.plot([bottom, top], [bottom, top], color=_CHANCE, linewidth=1, linestyle="--", label="perfect")
    axes.errorbar(
        expected,
        found,
        yerr=[
            [value - end for value, end in zip(found, low, strict=True)],
            [end - value for value, end in zip(found, high, strict=True)],
        ],
        color=_MODEL,
        marker="o",
        linewidth=1.4,
        elinewidth=0.9,
        capsize=2.5,
    )
    for x, y, tenth in zip(expected, high, bins, strict=True):
        axes.annotate(f"{tenth.falls:,}", (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=7.5)
    sizes = " or ".join(f"{size:,}" for size in sorted({each.inspections for each in bins}))
    axes.text(
        0.98,
        0.03,
        f"{sizes} inspections per tenth;\nnumbers: falls; bars: 95 % intervals",
        transform=axes.transAxes,
        ha="right",
        fontsize=8,
        color="#555555",
    )
    axes.set(xlim=(bottom, top), ylim=(bottom, top))
    axes.legend(frameon=False, loc="upper left")


def _draw_gain_curve(axes: Axes, falls: np.ndarray, forecasts: dict[str, tuple[np.ndarray, str]]) -> None:
    axes.set(
        xlabel="Share of held-out inspections, worst first",
        ylabel="Share of falls found",
        title="Falls found by inspecting the worst first",
    )
    if not falls.any():
        _draw_no_data(axes)
        return
    for name, (values, color) in forecasts.items():
        inspected, found = gain_curve(falls, values)
        axes.plot(inspected / len(falls), found / falls.sum(), color=color, linewidth=1.8, label=name)
    axes.plot([0, 1], [0, 1], color=_CHANCE, linewidth=1, linestyle="--", label="chance")
    values, color = forecasts["model"]
    for share in TOP_SHARES:
        found_share = recall_at_share(falls, values, share) or 0.0
        axes.plot(share, found_share, marker="o", color=color)
        axes.annotate(
            f"{found_share:.0%} in the worst {share:.0%}",
            (share, found_share),
            (8, -4),
            textcoords="offset points",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="lower right")


def _draw_no_data(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no held-out falls", transform=axes.transAxes, ha="center", color="#555555")
