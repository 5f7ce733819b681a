"""Distances between the training years and a survey year, feature by feature.

Belongs here: the two-sample Kolmogorov-Smirnov distance, the thresholds learned from the training years, the table and
the plot of one survey year. Does not belong here: which years are the reference (`drift.yearly`), and what to do about
drift (the asset and its check).

A distance is compared with the variation among the training years, not with a fixed number or a p-value: with thousands
of bridges every harmless difference is statistically significant. NannyML sets its thresholds in the same way, from the
variation within the reference period.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import pandas as pd
    import polars as pl
    from matplotlib.axes import Axes

    from bridge_assets.settings import DriftSettings

#: Largest rise of the share of missing values before a feature counts as drifted. "Is missing" is a 0/1 variable, and
#: the Kolmogorov-Smirnov distance of two 0/1 variables is the difference of their shares, so this is the same measure
#: as `DriftSettings.least` and has the same default.
MAX_MISSING_SHARE_RISE = 0.05

DRIFTED_COLOUR, STEADY_COLOUR, TEXT_COLOUR = "#b3392f", "#8fa3b5", "#14202b"


def compute_ks_drift(ref: pd.Series, prod: pd.Series) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov test between a reference and current production data.

    Parameters
    ----------
    ref, prod : pd.Series
        Numbers or Booleans, in any order and of any length. Missing values are ignored.

    Returns
    -------
    statistic : float
        Largest distance between the two cumulative distributions, 0 (the same) to 1 (no overlap).
    p_value : float
        Chance of a distance at least as large if both came from one continuous distribution (`scipy.stats.ks_2samp`).
        For rounded or coded values it is too large, which is conservative. At national size it says nothing: with
        600,000 rows on each side, a distance of 0.0024 is significant.

    Raises
    ------
    ValueError
        If one side has no values, or values that are not numbers.
    """
    from bridge_assets.drift.distances import ks_test, sorted_sample

    return ks_test(sorted_sample(_numbers(ref, "ref")), sorted_sample(_numbers(prod, "prod")))


def learn_thresholds(
    reference_years: Mapping[int, pl.DataFrame], columns: Sequence[str], settings: DriftSettings
) -> dict[str, float]:
    """The distance above which a feature counts as drifted, learned from the training years.

    Each training year is compared with all the other training years together. The largest of these distances, times
    `settings.margin`, is the threshold; it is never below `settings.least`.

    Parameters
    ----------
    reference_years : mapping
        Survey year -> its features. If fewer than two years have values of a feature, `settings.least` applies.
    columns : sequence of str
        The features.
    settings : DriftSettings

    Returns
    -------
    dict
        Feature -> threshold. A threshold of 1 or more is never exceeded: one training year has nothing in common with
        the others, so this feature cannot show that a later year differs.

    Raises
    ------
    ValueError
        If a column is missing or is not numeric.
    """
    thresholds = {}
    for column in columns:
        years = [_values(reference_years[year], column, f"training year {year}") for year in sorted(reference_years)]
        distance = _max_leave_one_out_distance([values for values in years if values.size])
        thresholds[column] = max(distance * settings.margin, settings.least)
    return thresholds


def drift_table(
    reference: pl.DataFrame, year: pl.DataFrame, columns: Sequence[str], thresholds: Mapping[str, float]
) -> pl.DataFrame:
    """Compare a survey year with the training years, feature by feature.

    A feature counts as drifted when

    - its distance exceeds its threshold, or
    - its share of missing values rose by more than `MAX_MISSING_SHARE_RISE`, or
    - one side has no values at all and the shares of missing values differ by more than `MAX_MISSING_SHARE_RISE` (the
      statistic is then null).

    A falling share of missing values alone is not drift: structures have the shortest history in the first training
    years, and history features fill up as it grows.

    Parameters
    ----------
    reference, year : pl.DataFrame
        Numbers or Booleans; null and NaN are missing. `reference` is the training years together.
    columns : sequence of str
        The features.
    thresholds : mapping
        From `learn_thresholds`.

    Returns
    -------
    pl.DataFrame
        One row per feature, in the order of `columns`: feature, statistic (0-1, null if a side has no values), p_value
        (`distances.limiting_p_value`), threshold, drifted, wasserstein (mean shift, in the unit of the feature), psi
        (population stability index), reference_mean, year_mean, reference_missing, year_missing (shares, 0-1).

    Raises
    ------
    ValueError
        If a side has no rows, a column is missing or not numeric, or a feature has no threshold.
    """
    import polars as pl

    for name, side in (("the training years", reference), ("the survey year", year)):
        if side.is_empty():
            raise ValueError(f"no rows in {name}, so there is nothing to compare. What to do: build the features first")
    if missing := sorted(set(columns) - set(thresholds)):
        raise ValueError(
            f"no threshold for {', '.join(missing)}. What to do: call learn_thresholds with the same columns"
        )
    rows = []
    for column in columns:
        before, after = _values(reference, column, "the training years"), _values(year, column, "the survey year")
        before_missing, after_missing = 1 - before.size / reference.height, 1 - after.size / year.height
        measures = _measures(before, after)
        if measures["statistic"] is None:
            drifted = abs(after_missing - before_missing) > MAX_MISSING_SHARE_RISE
        else:
            drifted = (
                measures["statistic"] > thresholds[column] or after_missing - before_missing > MAX_MISSING_SHARE_RISE
            )
        rows.append(
            {
                "feature": column,
                "threshold": float(thresholds[column]),
                "drifted": bool(drifted),
                **measures,
                "reference_mean": float(before.mean()) if before.size else None,
                "year_mean": float(after.mean()) if after.size else None,
                "reference_missing": before_missing,
                "year_missing": after_missing,
            }
        )
    number = pl.Float64()
    return pl.DataFrame(
        rows,
        schema={
            "feature": pl.String(),
            "statistic": number,
            "p_value": number,
            "threshold": number,
            "drifted": pl.Boolean(),
            "wasserstein": number,
            "psi": number,
            "reference_mean": number,
            "year_mean": number,
            "reference_missing": number,
            "year_missing": number,
        },
    )


def drift_plot_png(table: pl.DataFrame, survey_year: int) -> bytes:
    """Bar chart of the distance of each feature, largest first, with its threshold; drifted features are coloured.

    Parameters
    ----------
    table : pl.DataFrame
        From `drift_table`.
    survey_year : int
        For the title.

    Returns
    -------
    bytes
        A PNG; the same table gives the same bytes.
    """
    import io

    import polars as pl
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

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
    axes.set_xlabel("Kolmogorov-Smirnov distance to the training years")
    drifted = int(table["drifted"].sum())
    axes.set_title(
        f"{survey_year}: {drifted} of {table.height} features drifted", loc="left", fontweight="bold", color=TEXT_COLOUR
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dde3e9", linewidth=0.8)
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


def _mark_thresholds(axes: Axes, table: pl.DataFrame, largest: float) -> None:
    """Draw the threshold of each bar, and label features that drifted for another reason than their distance."""
    for position, row in enumerate(table.iter_rows(named=True)):
        if row["threshold"] <= largest * 1.5:  # a very large threshold must not shrink all bars
            axes.plot([row["threshold"]] * 2, [position - 0.42, position + 0.42], color=TEXT_COLOUR, linewidth=1.8)
        if row["statistic"] is None:
            axes.text(largest * 0.01, position, "no values to compare", va="center", fontsize=8, color=TEXT_COLOUR)
        elif row["drifted"] and row["statistic"] <= row["threshold"]:
            axes.text(
                row["statistic"] + largest * 0.01,
                position,
                "more values missing",
                va="center",
                fontsize=8,
                color=TEXT_COLOUR,
            )


def _numbers(series: pd.Series, side: str) -> np.ndarray:
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    present = series.dropna()
    if present.empty:
        raise ValueError(f"{side} has no values ({len(series)} rows, all missing). What to do: compare another column")
    if not is_numeric_dtype(present.dtype) or is_complex_dtype(present.dtype):
        raise ValueError(
            f"{side} has values of type {present.dtype}, for example {present.iloc[0]!r}; a Kolmogorov-Smirnov "
            f"distance needs numbers. What to do: convert it with pandas.to_numeric, or compare another column"
        )
    return present.to_numpy(dtype=float)


def _values(table: pl.DataFrame, column: str, where: str) -> np.ndarray:
    # The values as sorted float64, without null and NaN.
    import polars as pl

    from bridge_assets.drift.distances import sorted_sample

    if column not in table.columns:
        raise ValueError(f"no column {column!r} in {where}. Available: {', '.join(table.columns)}")
    series = table[column]
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean(), pl.Null())):
        raise ValueError(f"column {column!r} in {where} is {series.dtype}; a distance needs numbers or Booleans")
    return sorted_sample(series.cast(pl.Float64).drop_nulls().to_numpy())


def _measures(reference: np.ndarray, year: np.ndarray) -> dict[str, float | None]:
    """The distances of two sorted samples; None for each if one of them is empty."""
    from bridge_assets.drift.distances import (
        ks_statistic,
        limiting_p_value,
        population_stability_index,
        wasserstein_distance,
    )

    if not (reference.size and year.size):
        return dict.fromkeys(("statistic", "p_value", "wasserstein", "psi"))
    statistic = ks_statistic(reference, year)
    return {
        "statistic": statistic,
        "p_value": limiting_p_value(statistic, reference.size, year.size),
        "wasserstein": wasserstein_distance(reference, year),
        "psi": population_stability_index(reference, year),
    }


def _max_leave_one_out_distance(samples: Iterable[np.ndarray]) -> float:
    # The largest distance of a sample from all other samples pooled. Sorting once for all samples takes a tenth of the
    # time of one ks_2samp per sample and gives the same numbers.
    import numpy as np

    samples = list(samples)
    if len(samples) < 2:
        return 0.0
    points, index = np.unique(np.concatenate(samples), return_inverse=True)
    total = np.bincount(index, minlength=points.size).cumsum()
    largest, start = 0.0, 0
    for sample in samples:
        sample_cdf_counts = np.bincount(index[start : start + sample.size], minlength=points.size).cumsum()
        start += sample.size
        others_cdf = (total - sample_cdf_counts) / (total[-1] - sample.size)
        largest = max(largest, float(np.abs(sample_cdf_counts / sample.size - others_cdf).max()))
    return largest
