"""How often the condition of a structure's peers fell, as far as the files of that year told.

For a survey year, the inspections count whose next inspection stands in the files up to that year: nothing that was
found later. The rate is worked out from the share of all that fell, one factor after another: what fell in a group over
what was expected of it so far, drawn towards 1 where little is known of the group. Cells of a few inspections each, one
condition of one material in one state, say less: on inner folds of the sample inventory they gave 0.001 of AUC, the
product of factors 0.006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from bridge_assets.data.features.history import PEERS_FALL_RATE, YEARS_IN_CONDITION

#: Peers, in the order in which they are looked at: those in the same condition, of the same material (simple and
#: continuous spans together; culverts apart), in the same state, and as long in that condition.
PEER_FACTORS: tuple[tuple[str, ...], ...] = (("condition",), ("material", "is_culvert"), ("state",), ("years",))

#: A group counts as if it held so many more falls, all of them expected: a choice.
PRIOR_FALLS = 10

#: Classes of years in the condition begin here. Inspections are about 24 months apart (23 CFR 650.311), so that the
#: first ones hold one inspection each, early or late.
DURATION_CLASS_STARTS = (1, 3, 5, 9)

_CONTINUOUS_TO_SIMPLE = {"2": "1", "4": "3", "6": "5"}


def peer_groups(state: pl.Expr, material: pl.Expr) -> list[pl.Expr]:
    """The columns of `PEER_FACTORS`, out of inspections or out of records with their history.

    Parameters
    ----------
    state, material : pl.Expr
        State code (item 1) and material (item 43A).
    """
    years = pl.sum_horizontal((start <= YEARS_IN_CONDITION).cast(pl.Int8) for start in DURATION_CLASS_STARTS)
    return [
        pl.col("condition").cast(pl.Int8),
        material.str.strip_chars_start("0").replace(_CONTINUOUS_TO_SIMPLE).alias("material"),
        pl.col("is_culvert"),
        state.alias("state"),
        # Where the beginning is not on file, the years are a least: classes of their own.
        pl.when(pl.col("entry_seen")).then(years).otherwise(-1 - years).cast(pl.Int8).alias("years"),
    ]


def peer_outcomes(transitions: pl.LazyFrame) -> pl.DataFrame:
    """What is known of all groups of peers, and since when.

    Parameters
    ----------
    transitions : pl.LazyFrame
        fct_condition_transitions. An inspection counts as soon as there is a next one, however late.

    Returns
    -------
    pl.DataFrame
        `known_in`, the survey year whose file first showed the next inspection; the columns of `PEER_FACTORS`;
        `inspections`, and how many of them fell: `falls`.
    """
    groups = peer_groups(pl.col("structure_key").str.head(2), pl.col("material_043a"))
    return (
        transitions.filter(pl.col("next_condition").is_not_null())
        .select(
            pl.col("next_survey_year").cast(pl.Int16).alias("known_in"),
            *groups,
            (pl.col("next_condition") < pl.col("condition")).alias("fell"),
        )
        .group_by("known_in", *(name for factor in PEER_FACTORS for name in factor))
        .agg(pl.len().alias("inspections"), pl.col("fell").sum().alias("falls"))
        .sort(pl.all())
        .collect(engine="streaming")
    )


@dataclass(frozen=True, slots=True)
class PeerRates:
    """Fall rates as of one survey year.

    Attributes
    ----------
    overall : float or None
        Share of all inspections that fell; None where no outcome was known.
    ratios : tuple of pl.DataFrame
        One a factor: its columns, and `ratio`.
    """

    overall: float | None
    ratios: tuple[pl.DataFrame, ...]

    def fall_rate(self, table: pl.DataFrame) -> pl.Series:
        """The rate of each row's peers, `peers_fall_rate`; null where no outcome was known.

        Parameters
        ----------
        table : pl.DataFrame
            With the columns of the factors. A group that was never seen is as all others.
        """
        rate = pl.lit(self.overall, dtype=pl.Float64)
        for number, ratio in enumerate(self.ratios):
            on = [name for name in ratio.columns if name != "ratio"]
            table = table.join(
                ratio.rename({"ratio": f"ratio_{number}"}), on=on, how="left", nulls_equal=True, maintain_order="left"
            )
            rate = rate * pl.col(f"ratio_{number}").fill_null(1.0)
        return table.with_columns(rate.clip(0, 1).alias(PEERS_FALL_RATE))[PEERS_FALL_RATE]


def peer_fall_rates(
    outcomes: pl.DataFrame, survey_year: int, factors: Sequence[tuple[str, ...]] = PEER_FACTORS
) -> PeerRates:
    """The rates of all groups as the files up to one survey year tell them.

    Parameters
    ----------
    outcomes : pl.DataFrame
        As `peer_outcomes` gives them, of any years; what became known later is not looked at.
    survey_year : int
    factors : sequence of tuple of str
        Columns of `with_outcomes` that make a group, one factor each.
    """
    known = outcomes.filter(pl.col("known_in") <= survey_year)
    if known.is_empty():
        return PeerRates(None, ())
    overall = float(known.select(pl.col("falls").sum() / pl.col("inspections").sum()).item())
    known = known.with_columns((pl.col("inspections") * overall).alias("expected"))
    ratios = []
    for factor in factors:
        shrunk_ratio = (pl.col("falls").sum() + PRIOR_FALLS) / (pl.col("expected").sum() + PRIOR_FALLS)
        # In one order: sums of floating-point numbers depend on theirs.
        ratio = known.group_by(factor, maintain_order=True).agg(shrunk_ratio.alias("ratio"))
        known = known.join(ratio, on=factor, how="left", nulls_equal=True, maintain_order="left").select(
            *known.columns[:-1], pl.col("expected") * pl.col("ratio")
        )
        ratios.append(ratio)
    return PeerRates(overall, tuple(ratios))
