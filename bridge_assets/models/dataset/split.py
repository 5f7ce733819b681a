"""The split: which inspections are trained on and which are held out, by structure and by time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import SplitSettings

#: Columns that order the inspections. The first two identify an inspection in the training set.
CANONICAL_KEY = ("structure_key", "survey_year", "inspection_date")

#: Share of the outcomes of a survey year that makes it complete. Nine in ten bridges are inspected every 24 months (23
#: CFR 650.311), some early, some late: by two years later, 85 to 90 % of the outcomes are known.
USUAL_SHARE = 0.8


def split_inspections(table: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Hold out inspections by structure and by time.

    The cut is before the last `holdout_years` complete survey years: those whose usual interval (`usual_interval`) to
    the next inspection had passed in the last file. Of later years, only the outcomes of bridges that are inspected
    early are known, and those are other bridges: often in worse condition, and watched for it. Held out are the
    inspections after the cut of the held-out structures. Inspections of the other structures are trained on if their
    outcome was known by the cut, and that of the others of their survey year too. The rest is unused: it would leak the
    held-out years or the held-out structures, or be selected.

    A structure is held out if the SHA-256 of its key, as a fraction between 0 and 1, is below `holdout_structures`:
    the same structures on every machine and in every year, whatever else is in the table.

    Parameters
    ----------
    table : pl.DataFrame
        One row per inspection: `structure_key`, `survey_year`, `next_survey_year`, `fall` (null where not known).
    settings : SplitSettings

    Returns
    -------
    pl.DataFrame
        The same rows in the same order with `split`: `train`, `holdout` or `unused`.
    """
    import polars as pl

    known = table.filter(pl.col("fall").is_not_null())
    if known.is_empty():
        return table.with_columns(split=pl.lit("unused"))
    last_complete = int(known["next_survey_year"].max()) - usual_interval(table)  # type: ignore[arg-type]
    years = known.filter(pl.col("survey_year") <= last_complete)["survey_year"].unique().sort().to_list()
    later = years[-settings.holdout_years :]
    if not later:
        return table.with_columns(split=pl.lit("unused"))
    return split_at(table, later[0], later[-1], settings.holdout_structures)


def usual_interval(table: pl.DataFrame) -> int:
    """Survey years within which the next inspection of most bridges is in the files: 2 where most are inspected every
    24 months, 1 where every bridge has a rating every year.

    Parameters
    ----------
    table : pl.DataFrame
        `survey_year`, `next_survey_year`, `fall` (null where not known).

    Returns
    -------
    int
        The smallest number of years that covers `USUAL_SHARE` of the known outcomes. Counted are survey years from
        which the longest interval had passed in the last file, if there are any: of later ones, only the short
        intervals are known. 1 without a known outcome.
    """
    import polars as pl

    known = table.filter(pl.col("fall").is_not_null()).select(
        "survey_year", interval=pl.col("next_survey_year") - pl.col("survey_year")
    )
    if known.is_empty():
        return 1
    longest, last = known["interval"].max(), table["next_survey_year"].max()
    passed = known.filter(pl.col("survey_year") <= last - longest)  # type: ignore[operator]
    return int((passed if passed.height else known)["interval"].quantile(USUAL_SHARE, "higher"))  # type: ignore[arg-type]


def split_at(
    table: pl.DataFrame,
    cut: int,
    last: int,
    holdout_structures: float,
    *,
    offset: float = 0.0,
    salt: str = "",
    complete_years: bool = True,
) -> pl.DataFrame:
    """Hold out the inspections of held-out structures in survey years `cut` to `last`; see `split_inspections`.

    Parameters
    ----------
    table : pl.DataFrame
        As for `split_inspections`; a column `split` is replaced.
    cut, last : int
        First and last held-out survey year. Training uses outcomes known before `cut`, of survey years that were
        complete by then.
    holdout_structures : float
        Share of the structures.
    offset : float
        Rotates which structures are held out: with a share of 1/k, the offsets 0, 1/k, 2/k ... hold out each one once.
    salt : str
        Another salt gives another random order of the structures.
    complete_years : bool, default True
        Whether training leaves out survey years that were not complete by the cut.

    Returns
    -------
    pl.DataFrame
    """
    import polars as pl

    keys = table["structure_key"].unique(maintain_order=True).to_list()
    held_out = [key for key in keys if (_fraction(salt + key) + offset) % 1 < holdout_structures]
    known = pl.col("fall").is_not_null()
    is_held_out = pl.col("structure_key").is_in(held_out)
    wait = usual_interval(table) if complete_years else 0
    outcome_by_cut = (pl.col("survey_year") + wait < cut) & (pl.col("next_survey_year") < cut)
    return table.with_columns(
        pl.when(known & is_held_out & pl.col("survey_year").is_between(cut, last))
        .then(pl.lit("holdout"))
        .when(known & ~is_held_out & outcome_by_cut)
        .then(pl.lit("train"))
        .otherwise(pl.lit("unused"))
        .alias("split")
    )


def train_rows(training: pl.DataFrame) -> pl.DataFrame:
    """The training inspections, in table order; fit a model to `canonical_order` of them."""
    import polars as pl

    return training.filter(pl.col("split") == "train")


def holdout_rows(training: pl.DataFrame) -> pl.DataFrame:
    """The held-out inspections, in table order: predictions for the held-out split are in this order too."""
    import polars as pl

    return training.filter(pl.col("split") == "holdout")


def canonical_order(table: pl.DataFrame) -> pl.DataFrame:
    """Sort inspections by structure, survey year and inspection date.

    A random forest draws its bootstrap samples by row number, and sums of floats depend on their order: the same
    inspections in another order would train a forest of other bytes.

    Parameters
    ----------
    table : pl.DataFrame
        With `structure_key`, and `survey_year` and `inspection_date` if it has them. Without `structure_key`, nothing
        identifies a row, and the table keeps its order.

    Returns
    -------
    pl.DataFrame
        The same rows. Where several have the same key, the other columns decide.
    """
    import polars as pl

    keys = [name for name in CANONICAL_KEY if name in table.columns]
    if "structure_key" not in keys:
        return table
    if table.select(keys).is_unique().all():
        order = table.select(pl.arg_sort_by(*keys)).to_series()
    else:
        order = table.select(pl.arg_sort_by(*keys, *sorted(set(table.columns) - set(keys)))).to_series()
    return table if order.is_sorted() else table[order]


def _fraction(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
