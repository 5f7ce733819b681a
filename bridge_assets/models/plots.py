"""Pictures of a model on held-out inspections: whether its probabilities come true, what it finds, what it goes by."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.baselines import rating_table
from bridge_assets.models.importance import SHOWN
from bridge_assets.models.scores import WORST, gain_curve, share_found, wilson
from bridge_assets.models.split import holdout_rows

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bridge_assets.models.importance import Importance, Loss

_MODEL, _TABLE, _CHANCE = "#1f5f8b", "#c9762b", "#8a8a8a"


def calibration_plot_png(training: pl.DataFrame, probability: np.ndarray) -> bytes:
    """Two panels: the share that fell against the probability given, and what looking at the worst first finds.

    Parameters
    ----------
    training : pl.DataFrame
        As for `evaluate`.
    probability : np.ndarray of shape (n_holdout,)
        Probability of a fall for `holdout_rows(training)`, in that order.

    Returns
    -------
    bytes
        A PNG, the same bytes for the same input.
    """
    from matplotlib.figure import Figure

    falls = holdout_rows(training)["fall"].to_numpy().astype(bool)
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _calibration(left, falls, probability)
    _gain(right, falls, {"model": (probability, _MODEL), "rating table": (rating_table(training), _TABLE)})
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
    return _png(figure)


def importance_plot_png(importance: Importance | None) -> bytes:
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
            _say_nothing(axes)
    if importance is not None:
        _losses(left, list(importance.families.items()), _TABLE)
        _losses(right, list(importance.features.items())[:SHOWN], _MODEL)
    return _png(figure)


def _losses(axes: Axes, losses: Sequence[tuple[str, Loss]], color: str) -> None:
    names = [name for name, _ in losses][::-1]
    values = [loss.auc_loss for _, loss in losses][::-1]
    axes.barh(names, values, color=color, height=0.65)
    axes.errorbar(
        values, names, xerr=[loss.spread for _, loss in losses][::-1], fmt="none", ecolor="#333333", elinewidth=0.9
    )
    axes.axvline(0, color=_CHANCE, linewidth=1)


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
    return picture.getvalue()


def _calibration(axes: Axes, falls: np.ndarray, probability: np.ndarray) -> None:
    import numpy as np

    axes.set(xlabel="Probability of a fall, mean of the tenth", ylabel="Share that fell", title="Calibration by tenths")
    if not len(falls):
        _say_nothing(axes)
        return
    tenths = [part for part in np.array_split(np.argsort(probability, kind="stable"), 10) if len(part)]
    said = np.array([probability[part].mean() for part in tenths])
    fell = np.array([falls[part].mean() for part in tenths])
    low, high = zip(*(wilson(int(falls[part].sum()), len(part)) for part in tenths), strict=True)
    top = 1.08 * max(*high, *said, 0.01)
    axes.plot([0, top], [0, top], color=_CHANCE, linewidth=1, linestyle="--", label="perfect")
    axes.errorbar(
        said,
        fell,
        yerr=[fell - low, np.array(high) - fell],
        color=_MODEL,
        marker="o",
        linewidth=1.4,
        elinewidth=0.9,
        capsize=2.5,
    )
    for x, y, part in zip(said, high, tenths, strict=True):
        axes.annotate(
            f"{int(falls[part].sum()):,}", (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=7.5
        )
    sizes = " or ".join(f"{size:,}" for size in sorted({len(part) for part in tenths}))
    axes.text(
        0.98,
        0.03,
        f"{sizes} inspections a tenth;\nnumbers: those that fell; bars: 95 % intervals",
        transform=axes.transAxes,
        ha="right",
        fontsize=8,
        color="#555555",
    )
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.legend(frameon=False, loc="upper left")


def _gain(axes: Axes, falls: np.ndarray, forecasts: dict[str, tuple[np.ndarray | None, str]]) -> None:
    axes.set(
        xlabel="Share of inspections looked at, worst first", ylabel="Share of falls found", title="What a budget finds"
    )
    if not falls.any():
        _say_nothing(axes)
        return
    for name, (values, color) in forecasts.items():
        if values is not None:
            looked_at, found = gain_curve(falls, values)
            axes.plot(looked_at / len(falls), found / falls.sum(), color=color, linewidth=1.8, label=name)
    axes.plot([0, 1], [0, 1], color=_CHANCE, linewidth=1, linestyle="--", label="chance")
    values, color = forecasts["model"]
    if values is not None:
        for share in WORST:
            found_share = share_found(falls, values, share) or 0.0
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


def _say_nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no held-out falls", transform=axes.transAxes, ha="center", color="#555555")
