"""What is trained on and what is held out."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import SplitSettings


def split_inspections(table: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Hold out inspections by structure and by time.

    The cut comes before the last `holdout_years` survey years that have an outcome. Held out are inspections after the
    cut of the held-out structures; trained on are inspections of the other structures whose outcome was known by the
    cut. The rest is unused: it would tell the model of the held-out years, or of the held-out structures.

    A structure is held out if its key's SHA-256, read as a fraction of its range, is below `holdout_structures`: the
    same structures on every machine and in every year, whatever else is in the table.

    Parameters
    ----------
    table : pl.DataFrame
        One row an inspection: `structure_key`, `survey_year`, `next_survey_year`, `fall` (null where not known).
    settings : SplitSettings

    Returns
    -------
    pl.DataFrame
        The same rows in the same order with `split`: `train`, `holdout` or `unused`.
    """
    import polars as pl

    keys = table["structure_key"].unique(maintain_order=True).to_list()
    held_out = [key for key in keys if _fraction(key) < settings.holdout_structures]
    known = pl.col("fall").is_not_null()
    is_held_out = pl.col("structure_key").is_in(held_out)
    years = table.filter(known)["survey_year"].unique().sort().to_list()
    later = years[-settings.holdout_years :]
    if not later:
        return table.with_columns(split=pl.lit("unused"))
    after_cut = pl.col("survey_year") >= later[0]
    outcome_by_cut = (pl.col("survey_year") < later[0]) & (pl.col("next_survey_year") < later[0])
    return table.with_columns(
        pl.when(known & is_held_out & after_cut)
        .then(pl.lit("holdout"))
        .when(known & ~is_held_out & outcome_by_cut)
        .then(pl.lit("train"))
        .otherwise(pl.lit("unused"))
        .alias("split")
    )


def train_rows(training: pl.DataFrame) -> pl.DataFrame:
    """The training inspections, in their order."""
    import polars as pl

    return training.filter(pl.col("split") == "train")


def holdout_rows(training: pl.DataFrame) -> pl.DataFrame:
    """The held-out inspections, in their order: what every probability here belongs to."""
    import polars as pl

    return training.filter(pl.col("split") == "holdout")


def _fraction(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
