"""Calibration plot of years until Poor on held-out structures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bridge_assets.models.survival.model import HORIZONS_YEARS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bridge_assets.models.survival.evaluation import CalibrationGroup, SurvivalEvaluation

_MODEL, _TABLE, _PERFECT = "#1f5f8b", "#c9762b", "#8a8a8a"


def calibration_plot_png(evaluation: SurvivalEvaluation) -> bytes:
    """One panel for each of `HORIZONS_YEARS`: share that became Poor (Kaplan-Meier) against probability, by tenths.

    Returns
    -------
    bytes
        A PNG, the same bytes for the same input.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.6), layout="constrained")
    for axes, years in zip(figure.subplots(1, len(HORIZONS_YEARS)), HORIZONS_YEARS, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set(
            title=f"Poor within {years} years", xlabel="Probability, mean per tenth", ylabel="Share that became Poor"
        )
        if not evaluation.scores:
            _draw_message(axes, "no metrics")
        elif evaluation.scores["model"].overall[years] is None:
            _draw_message(axes, "no structure was followed that long")
        else:
            _draw_panel(axes, evaluation, years)
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()


def _draw_panel(axes: Axes, evaluation: SurvivalEvaluation, years: int) -> None:
    model, table = (evaluation.scores[name].groups[years] for name in ("model", "table"))
    top = 1.08 * max(0.01, *(max(group.predicted, group.observed) for group in (*model, *table)))
    axes.plot([0, top], [0, top], color=_PERFECT, linewidth=1, linestyle="--", label="perfect")
    _draw_series(axes, table, _TABLE, "by condition and years in it", bars=False)
    _draw_series(axes, model, _MODEL, "model", bars=True)
    for group in model:
        axes.annotate(
            f"{group.poor:,}", (group.predicted, group.observed), (4, 3), textcoords="offset points", fontsize=7.5
        )
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    axes.text(
        0.98,
        0.03,
        "numbers: became Poor; bars: 95 % intervals",
        transform=axes.transAxes,
        ha="right",
        fontsize=7.5,
        color="#555555",
    )


def _draw_series(axes: Axes, groups: tuple[CalibrationGroup, ...], color: str, label: str, *, bars: bool) -> None:
    predicted, observed = [group.predicted for group in groups], [group.observed for group in groups]
    spread = [
        [max(0.0, group.observed - group.low) for group in groups],
        [max(0.0, group.high - group.observed) if group.poor else 0.0 for group in groups],
    ]
    axes.errorbar(
        predicted,
        observed,
        yerr=spread if bars else None,
        color=color,
        marker="o",
        markersize=5 if bars else 3.5,
        linewidth=1.4 if bars else 1.0,
        elinewidth=0.9,
        capsize=2.5,
        label=label,
    )


def _draw_message(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color="#555555")
