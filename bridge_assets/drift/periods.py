"""The reference and the analysis period: which survey years are compared with which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bridge_assets.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bridge_assets.settings import DriftSettings

#: Values of `period` in drift_report.
REFERENCE, ANALYSIS, OUTSIDE = "reference", "analysis", "outside"


@dataclass(frozen=True, slots=True)
class Periods:
    """The years of both periods.

    Attributes
    ----------
    reference : tuple of int
        Survey years to compare with, in order; at least one.
    settings : DriftSettings
    """

    reference: tuple[int, ...]
    settings: DriftSettings

    @classmethod
    def choose(cls, settings: DriftSettings, training_years: tuple[int, int], available_years: Iterable[int]) -> Self:
        """The reference years among the years that have features.

        Parameters
        ----------
        settings : DriftSettings
        training_years : tuple of (int, int)
            First and last survey year that the served model was trained on: the reference if the settings name none.
        available_years : iterable of int

        Raises
        ------
        SourceError
            If none of the available years is in the reference period.
        """
        first, last = training_years
        years = sorted(available_years)
        if settings.reference.is_set:
            chosen = [year for year in years if settings.reference.contains(year)]
            period = f"{settings.reference.first or 'the first year'} to {settings.reference.last or 'the last year'}"
            source = "drift.reference in model_config.yaml"
        else:
            chosen = [year for year in years if first <= year <= last]
            period, source = f"{first} to {last}", "the years that the served model was trained on"
        if not chosen:
            raise SourceError(
                f"No reference year has features: {period}, {source}",
                why=f"There are features of {years[0]} to {years[-1]}" if years else "No survey year has features",
                do="build bridge_features for the reference years, or set drift.reference to years that have them",
                stage="bridge_features",
            )
        return cls(tuple(chosen), settings)

    def of(self, survey_year: int) -> str:
        """`reference`, `analysis` or, if the settings limit the analysis to other years, `outside`."""
        if survey_year in self.reference:
            return REFERENCE
        return ANALYSIS if self.settings.analysis.contains(survey_year) else OUTSIDE

    def compared_with(self, survey_year: int) -> tuple[int, ...]:
        """The reference years that a year is compared with: without itself, so that no year is compared with itself."""
        return tuple(year for year in self.reference if year != survey_year)

    def expected(self, survey_year: int, distances: Mapping[int, float], order: int = 1) -> float:
        """The largest distance that the reference years let one expect of a survey year.

        It is at least their own largest distance. A slow change that was under way in the reference years goes on: the
        age of a network grows by almost a year every year. For a year beyond them the distances of the reference years
        on that side of their centre are therefore extrapolated in proportion to the distance in time.

        Parameters
        ----------
        survey_year : int
        distances : mapping
            Reference year -> its distance from the other reference years; may be empty.
        order : int
            The power with which the measure grows with a steady change: 2 for the PSI, 1 for the others.
        """
        largest = max([0.0, *distances.values()])
        if len(self.reference) < 2 or self.reference[0] <= survey_year <= self.reference[-1]:
            return largest
        centre = (self.reference[0] + self.reference[-1]) / 2
        is_later = survey_year > centre
        reach = (self.reference[-1] - self.reference[0]) / 2
        same_side = [value for year, value in distances.items() if (year > centre) is is_later]
        return max([largest, *(value * (abs(survey_year - centre) / reach) ** order for value in same_side)])

    @property
    def text(self) -> str:
        """`2006 to 2018`, for messages."""
        first, last = self.reference[0], self.reference[-1]
        return f"{first} to {last}" if last > first else str(first)
