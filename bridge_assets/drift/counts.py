"""A column as its distinct values and how often each occurs, and the distances between two such columns.

Most features have few distinct values (ratings, ages, 0/1), so that counting them once serves every measure, every
state, and every comparison of one reference year with the others.

    Kolmogorov-Smirnov    largest gap between the two cumulative shares, 0 to 1: numbers and 0/1
    Wasserstein           mean distance that the values moved, in the unit of the column: numbers
    PSI                   population stability index over the deciles of the reference: numbers
    total variation       share of the rows that would have to change their code, 0 to 1: codes

Belongs here: counts in, numbers out. Does not belong here: which columns and years, and what counts as drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from bridge_assets.compiled import cached_njit

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bins of the population stability index: the deciles of the reference, as in the scorecards that it comes from.
PSI_BINS = 10

#: Share that an empty bin counts as, so that the logarithm is finite: 1 in 10,000.
PSI_LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class ValueCounts:
    """How often each value of a column occurs in one group of rows.

    Attributes
    ----------
    values : ndarray of float64, shape (k,)
        The distinct values, ascending.
    counts : ndarray of int64, shape (k,)
        Rows with each value, at least 1.
    missing : int
        Rows without a value.
    """

    values: np.ndarray
    counts: np.ndarray
    missing: int = 0

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Count an array; NaN is missing."""
        values = np.asarray(values, dtype=np.float64)
        present = values[~np.isnan(values)]
        distinct, counts = np.unique(present, return_counts=True)
        return cls(distinct, counts.astype(np.int64), values.size - present.size)

    @classmethod
    def pooled(cls, parts: Sequence[ValueCounts]) -> Self:
        """The counts of several groups together."""
        values = np.concatenate([part.values for part in parts] or [np.empty(0)])
        weights = np.concatenate([part.counts for part in parts] or [np.empty(0, np.int64)])
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
        starts = np.flatnonzero(np.diff(values, prepend=np.nan) != 0) if values.size else np.empty(0, np.int64)
        counts = np.add.reduceat(weights, starts) if values.size else weights
        return cls(values[starts], counts.astype(np.int64), sum(part.missing for part in parts))

    @cached_property
    def size(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """Rows with or without a value."""
        return self.size + self.missing

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value; NaN without rows."""
        return self.missing / self.rows if self.rows else float("nan")

    @cached_property
    def mean(self) -> float:
        """Mean value; NaN without values."""
        return float(self.values @ self.counts / self.size) if self.size else float("nan")

    @cached_property
    def deviation(self) -> float:
        """Standard deviation; NaN without values."""
        return float(np.sqrt(((self.values - self.mean) ** 2) @ self.counts / self.size)) if self.size else float("nan")

    def without(self, part: ValueCounts) -> ValueCounts:
        """The counts of the rows that are not in a part of them."""
        counts = self.counts.copy()
        counts[np.searchsorted(self.values, part.values)] -= part.counts
        kept = counts > 0
        return ValueCounts(self.values[kept], counts[kept], self.missing - part.missing)


class Distances(NamedTuple):
    """The distances of two columns of numbers.

    Attributes
    ----------
    ks : float
        0 (the same distribution) to 1 (no overlap).
    wasserstein : float
        In the unit of the column.
    psi : float
        0 = the same shares. Below 0.1 is usually read as stable, above 0.25 as a large shift (Siddiqi, Credit Risk
        Scorecards, 2006).
    """

    ks: float
    wasserstein: float
    psi: float


def compare(reference: ValueCounts, other: ValueCounts, *, is_part: bool = False) -> Distances:
    """All distances of two columns in one pass over both.

    Parameters
    ----------
    reference, other : ValueCounts
    is_part : bool
        Whether the rows of `other` are included in `reference` and are to be left out of it there.

    Raises
    ------
    ValueError
        If a side has no values.
    """
    _require_values(reference.size - other.size if is_part else reference.size, other.size)
    return Distances(*_compare(reference.values, reference.counts, other.values, other.counts, is_part))


def total_variation(reference: ValueCounts, other: ValueCounts) -> float:
    """Half the sum of the differences of the shares, 0 to 1: the share of rows that would have to change their code.

    For codes, whose order means nothing: `values` are then arbitrary numbers for the codes.

    Raises
    ------
    ValueError
        If a side has no values.
    """
    _require_values(reference.size, other.size)
    values = np.union1d(reference.values, other.values)
    shares = np.zeros((2, values.size))
    for row, side in zip(shares, (reference, other), strict=True):
        row[np.searchsorted(values, side.values)] = side.counts / side.size
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _require_values(rows: int, other_rows: int) -> None:
    if not (rows > 0 and other_rows > 0):
        raise ValueError("a side has no values, so there is nothing to compare")


@cached_njit(nogil=True)
def _compare(values, counts, other_values, other_counts, is_part):
    """One merge: the largest difference of the cumulative counts, each times the size of the other side (exact
    integers), the area between the cumulative shares, and the counts of both sides between the deciles of the first.
    """
    n, m = counts.sum(), other_counts.sum()
    n = n - m if is_part else n
    i, j, below, other_below = 0, 0, 0, 0
    gap, area, index = 0, 0.0, 0.0
    bin_start, other_bin_start, decile = 0, 0, 1
    at = min(values[0], other_values[0])
    while i < values.size or j < other_values.size:
        if j == other_values.size or (i < values.size and values[i] <= other_values[j]):
            value = values[i]
        else:
            value = other_values[j]
        area += abs(below / n - other_below / m) * (value - at)
        at = value
        here, other_here = 0, 0
        if i < values.size and values[i] == value:
            here = counts[i]
            i += 1
        if j < other_values.size and other_values[j] == value:
            other_here = other_counts[j]
            j += 1
        if is_part:
            here -= other_here
        if decile < PSI_BINS and below + here > decile * n // PSI_BINS:  # a bin begins with this value
            index += _psi_term(below - bin_start, other_below - other_bin_start, n, m)
            bin_start, other_bin_start = below, other_below
            while decile < PSI_BINS and below + here > decile * n // PSI_BINS:
                decile += 1
        below += here
        other_below += other_here
        gap = max(gap, abs(below * m - other_below * n))
    index += _psi_term(below - bin_start, other_below - other_bin_start, n, m)
    return gap / (n * m), area, index


@cached_njit(nogil=True)
def _psi_term(rows, other_rows, n, m):
    expected, found = max(rows / n, PSI_LEAST_SHARE), max(other_rows / m, PSI_LEAST_SHARE)
    return (found - expected) * np.log(found / expected)
