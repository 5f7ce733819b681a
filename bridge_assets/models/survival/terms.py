"""The terms of the deterioration model: which features change with time, which stay constant, and how each enters."""

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

#: Features that change with time have their own terms: the first two in `markov`, age in `age_basis`.
TIME_VARYING_FEATURES = ("condition", "years_in_condition", "age", "age_since_work")

#: Counted from the beginning of the files, so they grow with the years on file and do not describe the structure: their
#: meaning in the training years does not hold later. The rate of similar bridges is among them because it changes with
#: condition and time in condition.
FILE_HISTORY_FEATURES = ("falls_so_far", "rises_so_far", "months_since_previous", *(each.name for each in HISTORY))

#: Features of the present condition only, and features that stay with the structure.
CONDITION_FEATURES = tuple(
    each.name for each in CONDITION if each.name not in (*TIME_VARYING_FEATURES, *FILE_HISTORY_FEATURES)
)
STATIC_FEATURES = tuple(
    name for name in FEATURE_NAMES if name not in (*TIME_VARYING_FEATURES, *FILE_HISTORY_FEATURES, *CONDITION_FEATURES)
)

#: Ages, in years, at which the effect of age may change its slope; beyond the last one it is constant.
AGE_KNOTS = (0.0, 15.0, 30.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True, slots=True)
class HingeTerm:
    """A term of the log rate: a feature on the model's scale, or its excess over a knot.

    Attributes
    ----------
    feature : str
    low, high : float
        Values are clipped to these: nothing is extrapolated.
    knot : float or None
        None for the linear term.
    """

    feature: str
    low: float
    high: float
    knot: float | None = None

    def values(self, scaled: np.ndarray) -> np.ndarray:
        """The value of the term for values of its feature, (n,) -> (n,), float64."""
        import numpy as np

        inside = np.clip(scaled.astype(np.float64), self.low, self.high)
        return inside if self.knot is None else np.maximum(0.0, inside - self.knot)


def years_in_condition(features: pl.DataFrame) -> np.ndarray:
    """Years in the condition, as far as the files show; 0 where not known."""
    return features["years_in_condition"].cast(float).fill_null(0.0).clip(lower_bound=0.0).to_numpy()


def onset_observed(features: pl.DataFrame) -> np.ndarray:
    """Whether an earlier inspection found another condition; if not, the time in it is truncated by the files."""
    import polars as pl

    changes = pl.col("falls_so_far").fill_null(0) + pl.col("rises_so_far").fill_null(0)
    return features.select((changes > 0) & pl.col("years_in_condition").is_not_null()).to_series().to_numpy()


def share_of_rises(features: pl.DataFrame) -> np.ndarray:
    """Share of rises among the changes of condition on file, (n,); 0 without any. Rates after a rise are higher."""
    falls, rises = (features[name].cast(float).fill_null(0.0).to_numpy() for name in ("falls_so_far", "rises_so_far"))
    return rises / (falls + rises).clip(min=1.0)


def structure_age(features: pl.DataFrame, normalization: Normalization) -> np.ndarray:
    """Years since built or reconstructed; the training median where not known."""
    median = normalization.fill[normalization.features.index("age_since_work")]
    return features["age_since_work"].cast(float).fill_null(median).to_numpy()


def age_basis(ages: np.ndarray) -> np.ndarray:
    """Tens of years spent in each span between two `AGE_KNOTS`; (n,) -> (n, 5)."""
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
