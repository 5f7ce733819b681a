"""Drawing from tables of weights, many rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def draw_index(rng: np.random.Generator, weights: np.ndarray | Sequence[float], size: int) -> np.ndarray:
    """Draw a column index a row.

    Parameters
    ----------
    rng : numpy Generator
        One uniform number is taken a row.
    weights : array, shape (k,) or (size, k)
        Not negative; each row has a positive sum. One row of weights serves all rows.
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
    """Draw codes, each as often as its weight says: array of str, shape (size,)."""
    return np.array(list(weight_of))[draw_index(rng, list(weight_of.values()), size)]


def draw_lognormal(rng: np.random.Generator, middle: np.ndarray | float, spread: float, size: int) -> np.ndarray:
    """Draw lognormal values: median `middle`, standard deviation of the logarithm `std`."""
    return middle * np.exp(spread * rng.standard_normal(size))
