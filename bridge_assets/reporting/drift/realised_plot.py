"""Plot of published scores against what was found: AUC and falls by survey year, expected and realised in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.drift.realised_quality import AS_EXPECTED, IN_TRAINING, MUCH_WORSE, TOO_FEW, WORSE
from bridge_assets.reporting.drift.plots import DRIFTED_COLOUR, STEADY_COLOUR, TEXT_COLOUR
from bridge_assets.reporting.html.palette import LIGHT

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

_EXPECTED_COLOUR = LIGHT.expected

#: Label, colour and verdicts of the dots.
_FOUND = (
    ("found: as expected", TEXT_COLOUR, (AS_EXPECTED,)),
    ("found: worse than expected", DRIFTED_COLOUR, (WORSE, MUCH_WORSE)),
    ("found: not judged", STEADY_COLOUR, (IN_TRAINING, TOO_FEW)),
)


def realised_plot_png(table: pl.DataFrame) -> bytes:
    """AUC and number of falls by survey year: expected from the probabilities, and found by inspections.

    Parameters
    ----------
    table : pl.DataFrame
        From `drift.realised_quality.realised_quality_of_years`. Of several versions that scored a year, the last one to
        publish is drawn.

    Returns
    -------
    bytes
        A PNG; the same table gives the same bytes.
    """
    import io

    from matplotlib.figure import Figure

    drawn = table.sort("survey_year", "published_at", maintain_order=True).unique(
        "survey_year", keep="last", maintain_order=True
    )
    figure = Figure(figsize=(8, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    years = drawn["survey_year"].to_list()
    upper.plot(
        years,
        drawn["expected_auc_of_scored"].to_list(),
        color=_EXPECTED_COLOUR,
        linewidth=1.6,
        label="expected when published",
    )
    _draw(upper, drawn, "auc", "auc_low", "auc_high")
    upper.set_ylabel("AUC")
    lower.plot(years, drawn["expected_falls"].to_list(), color=_EXPECTED_COLOUR, linewidth=1.6)
    _draw(lower, drawn, "falls", "falls_low", "falls_high")
    lower.set_ylabel("falls among known outcomes")
    lower.set_ylim(bottom=0)
    upper.set_title("Published scores: expected and found", loc="left", fontweight="bold", color=TEXT_COLOUR)
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()


def _draw(axes: Axes, drawn: pl.DataFrame, value: str, low: str, high: str) -> None:
    """The band of chance, and what was found; the training years are shaded."""
    from matplotlib.ticker import MaxNLocator

    years = drawn["survey_year"].to_list()
    lows, highs = (drawn[name].cast(float).fill_null(float("nan")).to_list() for name in (low, high))
    axes.fill_between(
        years,
        lows,
        highs,
        color=LIGHT.before,
        alpha=0.5,
        linewidth=0,
        label="99 % of years if the probabilities are right",
    )
    for label, colour, verdicts in _FOUND:
        shown = drawn.filter(drawn["verdict"].is_in(verdicts))
        axes.scatter(shown["survey_year"].to_list(), shown[value].to_list(), color=colour, s=26, zorder=3, label=label)
    if trained := [year for year, until in zip(years, drawn["training_until"], strict=True) if year <= until]:
        axes.axvspan(min(trained) - 0.5, max(trained) + 0.5, color=LIGHT.wash, zorder=0, label="trained on these years")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=LIGHT.line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
