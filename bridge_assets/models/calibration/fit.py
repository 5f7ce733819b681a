"""Fits the odds ratios by rating on the training inspections, so that expected falls are observed falls.

Probabilities are out of bag: each inspection gets the mean over the trees that were not trained on it. First, the ratio
of each rating is fitted on all training inspections: this corrects what the forest smooths over. Then the level, and
the level of each rating, are fitted again on the last inspection cycle alone (`split.usual_interval` survey years: two
where most bridges are inspected every 24 months): how often ratings fall changes from year to year, and the last years
known are the best guess at the next ones.

Both are penalised logistic regressions: a rating with few falls keeps the ratio of the others. The penalty is the
precision of a normal prior on the log odds. Over eight rolling origins of real deck ratings (`python -m benchmarks
massachusetts_origins`), penalties from 1 to 15 give ratios of expected to observed falls within 0.04 of each other for
every rating of 6 and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.calibration.rating_odds import RatingOdds
from bridge_assets.models.dataset.split import usual_interval

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

#: Precision of the prior on the log odds of a rating, over all years: a standard deviation of 1, a factor of 2.7.
RATING_PENALTY = 1.0

#: The same for what the last cycle differs by: a standard deviation of 0.5, a factor of 1.6.
LAST_CYCLE_PENALTY = 4.0

#: Version of this procedure; part of what identifies a model version (`train_forest.training_recipe`).
PROCEDURE = 1

#: Probabilities are kept this far from 0 and 1 while log odds are fitted.
_MARGIN = 1e-4


def rating_odds(
    probability: np.ndarray, train: pl.DataFrame, matrix: np.ndarray, features: Sequence[str]
) -> RatingOdds | None:
    """Fit one odds ratio for each rating.

    Parameters
    ----------
    probability : np.ndarray, shape (n,)
        Out-of-bag probabilities of a fall; NaN for an inspection that all trees were trained on.
    train : pl.DataFrame
        The n training inspections: `fall`, `rating`, `survey_year`; without `next_survey_year`, a cycle is one year.
    matrix : np.ndarray, shape (n, n_features)
        Their features, on the model's scale.
    features : sequence of str

    Returns
    -------
    RatingOdds or None
        None where no feature is the rating, or there is only one rating.
    """
    import numpy as np

    found = rating_feature(train["rating"].to_numpy(), matrix) if "rating" in train.columns else None
    if found is None:
        return None
    column, levels = found
    known = np.isfinite(probability)
    place = np.searchsorted(levels, matrix[known, column])
    falls, odds = train["fall"].to_numpy()[known].astype(float), log_odds(probability[known], _MARGIN)
    correction = _offsets(odds, falls, place, len(levels), RATING_PENALTY)
    years = train["survey_year"].to_numpy()[known]
    cycle = usual_interval(train) if "next_survey_year" in train.columns else 1
    last = years > years.max(initial=0) - cycle
    corrected = odds + correction[place]
    correction += _offsets(corrected[last], falls[last], place[last], len(levels), LAST_CYCLE_PENALTY)
    cuts = ((levels[1:] + levels[:-1]) / 2).astype(np.float32)
    return RatingOdds(features[column], cuts, np.exp(correction).astype(np.float32))


def rating_feature(ratings: np.ndarray, matrix: np.ndarray) -> tuple[int, np.ndarray] | None:
    """The column that is the rating on another scale, and its value for each rating, ascending; None if there is none.

    Parameters
    ----------
    ratings : np.ndarray, shape (n,)
        In natural units.
    matrix : np.ndarray, shape (n, n_features)
    """
    import numpy as np

    values, first, place = np.unique(ratings, return_index=True, return_inverse=True)
    if len(values) < 2 or np.isnan(values).any():
        return None
    for column in range(matrix.shape[1]):
        levels = matrix[first, column]
        if (np.diff(levels) > 0).all() and (matrix[:, column] == levels[place]).all():
            return column, levels
    return None


def _offsets(log_odds: np.ndarray, falls: np.ndarray, place: np.ndarray, count: int, penalty: float) -> np.ndarray:
    """What to add to the log odds at each rating, shape (count,): Newton's method on the penalised likelihood of one
    common offset and one of each rating.
    """
    import numpy as np

    groups = np.zeros((count, count + 1))
    groups[:, 0] = 1.0
    groups[np.arange(count), 1 + np.arange(count)] = 1.0
    beta = np.zeros(count + 1)
    for _ in range(50):
        expected = 1 / (1 + np.exp(-(log_odds + (groups @ beta)[place])))
        residual = np.bincount(place, falls - expected, count)
        weight = np.bincount(place, expected * (1 - expected), count)
        step = np.linalg.solve(
            (groups.T * weight) @ groups + penalty * np.eye(count + 1), groups.T @ residual - penalty * beta
        )
        beta += np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    return groups @ beta


def log_odds(probability: np.ndarray, margin: float) -> np.ndarray:
    """The log odds of probabilities that are kept `margin` away from 0 and 1."""
    import numpy as np

    clipped = np.clip(probability, margin, 1 - margin)
    return np.log(clipped / (1 - clipped))
