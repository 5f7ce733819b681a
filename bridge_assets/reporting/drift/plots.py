"""The drift plot for the metadata of drift_report in the Dagster UI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge_assets.reporting.html.palette import LIGHT

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

DRIFTED_COLOUR, STEADY_COLOUR, TEXT_COLOUR = LIGHT.poor, LIGHT.before, LIGHT.ink


def drift_plot_png(table: pl.DataFrame, survey_year: int) -> bytes:
    """Bar chart of the distance of each feature, largest first, with its threshold; drifted features are coloured.

    Parameters
    ----------
    table : pl.DataFrame
        drift_report of a survey year (`drift.report.report_schema`).
    survey_year : int
        For the title.

    Returns
    -------
    bytes
        A PNG; the same table gives the same bytes.
    """
    import io
    import math

    import polars as pl
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    table = _national_features(table)
    # barh draws from the bottom: the largest distance goes last. Features without a distance are drawn at the top.
    ordered = table.sort(pl.col("statistic").fill_null(math.inf), "feature", descending=[False, True])
    distances = [value or 0.0 for value in ordered["statistic"]]
    positions = list(range(ordered.height))

    figure = Figure(figsize=(8, 1.5 + 0.27 * max(ordered.height, 4)), layout="constrained")
    axes = figure.subplots()
    colours = [DRIFTED_COLOUR if drifted else STEADY_COLOUR for drifted in ordered["drifted"]]
    axes.barh(positions, distances, height=0.7, color=colours)
    _mark_thresholds(axes, ordered, max([0.1, *distances]))
    axes.set_yticks(positions, ordered["feature"].to_list(), fontsize=9)
    axes.set_ylim(-0.6, max(ordered.height, 1) - 0.4)
    axes.set_xlim(left=0)
    axes.set_xlabel("Kolmogorov-Smirnov distance from the reference years")
    drifted = int(table["drifted"].sum())
    axes.set_title(
        f"{survey_year}: {drifted} of {table.height} features drifted", loc="left", fontweight="bold", color=TEXT_COLOUR
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LIGHT.line, linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(
        handles=[
            Patch(color=DRIFTED_COLOUR, label="drifted"),
            Patch(color=STEADY_COLOUR, label="steady"),
            Line2D([], [], color=TEXT_COLOUR, linewidth=1.8, label="threshold"),
        ],
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()


def _national_features(table: pl.DataFrame) -> pl.DataFrame:
    """One row for each feature, and the prediction, in all states: feature, statistic, threshold, drifted, measure that
    is beyond its threshold although the distance is not.
    """
    import polars as pl

    from bridge_assets.drift import limits
    from bridge_assets.drift.numbers import ALL_STATES, FEATURE, PREDICTION
    from bridge_assets.reporting.drift.wording import MEASURE_NAMES

    compared = table.filter(
        pl.col("kind").is_in([FEATURE, PREDICTION]), pl.col("state") == ALL_STATES, pl.col("threshold").is_not_null()
    )
    is_distance = pl.col("measure") == limits.KS
    beyond = pl.col("measure").filter(pl.col("drifted") & ~is_distance).first()
    return compared.group_by("feature", maintain_order=True).agg(
        pl.col("value").filter(is_distance).first().alias("statistic"),
        pl.col("threshold").filter(is_distance).first(),
        pl.col("drifted").any(),
        (pl.col("drifted") & is_distance).any().alias("by_distance"),
        beyond.replace_strict(MEASURE_NAMES, default=None, return_dtype=pl.String).alias("other_measure"),
    )


def _mark_thresholds(axes: Axes, table: pl.DataFrame, largest: float) -> None:
    """Draw the threshold of each bar, and label features that drifted for another reason than their distance."""
    for position, row in enumerate(table.iter_rows(named=True)):
        if row["threshold"] <= largest * 1.5:  # a very large threshold must not shrink all bars
            axes.plot([row["threshold"]] * 2, [position - 0.42, position + 0.42], color=TEXT_COLOUR, linewidth=1.8)
        label = ""
        if row["statistic"] is None:
            label = "no values to compare"
        elif row["drifted"] and not row["by_distance"]:
            label = row["other_measure"]
        if label:
            at = (row["statistic"] or 0.0) + largest * 0.01
            axes.text(at, position, label, va="center", fontsize=8, color=TEXT_COLOUR)
