"""Detects jumps: shares of a survey year that are far above those of earlier years.

A flag or a missing item that is always frequent is a property of the inventory. One that appears from one year to the
next is a property of the file: an item that a state stopped submitting, a changed unit, a broken reader. Belongs here:
the rule and its margins, each with its reason. Does not belong here: the counting (`summary`).
"""

from __future__ import annotations

import polars as pl

from bridge_assets.data.quality.measures import ALL_STATES, ANY, REQUIRED_ITEMS
from bridge_assets.nbi.flag_rules import FLAGS

#: Minimum number of earlier survey years for a median. With fewer, a single unusual year would decide.
MIN_YEARS = 3

#: Measure -> how far the share over all states may exceed the median of the earlier years. 1 % of a national file is
#: 6,200 bridges: more than the yearly work of a state. In the 34 national files, 1 row in 22 million is rejected, so 1
#: in 1,000 indicates a different kind of file.
MARGINS = {"flag": 0.01, "missing": 0.01, "rejected": 0.001}

#: The same for a single state. States clean up, reorganise and renumber: up to a tenth of their bridges is normal.
STATE_MARGIN = 0.10

#: A jump must also exceed this many standard errors of the share, so that a file of a few hundred bridges does not jump
#: by chance: at 5, the probability is one in three million, and a national history makes some 10,000 comparisons.
STANDARD_ERRORS = 5.0

_CHECKED_FLAGS = [name for name, flag in FLAGS.items() if flag.expression]

JUMP_SCHEMA = pl.Schema(
    {
        "state": pl.String(),
        "measure": pl.String(),
        "name": pl.String(),
        "records": pl.Int64(),
        "of": pl.Int64(),
        "share": pl.Float64(),
        "before": pl.Float64(),
        "years": pl.UInt32(),
    }
)


def detect_jumps(summaries: pl.DataFrame, survey_year: int) -> pl.DataFrame:
    """Shares of flags, missing items and rejected rows that jumped in a survey year.

    Parameters
    ----------
    summaries : pl.DataFrame
        `measures.SUMMARY_SCHEMA`, for this survey year and others. Later years are ignored.
    survey_year : int

    Returns
    -------
    pl.DataFrame
        `JUMP_SCHEMA`, largest jump first: `share` in the survey year; `before`, the median share of the `years` earlier
        years. A flag that no record had counts as 0; a year whose files lack the item is not counted. Empty if fewer
        than `MIN_YEARS` can be compared. Missing items are limited to `measures.REQUIRED_ITEMS`.
    """
    compared = summaries.filter(
        pl.col("measure").is_in(list(MARGINS)) & (pl.col("name") != ANY),
        (pl.col("measure") != "missing") | pl.col("name").is_in(REQUIRED_ITEMS),
    )
    national = pl.col("state") == ALL_STATES
    margin = pl.when(national).then(pl.col("measure").replace_strict(MARGINS, return_dtype=pl.Float64))
    margin = margin.otherwise(STATE_MARGIN)
    candidates = compared.filter((pl.col("survey_year") == survey_year) & (pl.col("share") > margin))
    median = pl.col("before")
    # Of a single record, which has a flag or not, one half: a share of 1 would have no noise at all.
    likely = pl.min_horizontal(pl.max_horizontal(median, 1 / pl.col("of")), 0.5)
    noise = STANDARD_ERRORS * (likely * (1 - likely) / pl.col("of")).sqrt()
    return (
        candidates.join(_medians(candidates, compared, summaries, survey_year), on=["state", "measure", "name"])
        .filter(pl.col("years") >= MIN_YEARS, pl.col("share") - median > pl.max_horizontal(margin, noise))
        .sort(~national, median - pl.col("share"), "state", "measure", "name")
        .select(JUMP_SCHEMA.names())
        .cast(dict(JUMP_SCHEMA.items()))
    )


def _medians(
    candidates: pl.DataFrame, compared: pl.DataFrame, summaries: pl.DataFrame, survey_year: int
) -> pl.DataFrame:
    key = ["state", "measure", "name"]
    earlier = pl.col("survey_year") < survey_year
    loaded_years = summaries.filter(earlier & (pl.col("measure") == "rows") & (pl.col("name") == "loaded"))
    years = candidates.select(key).join(loaded_years.select("state", "survey_year"), on="state")
    # An item that a layout lacks is not missing in those years. Every item of a layout has a row for all states.
    reported = compared.filter(earlier & (pl.col("state") == ALL_STATES))
    items = years.filter(pl.col("measure") == "missing").join(
        reported.filter(pl.col("measure") == "missing"), on=["survey_year", "name"], how="semi"
    )
    # So has every flag that was checked; a code outside its list only has a row if it occurs.
    checked = reported.filter((pl.col("measure") == "flag") & pl.col("name").is_in(_CHECKED_FLAGS))
    unchecked = (
        years.filter((pl.col("measure") == "flag") & pl.col("name").is_in(_CHECKED_FLAGS))
        .join(checked, on="survey_year", how="semi")
        .join(checked, on=["survey_year", "name"], how="anti")
    )
    others = years.filter(pl.col("measure") != "missing")
    years = pl.concat([others.join(unchecked, on=[*key, "survey_year"], how="anti"), items])
    shares = years.join(compared.select(*key, "survey_year", "share"), on=[*key, "survey_year"], how="left")
    return shares.group_by(key).agg(
        pl.col("share").fill_null(0).median().alias("before"), pl.len().cast(pl.UInt32).alias("years")
    )
