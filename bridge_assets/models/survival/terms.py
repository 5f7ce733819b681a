"""What the rates of `survival` are made of: which features move with time, which stay, and how each enters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.data.features.history import CONDITION, HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import polars as pl

    from bridge_assets.data.features.normalization import Normalization

#: Features that move with time have terms of their own; the first two in the chain, age in `aging`.
TIME_VARYING_FEATURES = ("condition", "years_in_condition", "age", "age_since_work")

#: Counted from where the files begin, so that they grow with the years on file and not with the structure: what they
#: meant in the years of training they do not mean later. The rate of the peers, among them, is a rate of its own: it
#: moves with condition and time in it.
FILE_HISTORY_FEATURES = ("falls_so_far", "rises_so_far", "months_since_previous", *(each.name for each in HISTORY))

#: What is known of the present condition alone, and what stays with the structure.
CONDITION_FEATURES = tuple(
    each.name for each in CONDITION if each.name not in (*TIME_VARYING_FEATURES, *FILE_HISTORY_FEATURES)
)
STATIC_FEATURES = tuple(
    name for name in FEATURE_NAMES if name not in (*TIME_VARYING_FEATURES, *FILE_HISTORY_FEATURES, *CONDITION_FEATURES)
)

#: Ages, in years, at which the effect of age may change its slope; beyond the last one it stays what it is.
AGE_KNOTS = (0.0, 15.0, 30.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True, slots=True)
class HingeTerm:
    """A term of the logarithm of the rate: a feature on the model's scale, or how far it lies above a knot.

    Attributes
    ----------
    feature : str
    low, high : float
        Values beyond these count as these: nothing is extrapolated.
    knot : float or None
    """

    feature: str
    low: float
    high: float
    knot: float | None = None

    def values(self, scaled: np.ndarray) -> np.ndarray:
        """The term for values of its feature, (n,) -> (n,), float64."""
        import numpy as np

        inside = np.clip(scaled.astype(np.float64), self.low, self.high)
        return inside if self.knot is None else np.maximum(0.0, inside - self.knot)


def years_in_condition(features: pl.DataFrame) -> np.ndarray:
    """Years in the condition as far as the files show them; 0 where no inspection does."""
    return features["years_in_condition"].cast(float).fill_null(0.0).clip(lower_bound=0.0).to_numpy()


def onset_observed(features: pl.DataFrame) -> np.ndarray:
    """Whether an earlier inspection saw another condition; else the time in it is cut off where the files begin."""
    import polars as pl

    moves = pl.col("falls_so_far").fill_null(0) + pl.col("rises_so_far").fill_null(0)
    return features.select((moves > 0) & pl.col("years_in_condition").is_not_null()).to_series().to_numpy()


def structure_age(features: pl.DataFrame, normalization: Normalization) -> np.ndarray:
    """Years since built or reconstructed; the training median where they are not known."""
    median = normalization.fill[normalization.features.index("age_since_work")]
    return features["age_since_work"].cast(float).fill_null(median).to_numpy()


def age_basis(ages: np.ndarray) -> np.ndarray:
    """Years, in tens, lived in each stretch between two `AGE_KNOTS`; (n,) -> (n, 5)."""
    import numpy as np

    begin, end = np.array(AGE_KNOTS[:-1]), np.array(AGE_KNOTS[1:])
    return (np.clip(ages[:, None], begin, end) - begin) / 10


def term_columns(terms: tuple[HingeTerm, ...], scaled: pl.DataFrame) -> Iterator[np.ndarray]:
    """Each term for every row of a table on the model's scale."""
    for term in terms:
        yield term.values(scaled[term.feature].to_numpy())


def linear_predictor(weighted: tuple[tuple[HingeTerm, float], ...], scaled: pl.DataFrame) -> np.ndarray:
    """Sum of terms times their coefficients for every row of a table on the model's scale, (n,)."""
    import numpy as np

    total = np.zeros(scaled.height)
    for (_, weight), column in zip(weighted, term_columns(tuple(term for term, _ in weighted), scaled), strict=True):
        total += weight * column
    return total
