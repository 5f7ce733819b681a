"""Metrics by state, material, owner and condition: where the model can be trusted, and where there is too little data.

The group keys are read from the records; they need not be features of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from bridge_assets.markdown import Markup, table
from bridge_assets.models.metrics.change import change_metrics
from bridge_assets.models.metrics.change_calibration import mean_interval
from bridge_assets.models.metrics.probability import roc_auc, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import polars as pl

    from bridge_assets.data.lake import Lake
    from bridge_assets.settings import EvaluationSettings

_Group = TypeVar("_Group", "FallGroupMetrics", "ChangeGroupMetrics")

#: Column of the group keys -> label, and NBI item.
GROUPINGS = {
    "state": ("state", "1"),
    "material": ("material", "43A"),
    "owner": ("owner", "22"),
    "condition": ("condition", "58-60, 62"),
}

_ITEM_OF_GROUPING = {"state": "STATE_CODE_001", "material": "STRUCTURE_KIND_043A", "owner": "OWNER_022"}


@dataclass(frozen=True, slots=True)
class GroupMetrics:
    """One group of held-out inspections: predicted and observed.

    Attributes
    ----------
    grouping : str
        Which grouping: a key of `GROUPINGS`.
    code, meaning : str
        The group: the code of the item, and its meaning.
    inspections, falls : int
    expected : float
        Mean prediction.
    observed, observed_low, observed_high : float
        Mean outcome, and its 95 % interval.
    skipped_reason : str
        Why metrics are missing; empty if all are there.
    """

    #: Headings of `table_cells`, and the meaning of the asterisk.
    COLUMN_HEADINGS: ClassVar[tuple[str, ...]]
    FOOTNOTE: ClassVar[str]

    grouping: str
    code: str
    meaning: str
    inspections: int
    falls: int
    expected: float
    observed: float
    observed_low: float
    observed_high: float
    skipped_reason: str

    @property
    def loss(self) -> float | None:
        """Mean error of the predictions; None where the group is too small."""
        raise NotImplementedError

    @property
    def is_miscalibrated(self) -> bool:
        """Whether the mean prediction is outside the interval of the mean outcome, in a group that is large enough."""
        return self.loss is not None and not self.observed_low <= self.expected <= self.observed_high

    def table_cells(self) -> tuple[str, ...]:
        """The values as table cells."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FallGroupMetrics(GroupMetrics):
    """Metrics of probabilities: `expected` is the mean probability, `observed` the share that fell (Wilson interval).

    Attributes
    ----------
    auc, brier : float or None
        None where the group is too small.
    """

    COLUMN_HEADINGS = ("mean probability", "share that fell (95 %)", "expected / observed", "AUC", "Brier")
    FOOTNOTE = "the mean probability is outside the interval of the share that fell."

    auc: float | None
    brier: float | None

    @property
    def loss(self) -> float | None:
        return self.brier

    def table_cells(self) -> tuple[str, ...]:
        return (
            f"{self.expected:.1%}{' *' if self.is_miscalibrated else ''}",
            f"{self.observed:.1%} ({self.observed_low:.1%} to {self.observed_high:.1%})",
            f"{self.expected / self.observed:.2f}" if self.falls else "-",
            (self.skipped_reason or "-") if self.auc is None else f"{self.auc:.3f}",
            "" if self.brier is None else f"{self.brier:.4f}",
        )


@dataclass(frozen=True, slots=True)
class ChangeGroupMetrics(GroupMetrics):
    """Metrics of expected changes, in points of the rating; negative = worse.

    Attributes
    ----------
    spearman, rmse : float or None
        None where the group is too small.
    """

    COLUMN_HEADINGS = ("expected change", "mean change (95 %)", "rank correlation", "RMSE")
    FOOTNOTE = "the expected change is outside the interval of the mean change."

    spearman: float | None
    rmse: float | None

    @property
    def loss(self) -> float | None:
        return self.rmse

    def table_cells(self) -> tuple[str, ...]:
        return (
            f"{self.expected:+.3f}{' *' if self.is_miscalibrated else ''}",
            f"{self.observed:+.3f} ({self.observed_low:+.3f} to {self.observed_high:+.3f})",
            (self.skipped_reason or "-") if self.spearman is None else f"{self.spearman:.3f}",
            "" if self.rmse is None else f"{self.rmse:.4f}",
        )


def group_keys(holdout: pl.DataFrame, lake: Lake) -> pl.DataFrame:
    """State, material, owner and condition of each inspection, as text.

    Parameters
    ----------
    holdout : pl.DataFrame
        With structure_key, survey_year and `rating`, the condition (or the component's rating) in natural units.
    lake : Lake
        With raw_bridges of those survey years.

    Returns
    -------
    pl.DataFrame
        The columns of `GROUPINGS`, String, one row for each row of `holdout`, in its order; `?` where a code is
        missing.
    """
    import polars as pl

    from bridge_assets.data.records.structures import one_record_per_structure

    columns = ["survey_year", "structure_key", "on_structure", "inspection_date", "line_number"]
    items = [_ITEM_OF_GROUPING["material"], _ITEM_OF_GROUPING["owner"]]
    wanted = holdout.lazy().select("structure_key", "survey_year")
    found = [
        one_record_per_structure(
            lake.scan_year("raw_bridges", year)
            .select(*columns, *(pl.col(item).cast(pl.String) for item in items))
            .join(wanted.filter(pl.col("survey_year") == year), on="structure_key", how="semi")
        ).select("structure_key", pl.lit(year, dtype=pl.Int16).alias("survey_year"), *items)
        for year in holdout["survey_year"].unique().sort()
    ]
    records = (
        pl.concat(found).collect()
        if found
        else pl.DataFrame(
            schema={"structure_key": pl.String, "survey_year": pl.Int16, **dict.fromkeys(items, pl.String)}
        )
    )
    joined = holdout.select("structure_key", pl.col("survey_year").cast(pl.Int16), "rating").join(
        records, on=["structure_key", "survey_year"], how="left", maintain_order="left"
    )
    without_zeros = {
        name: pl.col(_ITEM_OF_GROUPING[name]).str.strip_chars().str.strip_chars_start("0") for name in _ITEM_OF_GROUPING
    }
    return joined.select(
        state=pl.col("structure_key").str.slice(0, 2),
        material=pl.when(pl.col(_ITEM_OF_GROUPING["material"]).is_not_null())
        .then(without_zeros["material"].replace("", "0"))
        .otherwise(pl.lit("?")),
        owner=pl.when(without_zeros["owner"] != "").then(without_zeros["owner"].str.zfill(2)).otherwise(pl.lit("?")),
        condition=pl.col("rating").cast(pl.Int8).cast(pl.String).fill_null("?"),
    )


def fall_group_metrics(
    by: str, code: str, falls: np.ndarray, probability: np.ndarray, settings: EvaluationSettings
) -> FallGroupMetrics:
    """Metrics of one group of inspections, from outcomes and probabilities of a fall."""
    count, hits = len(falls), int(falls.sum())
    low, high = wilson_interval(hits, count)
    too_small = too_small_reason(count, hits, settings)
    is_large_enough = count >= settings.least_inspections
    return FallGroupMetrics(
        by,
        code,
        code_meaning(by, code),
        count,
        hits,
        float(probability.mean()),
        hits / count,
        low,
        high,
        too_small,
        None if too_small else roc_auc(falls, probability),
        float(((probability - falls) ** 2).mean()) if is_large_enough else None,
    )


def metrics_by_group(
    outcomes: np.ndarray,
    predictions: np.ndarray,
    keys: pl.DataFrame,
    settings: EvaluationSettings,
    compute_metrics: Callable[[str, str, np.ndarray, np.ndarray, EvaluationSettings], _Group] = fall_group_metrics,
) -> list[_Group]:
    """Metrics of every group, grouping by grouping, the largest group first.

    Parameters
    ----------
    outcomes : np.ndarray, shape (n,)
        Whether each inspection found a fall, or another outcome that `compute_metrics` takes.
    predictions : np.ndarray, shape (n,)
        The predicted probability or change.
    keys : pl.DataFrame
        n rows, one column per grouping: the result of `group_keys`.
    settings : EvaluationSettings
        Minimum size of a group.
    compute_metrics : callable
        Computes the metrics of one group: `fall_group_metrics` or `change_group_metrics`.
    """
    import numpy as np

    found = []
    for by in keys.columns:
        codes = keys[by].to_numpy()
        rows = {str(code): codes == code for code in np.unique(codes)}
        groups = [compute_metrics(by, code, outcomes[each], predictions[each], settings) for code, each in rows.items()]
        found += sorted(groups, key=lambda group: (-group.inspections, group.code))
    return found


def too_small_reason(inspections: int, falls: int, settings: EvaluationSettings) -> str:
    """Why a group is too small for all metrics; empty if it is not."""
    if inspections < settings.least_inspections:
        return f"fewer than {settings.least_inspections} inspections"
    return f"fewer than {settings.least_falls} falls" if falls < settings.least_falls else ""


def code_meaning(by: str, code: str) -> str:
    """The meaning of a group's code: a state, a material, an owner; a condition means itself."""
    from bridge_assets.nbi.coding_guide.codes import meaning_of

    if by not in _ITEM_OF_GROUPING:
        return code
    text = meaning_of(_ITEM_OF_GROUPING[by], code) if code != "?" else "not known"
    return (text or "not in the coding guide").removesuffix(" (item 44: none)")


def groups_markdown(groups: Sequence[FallGroupMetrics] | Sequence[ChangeGroupMetrics]) -> str:
    """The groups as a Markdown table; small groups show their counts and the reason why metrics are missing."""
    kind = type(groups[0]) if groups else FallGroupMetrics
    rows = []
    for group in groups:
        name = group.meaning if group.meaning == group.code else f"{group.meaning} ({group.code})"
        cells = [Markup(cell) for cell in group.table_cells()]  # an asterisk marks a miscalibrated group
        rows.append((group.grouping, name, f"{group.inspections:,}", f"{group.falls:,}", *cells))
    header = ("by", "group", "inspections", "fell", *kind.COLUMN_HEADINGS)
    return f"{table(header, rows, 'llrr' + 'r' * len(kind.COLUMN_HEADINGS))}\n\n\\* {kind.FOOTNOTE}"


def change_group_metrics(
    by: str, code: str, change: np.ndarray, expected: np.ndarray, settings: EvaluationSettings
) -> ChangeGroupMetrics:
    """Metrics of one group of inspections, from observed and expected changes in points."""
    count, falls = len(change), int((change < 0).sum())
    too_small = too_small_reason(count, falls, settings)
    figures = change_metrics(change, expected)
    return ChangeGroupMetrics(
        by,
        code,
        code_meaning(by, code),
        count,
        falls,
        float(expected.mean()),
        float(change.mean()),
        *mean_interval(change),
        too_small,
        None if too_small else figures.spearman,
        figures.rmse if count >= settings.least_inspections else None,
    )
