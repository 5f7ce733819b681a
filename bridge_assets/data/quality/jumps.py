"""What jumped: shares of a survey year that lie far above what the years before it show.

A flag or a missing item that is always there is a fact of the inventory. One that came over a year is a fact of the
file: an item that a state stopped sending, a unit that changed, a reader that broke. Belongs here: the rule and its
margins, each with its reason. Does not belong here: the counting (`quality`).
"""

from __future__ import annotations

import polars as pl

from bridge_assets.data.quality.measures import ALL_STATES, ANY, REQUIRED_ITEMS

#: Earlier survey years that a median needs. Of fewer, one odd year decides it.
MIN_YEARS = 3

#: measure -> how far above the median of the earlier years a share of all states may lie. 1 % of a national file is
#: 6,200 bridges: more than the yearly work of a state. Rejected rows are 1 in 22 million in the 34 national files, so
#: that one in a thousand is a file of another kind.
MARGINS = {"flag": 0.01, "missing": 0.01, "rejected": 0.001}

#: The same for one state. States clean up, reorganise and renumber: by less than a tenth of their bridges it is theirs.
STATE_MARGIN = 0.10

#: A jump is also above this many standard errors of a share, so that a file of a few hundred bridges is not judged by
#: chance: at 5, one in three million by chance, where a national history asks some 10,000 times.
STANDARD_ERRORS = 5.0

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
        `quality_measures.SUMMARY_SCHEMA`, of this survey year and others. Later ones are not looked at.
    survey_year : int

    Returns
    -------
    pl.DataFrame
        `JUMP_SCHEMA`, the largest jump first: `share` in the survey year, `median` the median of the `years` earlier
        ones, in which a flag that nobody had counts as 0 and an item that the layout lacked as no year. Empty where
        fewer than `MIN_YEARS` can be compared. Of missing items, `quality_measures.REQUIRED_ITEMS` only.
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
    likely = pl.max_horizontal(median, 1 / pl.col("of"))
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
    # An item that a layout lacks is not missing in its years. Every item that it has is there for all states.
    reported_items = compared.filter(earlier & (pl.col("measure") == "missing") & (pl.col("state") == ALL_STATES))
    items = years.filter(pl.col("measure") == "missing").join(reported_items, on=["survey_year", "name"], how="semi")
    years = pl.concat([years.filter(pl.col("measure") != "missing"), items])
    shares = years.join(compared.select(*key, "survey_year", "share"), on=[*key, "survey_year"], how="left")
    return shares.group_by(key).agg(
        pl.col("share").fill_null(0).median().alias("before"), pl.len().cast(pl.UInt32).alias("years")
    )
