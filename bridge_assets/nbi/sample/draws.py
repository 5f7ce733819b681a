"""Draws random values from tables of weights, for many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def draw_index(rng: np.random.Generator, weights: np.ndarray | Sequence[float], size: int) -> np.ndarray:
    """Draw one column index per row.

    Parameters
    ----------
    rng : numpy Generator
        One uniform number is drawn per row.
    weights : array, shape (k,) or (size, k)
        Not negative; each row has a positive sum. A single row of weights applies to all rows.
    size : int
        Number of rows.

    Returns
    -------
    array of int, shape (size,)
    """
    table = np.atleast_2d(np.asarray(weights, dtype=float))
    steps = np.cumsum(table, axis=1)
    drawn = rng.random(size)[:, None] * steps[:, -1:]
    return (drawn >= steps[:, :-1]).sum(axis=1)


def draw_code(rng: np.random.Generator, weight_of: Mapping[str, float], size: int) -> np.ndarray:
    """Draw codes with probabilities proportional to their weights: array of str, shape (size,)."""
    return np.array(list(weight_of))[draw_index(rng, list(weight_of.values()), size)]


def draw_lognormal(rng: np.random.Generator, median: np.ndarray | float, std: float, size: int) -> np.ndarray:
    """Draw lognormal values with this median and this standard deviation of the logarithm."""
    return median * np.exp(std * rng.standard_normal(size))
