"""The ratings of Massachusetts bridges, 2000 to 2012, as rows for training a model of falls.

The panel has a different layout than FHWA's files: one row per bridge and year with the ratings as of that year,
without inspection dates. The model predicts whether the deck rating is lower in the next year. Most bridges are
inspected every second year (23 CFR 650.311), and a rating changes only at an inspection; so it matters whether the
bridge is inspected in the next year. The panel does not say, but past changes do: the ratings and the health index of a
bridge change either in even years or in odd ones.

Left out: `flag` and `structurally_deficient`, which are functions of the ratings, and the projects, whose columns
contain information about later years.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from bridge_assets.data.features.peers import peer_fall_rates
from bridge_assets.nbi.derived import POOR_MAX

FILE = "ma_bridge_panel_2000_2012.csv.gz"

RATINGS = ("deck", "superstructure", "substructure")

#: What makes a bridge a peer: the same deck rating, the same time in it, the same town.
PEERS = (("deck",), ("years_class",), ("town",))

FEATURES = (
    "deck", "superstructure", "substructure", "above_superstructure", "above_substructure",
    "deck_change", "superstructure_change", "substructure_change",
    "years_in_deck_rating", "years_in_superstructure_rating", "years_in_substructure_rating", "years_since_any_change",
    "deck_change_seen", "deck_falls", "deck_rises", "other_falls", "changes", "cycle", "recent_cycle",
    "health_index", "health_index_changed", "town_changed", "town_changed_before", "peers_fall_rate",
    "age", "years_since_rebuilt", "log_area", "on_nhs",
)  # fmt: skip

#: Features that were unknown in the survey year -> their meaning. For upper bounds, never for a forecast.
HINDSIGHT = {
    "cycle_of_all_years": "in which of every two years it is inspected, from changes before and after the next year",
    "something_else_changes": "whether anything else about it changes in the next year",
}

#: Factor by which a change counts less in `recent_cycle` for each year since.
_FADES = 0.9

#: Smaller changes of the health index are rounding: it has four decimals in some years and more in others.
_ROUNDING = 0.0006


def read_panel(folder: Path) -> pl.DataFrame:
    """One row per bridge and year with a deck rating in that year and in the next.

    Parameters
    ----------
    folder : Path
        Contains `FILE`.

    Returns
    -------
    pl.DataFrame
        As `models.dataset.split` and `models.evaluation.baselines` expect it: structure_key, survey_year,
        next_survey_year, fall, becomes_poor (null for a deck of 4 or less), rating, years_in_rating; then `FEATURES` in
        natural units, which were known in the survey year, and `HINDSIGHT`.
    """
    years = pl.read_csv(folder / FILE, infer_schema_length=None).with_columns(pl.col(pl.Float64).fill_nan(None))
    years = years.rename({"bridgeID": "structure_key", "data_year": "survey_year"}).sort("structure_key", "survey_year")
    pairs = _with_outcome(_with_hindsight(_with_town(_with_past(_with_changes(years)))))
    return _with_peers(pairs).select(
        "structure_key",
        pl.col("survey_year", "next_survey_year").cast(pl.Int16),
        "fall",
        "becomes_poor",
        pl.col("deck").cast(pl.Int8).alias("rating"),
        pl.col("years_in_deck_rating").alias("years_in_rating"),
        *(pl.col(name).cast(pl.Float32) for name in (*FEATURES, *HINDSIGHT)),
    )


def _of_bridge(expression: pl.Expr) -> pl.Expr:
    return expression.over("structure_key")


def _with_changes(years: pl.DataFrame) -> pl.DataFrame:
    """Changes since the previous year."""
    year, index = pl.col("survey_year"), pl.col("total_health_index")
    index = pl.when(index > 0).then(index)  # no health index before 2005
    goes_on = _of_bridge(year.shift()) == year - 1
    changes = [(pl.col(name) - _of_bridge(pl.col(name).shift())).alias(f"{name}_change") for name in RATINGS]
    years = years.with_columns(
        *(pl.when(goes_on).then(change) for change in changes),
        health_index=index,
        health_index_changed=pl.when(goes_on).then((index - _of_bridge(index.shift())).abs() > _ROUNDING),
    )
    deck, *others = [pl.col(f"{name}_change").fill_null(0) != 0 for name in RATINGS]
    other = pl.any_horizontal(*others, pl.col("health_index_changed").fill_null(value=False))
    return years.with_columns(other_changed=other, changed=deck | other)


def _with_past(years: pl.DataFrame) -> pl.DataFrame:
    """Past changes: how many, when, and in which of every two years."""
    year = pl.col("survey_year")

    def so_far(happened: pl.Expr) -> pl.Expr:
        return _of_bridge(happened.fill_null(value=False).cast(pl.Int32).cum_sum())

    def years_since(happened: pl.Expr) -> pl.Expr:
        last = _of_bridge(pl.when(happened).then(year).forward_fill())
        return year - pl.coalesce(last, _of_bridge(year.min()))

    sign = 1 - 2 * (year % 2)  # 1 in even years, -1 in odd ones
    since = year - 2000
    fading = _of_bridge((pl.col("changed") * sign * (1 / _FADES) ** since).cum_sum()) * _FADES**since
    deck, *others = [pl.col(f"{name}_change") for name in RATINGS]
    return years.with_columns(
        **{f"years_in_{name}_rating": years_since(pl.col(f"{name}_change") != 0) for name in RATINGS},
        years_since_any_change=years_since(pl.col("changed")),
        deck_change_seen=so_far(deck != 0) > 0,
        deck_falls=so_far(deck < 0),
        deck_rises=so_far(deck > 0),
        other_falls=sum((so_far(other < 0) for other in others), start=pl.lit(0)),
        changes=so_far(pl.col("changed")),
        # Changes in years of the same parity as the next year, minus those in the others.
        cycle=-sign * _of_bridge((pl.col("changed") * sign).cum_sum()),
        recent_cycle=-sign * fading,
        above_superstructure=pl.col("deck") - pl.col("superstructure"),
        above_substructure=pl.col("deck") - pl.col("substructure"),
        age=year - pl.col("year_built"),
        years_since_rebuilt=year - pl.max_horizontal("year_built", "year_rebuilt"),
        log_area=(pl.col("area") + 1).log10(),
        on_nhs=pl.col("national_highway_system"),
    )


def _with_town(years: pl.DataFrame) -> pl.DataFrame:
    """Share of a town's bridges that changed in that year and in the previous one: some are inspected together."""
    towns = years.group_by("town", "survey_year").agg(town_changed=pl.col("changed").mean())
    before = towns.select("town", pl.col("survey_year") + 1, pl.col("town_changed").alias("town_changed_before"))
    on = ["town", "survey_year"]
    return years.join(towns, on=on, how="left", maintain_order="left").join(
        before, on=on, how="left", maintain_order="left"
    )


def _with_hindsight(years: pl.DataFrame) -> pl.DataFrame:
    """Features that only later years reveal. They exclude the deck in the next year, which is predicted."""
    sign = 1 - 2 * (pl.col("survey_year") % 2)
    changes = pl.col("changed") * sign
    others = _of_bridge(changes.sum()) - _of_bridge(changes.shift(-1).fill_null(0))
    return years.with_columns(
        cycle_of_all_years=-sign * others, something_else_changes=_of_bridge(pl.col("other_changed").shift(-1))
    )


def _with_outcome(years: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a next year, and whether the deck is rated lower in it."""
    following = _of_bridge(pl.col("deck").shift(-1))
    next_year = _of_bridge(pl.col("survey_year").shift(-1))
    becomes_poor = pl.when(pl.col("deck") > POOR_MAX).then(following <= POOR_MAX)
    return years.with_columns(
        next_survey_year=next_year, fall=following < pl.col("deck"), becomes_poor=becomes_poor
    ).filter(pl.col("fall").is_not_null() & (pl.col("next_survey_year") == pl.col("survey_year") + 1))


def _with_peers(pairs: pl.DataFrame) -> pl.DataFrame:
    """How often the decks of peers had fallen by that year (`data.features.peers`)."""
    seen, years = pl.col("deck_change_seen"), pl.col("years_in_deck_rating").clip(0, 6)
    pairs = pairs.with_columns(years_class=pl.when(seen).then(years).otherwise(-1 - years))
    groups = [name for factor in PEERS for name in factor]
    outcomes = (
        pairs.group_by(pl.col("next_survey_year").alias("known_in"), *groups)
        .agg(pl.len().alias("inspections"), pl.col("fall").sum().alias("falls"))
        .sort("known_in", *groups)
    )
    by_year = pairs.partition_by("survey_year", as_dict=True, maintain_order=True)
    return pl.concat(
        rows.with_columns(peer_fall_rates(outcomes, year, PEERS).fall_rate(rows))  # type: ignore[arg-type] # a year is an int
        for (year,), rows in by_year.items()
    ).sort("structure_key", "survey_year")
