"""The data quality plot for the metadata of its asset in the Dagster UI."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from bridge_assets.reporting.plots import GRID_COLOUR, TEXT_COLOUR

if TYPE_CHECKING:
    import polars as pl

#: Number of flags shown, the most frequent ones: more would not be legible at the size of the UI.
MAX_FLAGS_SHOWN = 12


def flags_by_year_png(summary: pl.DataFrame) -> bytes:
    """The most frequent flags by survey year, as a heat map with the share in percent in each cell.

    Parameters
    ----------
    summary : pl.DataFrame
        `data.quality.measures.SUMMARY_SCHEMA`, for one or more survey years.

    Returns
    -------
    bytes
        A PNG; the same table gives the same bytes. If no record has a flag, the plot has a message.
    """
    import numpy as np
    import polars as pl
    from matplotlib.figure import Figure

    flags = summary.filter(pl.col("state") == "all", pl.col("measure") == "flag", pl.col("name") != "any")
    flag_totals = flags.group_by("name").agg(pl.col("records").sum()).filter(pl.col("records") > 0)
    names = flag_totals.sort("records", "name", descending=[True, False])["name"].head(MAX_FLAGS_SHOWN).to_list()
    known = summary["survey_year"].unique().sort().to_list()
    years = list(range(known[0], known[-1] + 1))  # to scale: a year without a file leaves its column empty
    figure = Figure(figsize=(9, 0.9 + 0.28 * max(len(names), 2)), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Records with a flag, % of a survey year", loc="left", fontweight="bold", color=TEXT_COLOUR)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    if not names:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no record has a flag", ha="center", transform=axes.transAxes, color=TEXT_COLOUR)
    else:
        found = {(row["name"], row["survey_year"]): row["share"] or 0.0 for row in flags.iter_rows(named=True)}
        shares = np.array([[found.get((name, year), 0.0) * 100 for year in years] for name in names])
        is_empty = np.array([year not in known for year in years])
        # Shares differ by orders of magnitude: coloured by their logarithm, from 0.01 %.
        colours = np.ma.masked_array(np.log10(np.maximum(shares, 0.01)), np.broadcast_to(is_empty, shares.shape))
        axes.imshow(colours, cmap="Blues", vmin=-2, vmax=3, aspect="auto")
        axes.set_yticks(range(len(names)), names)
        axes.set_xticks(range(len(years)), list(map(str, years)), rotation=90 if len(years) > 12 else 0)
        axes.set_xticks(np.arange(len(years) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=GRID_COLOUR, linewidth=0.8)
        axes.tick_params(which="minor", length=0)
        for row, column in zip(*np.nonzero(shares), strict=True):
            share = shares[row, column]
            text, colour = f"{share:.0f}" if share >= 10 else f"{share:.2g}", "white" if share > 30 else TEXT_COLOUR
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()
