"""The ratings of Massachusetts' bridges, 2000 to 2012, as rows that a model of falls learns from.

A panel of another layout than FHWA's: one row a bridge and year, the ratings as they stand in that year, no inspection
dates. The next year's deck rating is what is foreseen, lower or not. Most bridges are inspected every second year (23
CFR 650.311), and a rating changes only when somebody looked; so it matters whether next year is a year of looking.
Nobody says so, but what changed so far does: ratings and health index of a bridge change in even years, or in odd ones.

Left out: `flag` and `structurally_deficient`, which are functions of the ratings, and the projects, whose columns tell
of years to come.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from bridge_assets.data.features.peers import peer_fall_rates

FILE = "ma_bridge_panel_2000_2012.csv.gz"

RATINGS = ("deck", "superstructure", "substructure")

#: Who counts as a peer: the same deck rating, as long in it, in the same town.
PEERS = (("deck",), ("years_class",), ("town",))

FEATURES = (
    "deck", "superstructure", "substructure", "above_superstructure", "above_substructure",
    "deck_change", "superstructure_change", "substructure_change",
    "years_in_deck_rating", "years_in_superstructure_rating", "years_in_substructure_rating", "years_since_any_change",
    "deck_change_seen", "deck_falls", "deck_rises", "other_falls", "changes", "cycle", "recent_cycle",
    "health_index", "health_index_changed", "town_changed", "town_changed_before", "peers_fall_rate",
    "age", "years_since_rebuilt", "log_area", "on_nhs",
)  # fmt: skip

#: What nobody knew in the survey year -> what it says. For bounds, never for a forecast.
HINDSIGHT = {
    "cycle_of_all_years": "in which of two years it is looked at, from its changes before and after the next year",
    "something_else_changes": "whether anything else of it changes in the next year",
}

#: How much less a change counts in `recent_cycle` for each year that has passed since.
_FADES = 0.9

#: Smaller changes of the health index are rounding: it has four decimals in some years and more in others.
_ROUNDING = 0.0006


def read_panel(folder: Path) -> pl.DataFrame:
    """One row a bridge and year with a deck rating in that year and in the next.

    Parameters
    ----------
    folder : Path
        With the panel's file.

    Returns
    -------
    pl.DataFrame
        As `models.split` and `models.baselines` take it: structure_key, survey_year, next_survey_year, fall, rating,
        years_in_rating; then `FEATURES` in natural units, which were known in the survey year, and `HINDSIGHT`.
    """
    years = pl.read_csv(folder / FILE, infer_schema_length=None).with_columns(pl.col(pl.Float64).fill_nan(None))
    years = years.rename({"bridgeID": "structure_key", "data_year": "survey_year"}).sort("structure_key", "survey_year")
    pairs = _with_outcome(_with_hindsight(_with_town(_with_past(_with_changes(years)))))
    return _with_peers(pairs).select(
        "structure_key",
        pl.col("survey_year", "next_survey_year").cast(pl.Int16),
        "fall",
        pl.col("deck").cast(pl.Int8).alias("rating"),
        pl.col("years_in_deck_rating").alias("years_in_rating"),
        *(pl.col(name).cast(pl.Float32) for name in (*FEATURES, *HINDSIGHT)),
    )


def _of_bridge(expression: pl.Expr) -> pl.Expr:
    return expression.over("structure_key")


def _with_changes(years: pl.DataFrame) -> pl.DataFrame:
    """What changed since the year before."""
    year, index = pl.col("survey_year"), pl.col("total_health_index")
    index = pl.when(index > 0).then(index)  # there is none before 2005
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
    """What changed so far, when, and in which of two years it does."""
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
        # Changes in years like the next one, less those in the others.
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
    """What share of a town's bridges changed in that year, and in the year before: some are inspected together."""
    towns = years.group_by("town", "survey_year").agg(town_changed=pl.col("changed").mean())
    before = towns.select("town", pl.col("survey_year") + 1, pl.col("town_changed").alias("town_changed_before"))
    on = ["town", "survey_year"]
    return years.join(towns, on=on, how="left", maintain_order="left").join(
        before, on=on, how="left", maintain_order="left"
    )


def _with_hindsight(years: pl.DataFrame) -> pl.DataFrame:
    """What only later years show; of the deck in the next year, which is foreseen, it says nothing."""
    sign = 1 - 2 * (pl.col("survey_year") % 2)
    changes = pl.col("changed") * sign
    others = _of_bridge(changes.sum()) - _of_bridge(changes.shift(-1).fill_null(0))
    return years.with_columns(
        cycle_of_all_years=-sign * others, something_else_changes=_of_bridge(pl.col("other_changed").shift(-1))
    )


def _with_outcome(years: pl.DataFrame) -> pl.DataFrame:
    """The rows whose next year is there, and whether the deck is rated lower then."""
    following = _of_bridge(pl.col("deck").shift(-1))
    next_year = _of_bridge(pl.col("survey_year").shift(-1))
    return years.with_columns(next_survey_year=next_year, fall=following < pl.col("deck")).filter(
        pl.col("fall").is_not_null() & (pl.col("next_survey_year") == pl.col("survey_year") + 1)
    )


def _with_peers(pairs: pl.DataFrame) -> pl.DataFrame:
    """How often the decks of peers had fallen by that year (`data.peers`)."""
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
