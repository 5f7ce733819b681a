"""A regression's figures by group: the counterpart of `groups.GroupFigures`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.models.change_calibration import mean_interval
from bridge_assets.models.change_scores import change_scores
from bridge_assets.models.groups import Group, meaning, said_too_small

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.settings import EvaluationSettings


@dataclass(frozen=True, slots=True)
class ChangeFigures(Group):
    """The figures of expected changes, in points of the rating; negative = worse.

    Attributes
    ----------
    spearman, rmse : float or None
        None where the group is too small.
    """

    HEAD = ("expected change", "mean change (95 %)", "rank correlation", "RMSE")
    FOOT = "the expected change lies outside the interval of the mean change."

    spearman: float | None
    rmse: float | None

    @property
    def loss(self) -> float | None:
        return self.rmse

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
        too_small,
        None if too_small else figures.spearman,
        figures.rmse if count >= settings.least_inspections else None,
    )
