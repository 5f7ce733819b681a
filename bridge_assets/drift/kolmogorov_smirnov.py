"""The two-sample Kolmogorov-Smirnov statistic of large samples: the largest gap between their cumulative shares.

A feature of 620,000 bridges rarely has more than some ten thousand distinct values, and counting them takes a quarter
of the time of sorting them. Only where there are more, both samples are sorted and merged.

Belongs here: arrays in, numbers out. Does not belong here: the other distances (`counts`), and what counts as drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bridge_assets.compiled import cached_njit

#: Tables in which values are counted, one after the other until one is large enough: bits of the number of slots, and
#: counters for each slot. The first fits into the processor's first cache, the last, for up to 65,536 distinct values,
#: into the third; beyond, sorting is as fast.
_TABLES = ((10, 4), (14, 2), (17, 1))

#: Bits of float64: -0, infinity, everything but the sign, and a NaN that marks a free slot (IEEE 754).
_NEGATIVE_ZERO, _INFINITY = np.int64(-(2**63)), np.int64(0x7FF0_0000_0000_0000)
_WITHOUT_SIGN, _FREE = np.int64(2**63 - 1), np.int64(-1)

#: 2^64 divided by the golden ratio: multiplicative hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4).
_FIBONACCI = np.uint64(0x9E37_79B9_7F4A_7C15)

#: Sample size up to which scipy's `auto` computes the exact p-value.
_EXACT_MAX_ROWS = 10_000


def sorted_sample(values: np.ndarray) -> np.ndarray:
    """The values as sorted float64, without NaN."""
    values = np.asarray(values, dtype=np.float64)
    return np.sort(values[~np.isnan(values)])


def ks_statistic(one: np.ndarray, other: np.ndarray) -> float:
    """The two-sample Kolmogorov-Smirnov statistic.

    Parameters
    ----------
    one, other : ndarray, shape (n,) and (m,)
        From `sorted_sample`; neither is empty.

    Returns
    -------
    float
        0 (the same distribution) to 1 (no overlap); that of `scipy.stats.ks_2samp` to 1e-12.
    """
    _require_values(one, other)
    return _largest_gap(one, other) / (one.size * other.size)


def ks_of_values(one: np.ndarray, other: np.ndarray) -> float:
    """`ks_statistic` of two samples in any order.

    Parameters
    ----------
    one, other : ndarray, shape (n,) and (m,)
        Numbers; NaN is ignored. The fastest are contiguous float64 arrays.

    Raises
    ------
    ValueError
        If a side has no values.
    """
    samples = [np.ascontiguousarray(side, dtype=np.float64) for side in (one, other)]
    for table_bits, lanes in _TABLES:
        keys = np.full(1 << table_bits, _FREE, dtype=np.int64)
        counts = np.zeros((2, (1 << table_bits) * lanes), dtype=np.int32)
        distinct = 0
        for side, into in zip(samples, counts, strict=True):
            if distinct >= 0:
                distinct = _count_values(side.view(np.int64), keys, into, lanes, distinct, 64 - table_bits)
        if distinct >= 0:
            break
    else:  # too many distinct values to count
        return ks_statistic(*map(sorted_sample, samples))
    used = np.flatnonzero(keys != _FREE)
    order = used[np.argsort(keys[used].view(np.float64))]
    first, second = counts.reshape(2, -1, lanes)[:, order].sum(axis=2, dtype=np.int64).cumsum(axis=1)
    if not (order.size and first[-1] and second[-1]):
        _require_values(np.empty(0), np.empty(0))
    n, m = int(first[-1]), int(second[-1])
    return int(np.abs(first * m - second * n).max()) / (n * m)


def ks_of_columns(pairs: Sequence[tuple[np.ndarray, np.ndarray]], threads: int = 1) -> list[float]:
    """`ks_of_values` of several columns, on several threads at once."""
    if threads == 1:
        return [ks_of_values(one, other) for one, other in pairs]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ks_of_values, *zip(*pairs, strict=True)))


def ks_test(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Statistic and p-value of `scipy.stats.ks_2samp`, the statistic faster: parameters as for `ks_of_values`.

    The p-value is exact up to 10,000 rows and asymptotic beyond, as there.
    """
    from scipy.stats import ks_2samp, kstwo

    one, other = (side[~np.isnan(side)] for side in (one, other))
    _require_values(one, other)
    if max(one.size, other.size) <= _EXACT_MAX_ROWS:
        result: Any = ks_2samp(one, other)  # untyped in scipy: the result class is created at import
        return float(result.statistic), float(result.pvalue)
    statistic = ks_of_values(one, other)
    p_value = kstwo.sf(statistic, np.round(one.size * other.size / (one.size + other.size)))
    return statistic, float(np.clip(p_value, 0, 1))


def _require_values(one: np.ndarray, other: np.ndarray) -> None:
    if not (one.size and other.size):
        raise ValueError("a side has no values, so there is nothing to compare")


@cached_njit(nogil=True)
def _count_values(bits, keys, counts, lanes, distinct, shift):
    """Count float64 values, given as their bits, in a hash table with open addressing.

    `lanes` counters for each value are used in turn: increments of one and the same counter would wait for each other.
    Returns the distinct values of this call and those before, or -1 if the table became half full.
    """
    last_slot = keys.size - 1
    for k in range(bits.size):
        value = bits[k]
        if value == _NEGATIVE_ZERO:
            value = np.int64(0)
        if (value & _WITHOUT_SIGN) > _INFINITY:  # NaN
            continue
        slot = np.int64((np.uint64(value) * _FIBONACCI) >> np.uint64(shift))
        while keys[slot] != value:
            if keys[slot] == _FREE:
                keys[slot] = value
                distinct += 1
                if distinct > keys.size // 2:
                    return -1
                break
            slot = (slot + 1) & last_slot
        counts[slot * lanes + (k & (lanes - 1))] += 1
    return distinct


@cached_njit(nogil=True)
def _largest_gap(one, other):
    """The largest difference of the cumulative counts, each times the size of the other sample: exact integers."""
    n, m = one.size, other.size
    i, j, largest = 0, 0, 0
    while i < n and j < m:
        value = min(one[i], other[j])
        while i < n and one[i] == value:
            i += 1
        while j < m and other[j] == value:
            j += 1
        largest = max(largest, abs(i * m - j * n))
    return largest  # what is left of one sample only closes the gap
