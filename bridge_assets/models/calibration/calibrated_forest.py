"""scikit-learn's random forest with probabilities corrected by rating.

Belongs here: the class, whose module path is part of saved models. Import it inside functions: it imports scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from bridge_assets.models.calibration.rating_odds import RatingOdds
from bridge_assets.models.dataset.matrix import feature_names


class CalibratedForest(RandomForestClassifier):
    """A fitted `RandomForestClassifier` whose odds of a fall are multiplied by a ratio for each rating.

    Attributes
    ----------
    rating_odds_ : dict
        `RatingOdds.to_values`.
    """

    rating_odds_: dict[str, Any]

    @classmethod
    def of(cls, forest: RandomForestClassifier, odds: RatingOdds) -> CalibratedForest:
        """The same trees with corrected probabilities."""
        calibrated = cls(**forest.get_params(deep=False))
        vars(calibrated).update(vars(forest))
        calibrated.rating_odds_ = odds.to_values()
        return calibrated

    @property
    def rating_odds(self) -> RatingOdds:
        return RatingOdds(**self.rating_odds_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Corrected class probabilities, shape (n, n_classes), float64; `predict` follows from them."""
        odds = self.rating_odds
        values = X[odds.feature] if hasattr(X, "columns") else np.asarray(X)[:, feature_names(self).index(odds.feature)]
        return odds.apply(np.asarray(super().predict_proba(X)), np.asarray(values), np.asarray(self.classes_).tolist())

    def without_odds(self) -> RandomForestClassifier:
        """The same trees without the correction."""
        forest = RandomForestClassifier(**self.get_params(deep=False))
        vars(forest).update({name: value for name, value in vars(self).items() if name != "rating_odds_"})
        return forest


def odds_of(model: Any) -> RatingOdds | None:
    """The odds ratios of a model; None if its probabilities are not corrected."""
    return model.rating_odds if isinstance(model, CalibratedForest) else None
