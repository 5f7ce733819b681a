"""When a distance counts: thresholds learned from the reference years, with a floor for effect and one for chance.

    threshold = the largest of
        margin x the distance that the reference years let one expect (`Periods.expected`)
        the least effect that matters
        the distance that chance alone exceeds once in a million comparisons of so many bridges

A p-value decides nothing: at national size every difference is significant. The floor for chance works the other way:
it keeps a state of a few hundred bridges from drifting by accident.

Belongs here: numbers. Does not belong here: which groups and years are compared (`features`, `codes`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.drift.counts import PSI_BINS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge_assets.drift.periods import Periods

#: Values of `measure` in drift_report, for numbers and for codes.
KS, WASSERSTEIN, PSI, MISSING, TOTAL_VARIATION = (
    "kolmogorov_smirnov",
    "wasserstein",
    "stability_index",
    "missing_share",
    "total_variation",
)
NUMBER_MEASURES = (KS, WASSERSTEIN, PSI, MISSING)

#: Probability with which chance alone may exceed the floor in one comparison. A national year makes some 15,000
#: comparisons, so that chance raises one false alarm in about 70 years.
CHANCE = 1e-6

#: Kolmogorov's limiting distribution: P(D > c sqrt(1/n + 1/m)) is about 2 exp(-2 c^2).
_KS_CHANCE = math.sqrt(-math.log(CHANCE / 2) / 2)

#: Two-sided quantile of the normal distribution for CHANCE (`scipy.stats.norm.isf(5e-7)`).
_NORMAL_CHANCE = 4.8916

#: Upper quantile of chi-squared with PSI_BINS - 1 = 9 degrees of freedom for CHANCE (`scipy.stats.chi2.isf(1e-6, 9)`):
#: PSI divided by (1/n + 1/m) has that distribution in large samples (Yurdakul, Statistical Properties of Population
#: Stability Index, 2018).
_PSI_CHANCE = 44.8109
assert PSI_BINS == 10

#: A normal distribution shifted by 0.125 of its standard deviation has a Kolmogorov-Smirnov distance of 0.05, so that
#: 2.5 times `least` standard deviations are the Wasserstein distance that corresponds to `least`.
WASSERSTEIN_FACTOR = 2.5

#: `least` is 0.05, and a PSI below 0.1 is usually read as stable (Siddiqi, Credit Risk Scorecards, 2006).
PSI_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """The two sides of a comparison.

    Attributes
    ----------
    reference, year : int
        Bridges in each.
    deviation : float
        Standard deviation of the reference, in the unit of the column; 1 for codes.
    codes : int
        Number of different codes; 1 for numbers.
    missing_share : float
        Share of missing values in both sides together.
    """

    reference: int
    year: int
    deviation: float = 1.0
    codes: int = 1
    missing_share: float = 0.0


def chance_floor(measure: str, sizes: Sizes) -> float:
    """The value of a measure that chance exceeds with probability `CHANCE` if nothing changed."""
    if not (sizes.reference and sizes.year):
        return 0.0
    spread = 1 / sizes.reference + 1 / sizes.year
    if measure == KS:
        return _KS_CHANCE * math.sqrt(spread)
    if measure == WASSERSTEIN:
        return _NORMAL_CHANCE * sizes.deviation * math.sqrt(spread)
    if measure == PSI:
        return _PSI_CHANCE * spread
    if measure == MISSING:
        share = sizes.missing_share
        return _NORMAL_CHANCE * math.sqrt(share * (1 - share) * spread)
    # Total variation: its mean is at most half the square root of (codes - 1) x spread, and by McDiarmid's inequality
    # it exceeds its mean by t with a probability of at most exp(-2 t^2 / spread).
    return math.sqrt(spread) * (math.sqrt(sizes.codes - 1) / 2 + math.sqrt(-math.log(CHANCE) / 2))


def least_effect(measure: str, least: float, deviation: float) -> float:
    """The smallest value of a measure that matters, from `least`, which is a difference of shares."""
    if measure == WASSERSTEIN:
        return WASSERSTEIN_FACTOR * least * deviation
    return PSI_FACTOR * least if measure == PSI else least


@dataclass(frozen=True, slots=True)
class Limits:
    """What was learned from the reference years about one measure of one column in one group of bridges.

    Attributes
    ----------
    measure : str
    distances : mapping
        Reference year -> its distance from the other reference years; years without a value are left out.
    periods : Periods
    """

    measure: str
    distances: Mapping[int, float]
    periods: Periods

    def thresholds(self, sizes: Sizes, survey_year: int) -> tuple[float, float]:
        """The value above which a year has drifted; and the one above which the drift of predictions is an ERROR, and
        above which a single state has drifted: there are fifty states, and each has its own ways.
        """
        settings, expected = self.periods.settings, self.periods.expected(survey_year, self.distances, self._order)
        chance = chance_floor(self.measure, sizes)
        warn, error = (
            max(margin * expected, least_effect(self.measure, least, sizes.deviation), chance)
            for margin, least in (
                (settings.margin, settings.least),
                (settings.error_margin, settings.error_least),
            )
        )
        return warn, error

    @property
    def _order(self) -> int:
        return 2 if self.measure == PSI else 1
