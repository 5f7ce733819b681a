"""The two distributions of a column, the reference years and a survey year, in the form in which they are drawn.

Belongs here: counts in, bins and the place of the largest gap out. Does not belong here: pixels (`charts`), sentences
(`sections`), and which columns are shown (`inputs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bridge_assets.drift.counts import ValueCounts

#: A column with at most this many values is drawn value by value: ratings, codes, counts, yes and no.
MAX_SINGLE_VALUES = 12

#: Bins of all other columns.
BINS = 28

#: Share of the values at each end that is gathered in the first and the last bin, so that a few extreme values do not
#: press all others together.
TAIL = 0.005


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin, or one value.

    Attributes
    ----------
    low, high : float
        Equal for a single value. Values below the first and above the last bin are included in these.
    reference, year : float
        Shares of the bridges with a value, 0 to 1.
    """

    low: float
    high: float
    reference: float
    year: float


class CodeShare(NamedTuple):
    """One code of an item and its shares of the bridges before and in the survey year, 0 to 1."""

    code: str
    before: float
    year: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Both distributions of a column.

    Attributes
    ----------
    name : str
    bins : tuple of Bin
        In order; empty if a side has no value.
    gap_at : float
        The value at which the shares of bridges at or below it differ most.
    reference_below, year_below : float
        These shares.
    reference_median, year_median : float
    reference_missing, year_missing : float
        Shares of all bridges.
    is_whole : bool
        Whether all values are whole numbers.
    """

    name: str
    bins: tuple[Bin, ...]
    gap_at: float
    reference_below: float
    year_below: float
    reference_median: float
    year_median: float
    reference_missing: float
    year_missing: float
    is_whole: bool = False

    @property
    def has_single_values(self) -> bool:
        """Whether each bin is one value."""
        return all(each.low == each.high for each in self.bins)

    @property
    def is_yes_or_no(self) -> bool:
        """Whether there are no other values than 0 and 1."""
        return self.has_single_values and {each.low for each in self.bins} <= {0.0, 1.0}


def distribution_of(name: str, reference: ValueCounts, year: ValueCounts) -> Distribution:
    """Bins, medians and the largest gap of two counted columns.

    Parameters
    ----------
    name : str
        Of the feature or prediction.
    reference, year : ValueCounts
    """
    missing = reference.missing_share, year.missing_share
    if not (reference.size and year.size):
        return Distribution(name, (), np.nan, np.nan, np.nan, np.nan, np.nan, *missing)
    points = np.union1d(reference.values, year.values)
    below = [_share_below(side, points) for side in (reference, year)]
    gap = int(np.abs(below[0] - below[1]).argmax())
    bins = _single_values(points, below) if points.size <= MAX_SINGLE_VALUES else _bins(reference, year)
    medians = [float(points[np.searchsorted(shares, 0.5)]) for shares in below]
    return Distribution(
        name,
        bins,
        gap_at=float(points[gap]),
        reference_below=float(below[0][gap]),
        year_below=float(below[1][gap]),
        reference_median=medians[0],
        year_median=medians[1],
        reference_missing=missing[0],
        year_missing=missing[1],
        is_whole=_is_whole(reference) and _is_whole(year),
    )


def _share_below(side: ValueCounts, points: np.ndarray) -> np.ndarray:
    """Share of the values at or below each point."""
    cumulative = np.concatenate([[0], np.cumsum(side.counts)])
    return cumulative[np.searchsorted(side.values, points, side="right")] / side.size


def _single_values(points: np.ndarray, below: list[np.ndarray]) -> tuple[Bin, ...]:
    shares = [np.diff(each, prepend=0) for each in below]
    return tuple(
        Bin(float(value), float(value), float(before), float(now))
        for value, before, now in zip(points, *shares, strict=True)
    )


def _bins(reference: ValueCounts, year: ValueCounts) -> tuple[Bin, ...]:
    low = min(_quantile(side, TAIL) for side in (reference, year))
    high = max(_quantile(side, 1 - TAIL) for side in (reference, year))
    if high <= low:  # nearly all bridges have one value; the others are shown
        low, high = (
            float(end) for end in (min(reference.values[0], year.values[0]), max(reference.values[-1], year.values[-1]))
        )
    edges = np.linspace(low, high, BINS + 1)
    if _is_whole(reference) and _is_whole(year):  # equally many whole numbers in each bin
        width = max(1, int(np.ceil((high - low + 1) / BINS)))
        edges = np.arange(np.floor(low), high + width, width) - 0.5
        edges = np.append(edges, edges[-1] + width) if edges[-1] < high else edges
    shares = [np.diff(_share_below(side, edges[1:-1]), prepend=0, append=1) for side in (reference, year)]
    return tuple(
        Bin(float(start), float(end), float(before), float(now))
        for start, end, before, now in zip(edges[:-1], edges[1:], *shares, strict=True)
    )


def _quantile(side: ValueCounts, share: float) -> float:
    return float(side.values[np.searchsorted(np.cumsum(side.counts), share * side.size)])


def _is_whole(side: ValueCounts) -> bool:
    return bool((side.values == np.round(side.values)).all())
