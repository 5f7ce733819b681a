"""Plots for the metadata of an asset in the Dagster UI."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bridge_assets.reporting.html.palette import LIGHT

if TYPE_CHECKING:
    import polars as pl

CLASS_COLOURS = LIGHT.classes
TEXT_COLOUR, GRID_COLOUR = LIGHT.ink, LIGHT.line


def condition_trend_png(condition_by_year: pl.DataFrame) -> bytes:
    """Stacked bars of the shares of Poor, Fair and Good structures by survey year, over all states.

    Parameters
    ----------
    condition_by_year : pl.DataFrame
        As in `ConditionReport`; the rows with state_code `all` are drawn.

    Returns
    -------
    bytes
        A PNG; the same table gives the same bytes. An empty table gives a plot with a message.
    """
    import polars as pl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Structures by condition class", loc="left", fontweight="bold", color=TEXT_COLOUR)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    if condition_by_year.is_empty():
        axes.text(0.5, 0.5, "no survey year yet", ha="center", transform=axes.transAxes, color=TEXT_COLOUR)
    else:
        total = condition_by_year.filter(pl.col("state_code") == "all").sort("survey_year")
        years = total["survey_year"].to_list()
        bottoms = [0.0] * len(years)
        for name, colour in CLASS_COLOURS.items():
            shares = total[f"share_{name.lower()}"].fill_null(0.0).to_list()
            axes.bar(years, shares, bottom=bottoms, color=colour, width=0.78, label=name)
            bottoms = [bottom + share for bottom, share in zip(bottoms, shares, strict=True)]
        figure.legend(loc="outside lower center", ncols=3, frameon=False, reverse=True)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()
