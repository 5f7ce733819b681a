"""How often the condition of similar bridges (peers) fell, as known from the files up to a survey year.

For a survey year, an inspection counts if its next inspection is in the files up to that year; nothing found later is
used. The rate starts from the share of all inspections that fell and is multiplied by one factor per kind of group:
falls in the group divided by the falls expected so far, shrunk towards 1 if the group is small. Rates of small cells
(one condition of one material in one state) are less useful: on inner folds of the sample inventory they added 0.001 to
the AUC, while the product of factors added 0.006.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from bridge_assets.data.features.history import PEERS_FALL_RATE, YEARS_IN_CONDITION

#: Groups of peers, in the order in which their factors are applied: the same condition, the same material (simple and
#: continuous spans together, culverts apart), the same state, the same number of years in the condition.
PEER_FACTORS: tuple[tuple[str, ...], ...] = (("condition",), ("material", "is_culvert"), ("state",), ("years",))

#: Shrinkage: this number is added to the observed and to the expected falls of each group. A choice.
PRIOR_FALLS = 10

#: Lower bounds of the classes of years in the condition. Inspections are about 24 months apart (23 CFR 650.311), so
#: each of the first classes holds one inspection, early or late.
DURATION_CLASS_STARTS = (1, 3, 5, 9)

_PEER_TYPES = {
    "condition": pl.Int8,
    "material": pl.String,
    "is_culvert": pl.Boolean,
    "state": pl.String,
    "years": pl.Int8,
    "ratio": pl.Float64,
}

_CONTINUOUS_TO_SIMPLE = {"2": "1", "4": "3", "6": "5"}


def peer_groups(state: pl.Expr, material: pl.Expr) -> list[pl.Expr]:
    """The columns of `PEER_FACTORS`, computed from inspections or from records with their history.

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
        # If the start is not on file, the years are a lower bound: these get separate classes.
        pl.when(pl.col("entry_seen")).then(years).otherwise(-1 - years).cast(pl.Int8).alias("years"),
    ]


def peer_outcomes(transitions: pl.LazyFrame) -> pl.DataFrame:
    """Inspections and falls of every group of peers, by the survey year in which they became known.

    Parameters
    ----------
    transitions : pl.LazyFrame
        fct_condition_transitions. An inspection counts as soon as there is a next one, however much later.

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
        Share of all inspections that fell; None if no outcome was known.
    ratios : tuple of pl.DataFrame
        One table per factor: its columns, and `ratio`.
    """

    overall: float | None
    ratios: tuple[pl.DataFrame, ...]

    def to_json(self) -> dict[str, Any]:
        """The rates as JSON types; a number keeps its last bit."""
        return {"overall": self.overall, "ratios": [ratio.to_dict(as_series=False) for ratio in self.ratios]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` returned. Raises KeyError or a polars error for anything else."""
        ratios = (pl.DataFrame(ratio, schema={name: _PEER_TYPES[name] for name in ratio}) for ratio in values["ratios"])
        return cls(values["overall"], tuple(ratios))

    def fall_rate(self, table: pl.DataFrame) -> pl.Series:
        """The fall rate of the peers of each row, `peers_fall_rate`; null if no outcome was known.

        Parameters
        ----------
        table : pl.DataFrame
            With the columns of the factors. An unseen group gets the ratio 1.
        """
        rate, rows = pl.lit(self.overall, dtype=pl.Float64), table.lazy()
        for number, ratio in enumerate(self.ratios):
            on = [name for name in ratio.columns if name != "ratio"]
            rows = rows.join(
                ratio.lazy().rename({"ratio": f"ratio_{number}"}),
                on=on,
                how="left",
                nulls_equal=True,
                maintain_order="left",
            )
            rate = rate * pl.col(f"ratio_{number}").fill_null(1.0)
        return rows.with_columns(rate.clip(0, 1).alias(PEERS_FALL_RATE)).collect()[PEERS_FALL_RATE]


def peer_fall_rates(
    outcomes: pl.DataFrame, survey_year: int, factors: Sequence[tuple[str, ...]] = PEER_FACTORS
) -> PeerRates:
    """The rates of all groups as known from the files up to one survey year.

    Parameters
    ----------
    outcomes : pl.DataFrame
        `peer_outcomes` of any years; those that became known later are ignored.
    survey_year : int
    factors : sequence of tuple of str
        Columns of `peer_outcomes` that make up a group, one factor each.
    """
    known = outcomes.filter(pl.col("known_in") <= survey_year)
    if known.is_empty():
        return PeerRates(None, ())
    overall = float(known.select(pl.col("falls").sum() / pl.col("inspections").sum()).item())
    known = known.with_columns((pl.col("inspections") * overall).alias("expected"))
    ratios = []
    for factor in factors:
        shrunk_ratio = (pl.col("falls").sum() + PRIOR_FALLS) / (pl.col("expected").sum() + PRIOR_FALLS)
        # Keep the order: floating-point sums depend on it.
        ratio = known.group_by(factor, maintain_order=True).agg(shrunk_ratio.alias("ratio"))
        known = known.join(ratio, on=factor, how="left", nulls_equal=True, maintain_order="left").select(
            *known.columns[:-1], pl.col("expected") * pl.col("ratio")
        )
        ratios.append(ratio)
    return PeerRates(overall, tuple(ratios))
