"""`drift` in `model_config.yaml`: which survey years are compared with which, and when a difference counts."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from bridge_assets.settings.base import StrictModel
from bridge_assets.settings.data import FIRST_NBI_YEAR


class PeriodSettings(StrictModel):
    """A range of survey years, both included; an empty end is open."""

    first: int | None = Field(default=None, ge=FIRST_NBI_YEAR)
    last: int | None = Field(default=None, ge=FIRST_NBI_YEAR)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.first is not None and self.last < self.first:
            raise ValueError(f"last ({self.last}) must not be before first ({self.first})")
        return self

    @property
    def is_set(self) -> bool:
        """Whether at least one end is given."""
        return self.first is not None or self.last is not None

    def contains(self, survey_year: int) -> bool:
        """Whether a survey year is within the range."""
        return (self.first or survey_year) <= survey_year <= (self.last or survey_year)


class DriftSettings(StrictModel):
    """When a survey year counts as drifted from the reference years."""

    reference: PeriodSettings = Field(
        default=PeriodSettings(), description="Years to compare with; empty = the years the served model learned from."
    )
    analysis: PeriodSettings = Field(
        default=PeriodSettings(), description="Years that the checks judge; empty = all that are not in the reference."
    )
    margin: float = Field(default=1.5, gt=0, description="Factor on the largest distance between reference years.")
    least: float = Field(default=0.05, ge=0, le=1, description="Smaller distances never count as drift.")
    error_margin: float = Field(
        default=3.0,
        gt=0,
        description="As margin: beyond it the drift of predictions is an ERROR, and a state has drifted.",
    )
    error_least: float = Field(default=0.15, ge=0, le=1, description="As least, for the same.")
    state_rows: int = Field(
        default=100,
        ge=1,
        description="Fewer bridges of a state, or values of a feature, in the year or the reference are not compared.",
    )
    recoded: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Share of a state's codes that may move in one year on bridges without a new inspection.",
    )
    recoded_together: float = Field(
        default=0.8, gt=0, le=1, description="Share of all bridges of a state whose code may change in one year."
    )

    @model_validator(mode="after")
    def _errors_are_beyond_warnings(self) -> Self:
        if self.error_margin < self.margin or self.error_least < self.least:
            raise ValueError(
                f"error_margin ({self.error_margin}) and error_least ({self.error_least}) must not be below margin "
                f"({self.margin}) and least ({self.least}): an ERROR is more than a warning"
            )
        return self
