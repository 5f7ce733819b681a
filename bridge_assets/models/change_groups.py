"""A regression's figures by group: the counterpart of `groups.GroupFigures`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bridge_assets.models.change_calibration import mean_interval
from bridge_assets.models.change_scores import change_scores
from bridge_assets.models.groups import meaning, said_too_small

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.settings import EvaluationSettings


@dataclass(frozen=True, slots=True)
class ChangeFigures:
    """One group of held-out inspections. Changes are in points of the rating; negative = worse.

    Attributes
    ----------
    by : str
        Which grouping: a key of `groups.GROUPINGS`.
    code, meaning : str
        The group: the item's code, and what it means.
    inspections, falls : int
    expected : float
        Mean expected change.
    observed, observed_low, observed_high : float
        Mean change, and its 95 % interval.
    spearman, rmse : float or None
        None where the group is too small.
    too_small : str
        Why there are no figures, or no rank correlation; empty where there are.
    """

    HEAD: ClassVar[tuple[str, ...]] = ("expected change", "mean change (95 %)", "rank correlation", "RMSE")
    FOOT: ClassVar[str] = "the expected change lies outside the interval of the mean change."

    by: str
    code: str
    meaning: str
    inspections: int
    falls: int
    expected: float
    observed: float
    observed_low: float
    observed_high: float
    spearman: float | None
    rmse: float | None
    too_small: str

    @property
    def is_off(self) -> bool:
        """Whether the expected change lies outside what the mean change allows, in a group of sufficient size."""
        return self.rmse is not None and not self.observed_low <= self.expected <= self.observed_high

    def cells(self) -> tuple[str, ...]:
        return (
            f"{self.expected:+.3f}{' *' if self.is_off else ''}",
            f"{self.observed:+.3f} ({self.observed_low:+.3f} to {self.observed_high:+.3f})",
            (self.too_small or "-") if self.spearman is None else f"{self.spearman:.3f}",
            "" if self.rmse is None else f"{self.rmse:.4f}",
        )


def change_figures(
    by: str, code: str, change: np.ndarray, expected: np.ndarray, settings: EvaluationSettings
) -> ChangeFigures:
    """The figures of one group of inspections: how each changed, and how it was expected to."""
    count, falls = len(change), int((change < 0).sum())
    too_small = said_too_small(count, falls, settings)
    figures = change_scores(change, expected)
    return ChangeFigures(
        by,
        code,
        meaning(by, code),
        count,
        falls,
        float(expected.mean()),
        float(change.mean()),
        *mean_interval(change),
        None if too_small else figures.spearman,
        figures.rmse if count >= settings.least_inspections else None,
        too_small,
    )
