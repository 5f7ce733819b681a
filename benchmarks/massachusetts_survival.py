"""Bridges of Massachusetts that became Poor, 2000 to 2012, next to what the deterioration model predicted.

The panel has ratings by year, without inspection dates: each year counts as an inspection. The condition is the lowest
rating; a rise of a component by two points or more, or a new year of reconstruction, is work. For each cut year the
model is fitted to the years before it and to four fifths of the bridges, and predicts for the others, once for each
fifth: nothing is predicted for a bridge or a year that the model saw. The observed share is the Kaplan-Meier estimate,
which ends with work.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.massachusetts import folder
from benchmarks.massachusetts_panel import FILE
from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.models.survival.fit import fit
from bridge_assets.models.survival.metrics import kaplan_meier
from bridge_assets.models.survival.panel import first_row_per_structure, follow_up
from bridge_assets.nbi.derived import DAYS_PER_YEAR, POOR_MAX
from bridge_assets.settings import SurvivalSettings

CUTS, YEARS, FOLDS = (2004, 2005, 2006), (4, 6), 5

_COMPONENTS = ("deck", "superstructure", "substructure", "culvert")


@dataclass(frozen=True)
class Compared:
    """Bridges of one condition in a cut year.

    Attributes
    ----------
    cut, years, condition, bridges, poor : int
        The number of bridges, and of those seen to become Poor within these years.
    predicted : float
        Mean probability.
    observed, low, high : float
        Kaplan-Meier estimate and its 95 % interval.
    """

    cut: int
    years: int
    condition: int
    bridges: int
    poor: int
    predicted: float
    observed: float
    low: float
    high: float


def main() -> None:
    print("| cut | within | condition | bridges | became Poor | predicted | observed (95 %) | predicted / observed |")
    print("|---|---:|---:|---:|---:|---:|---|---:|")
    intervals = read_intervals(folder())
    for cut in CUTS:
        for each in compare(intervals, cut):
            ratio = f"{each.predicted / each.observed:.2f}" if each.observed else ""
            print(
                f"| {each.cut} | {each.years} years | {each.condition} | {each.bridges} | {each.poor} | "
                f"{each.predicted:.1%} | {each.observed:.1%} ({each.low:.1%} to {each.high:.1%}) | {ratio} |"
            )


def read_intervals(panel: Path) -> pl.DataFrame:
    """Rows as `panel.intervals_at_risk` gives them; features that the panel lacks are 0 everywhere."""
    of_bridge = pl.col("survey_year").min().over("structure_key")
    years = pl.read_csv(panel / FILE, infer_schema_length=None).with_columns(pl.col(pl.Float64).fill_nan(None))
    years = years.rename({"bridgeID": "structure_key", "data_year": "survey_year"})
    years = years.with_columns(condition=pl.min_horizontal(_COMPONENTS)).filter(pl.col("condition").is_not_null())
    years = years.unique(["structure_key", "survey_year"], keep="first").sort("structure_key", "survey_year")
    risen = [pl.col(name) - _before(name) >= 2 for name in _COMPONENTS]
    rebuilt = pl.col("year_rebuilt") != _before("year_rebuilt")
    change = (pl.col("condition") - _before("condition")).fill_null(0)
    years = years.with_columns(
        change=change,
        worked=pl.any_horizontal(*risen, rebuilt).fill_null(value=False),
        inspection_date=pl.date("survey_year", 7, 1),
        falls_so_far=(change < 0).cast(pl.Int16).cum_sum().over("structure_key"),
        rises_so_far=(change > 0).cast(pl.Int16).cum_sum().over("structure_key"),
        culvert_rating="culvert",
        age=pl.col("survey_year") - pl.col("year_built"),
        age_since_work=(pl.col("survey_year") - pl.max_horizontal("year_built", "year_rebuilt")).clip(0),
        log_length=pl.col("area").log1p(),
        on_nhs="national_highway_system",
        components_at_lowest=pl.sum_horizontal((pl.col(name) == pl.col("condition")) for name in _COMPONENTS),
    )
    entered = pl.when((pl.col("change") != 0) | (pl.col("survey_year") == of_bridge)).then("survey_year")
    years = years.with_columns(
        years_in_condition=pl.col("survey_year") - entered.forward_fill().over("structure_key"),
        next_survey_year=_after("survey_year"),
        next_inspection_date=_after("inspection_date"),
        next_condition=_after("condition").cast(pl.Int8),
        work_found=pl.when(_after("worked")).then(pl.lit("repair")),
    )
    unknown = [pl.lit(0.0).alias(name) for name in FEATURE_NAMES if name not in years.columns]
    length = (pl.col("next_inspection_date") - pl.col("inspection_date")).dt.total_days() / DAYS_PER_YEAR
    return (
        years.with_columns(*unknown, years=length)
        .with_columns(pl.col(FEATURE_NAMES).cast(pl.Float32))
        .filter(pl.col("next_condition").is_not_null() & (pl.col("condition") > POOR_MAX))
    )


def _before(name: str) -> pl.Expr:
    return pl.col(name).shift().over("structure_key")


def _after(name: str) -> pl.Expr:
    return pl.col(name).shift(-1).over("structure_key")


def compare(intervals: pl.DataFrame, cut: int) -> Iterator[Compared]:
    """Predictions at the cut and what followed, for conditions 5 to 7; few of the others became Poor."""
    fold = pl.col("structure_key").map_elements(lambda key: zlib.crc32(key.encode()) % FOLDS, return_dtype=pl.Int64)
    rows = intervals.with_columns(fold=fold)
    predicted = []
    for held_out in range(FOLDS):
        seen = (pl.col("fold") != held_out) & (pl.col("next_survey_year") <= cut)
        model = fit(rows.filter(seen), "", SurvivalSettings())
        later = first_row_per_structure(
            follow_up(rows.filter((pl.col("fold") == held_out) & (pl.col("survey_year") >= cut)))
        )
        later = later.filter(pl.col("survey_year") <= cut + 1)
        poor = model.poor_probability_by_year(later, max(YEARS))
        predicted.append(later.with_columns(pl.Series(f"within_{years}", poor[:, years]) for years in YEARS))
    for years in YEARS:
        for (condition,), part in pl.concat(predicted).sort("condition").group_by("condition", maintain_order=True):
            followed, became_poor = part["followed_years"].to_numpy(), part["became_poor"].to_numpy()
            curve = kaplan_meier(followed, became_poor)
            if condition in (5, 6, 7):
                yield Compared(
                    cut,
                    years,
                    int(condition),
                    part.height,
                    int((became_poor & (followed <= years)).sum()),
                    float(part[f"within_{years}"].mean()),  # type: ignore[arg-type] # never empty
                    curve.poor_within(years),
                    *curve.interval(years),
                )
