"""Years until Poor: how the condition of each structure deteriorates if nothing is repaired.

The yearly rate at which a structure's condition falls is a product: a level by condition, a power of the time in that
condition, a piecewise function of age, and a factor from the structure's other features. It is fitted to intervals
between inspections of any length (`fit`) and projected year by year (`markov`). Features that change with time (age,
time in condition, the condition itself) change in the projection too. Features that describe only the present condition
(the ratings of its components, for example) count until the condition changes; after that, the average effect after a
fall is used. All other features stay constant.

The interval shows how much the lifetimes of similar structures differ. It does not include the uncertainty of the
rates, or future changes of traffic and climate.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.data.features.definitions import FEATURE_NAMES
from bridge_assets.data.features.normalization import Normalization
from bridge_assets.errors import FeatureError, ModelFileError
from bridge_assets.models.survival.terms import (
    AGE_KNOTS,
    HingeTerm,
    age_basis,
    linear_predictor,
    onset_observed,
    share_of_rises,
    structure_age,
    years_in_condition,
)
from bridge_assets.nbi.derived import POOR_MAX
from bridge_assets.storage import write_json

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.survival.markov import TransitionRates

#: Horizons of the probability of Poor: the next inspection, the one after it, and a capital program.
HORIZONS_YEARS = (2, 4, 8)

#: Rows up to which features are scaled in an array. A chosen limit: the records of a request.
_FEW_ROWS = 1000

#: Format 1 had no `after_rise_effect`; it is read as 0.
MODEL_FORMAT = 2


@dataclass(frozen=True)
class DeteriorationModel:
    """The fitted rates.

    Attributes
    ----------
    features_digest : str
        Digest of the feature definitions it was fitted to.
    normalization : Normalization
        Of `STATIC_FEATURES`, `CONDITION_FEATURES` and `age_since_work`; of the last, only the fill value is used.
    static_terms, condition_terms : tuple of (HingeTerm, float)
        Terms and their coefficients.
    log_rate, duration_slope, unobserved_onset_effect, after_fall_effect, improvement_rate, fall_transition_shares,
    improvement_transition_shares : tuple
        As in `markov.TransitionRates`.
    duration_slope_change, max_duration_years : float
        As in `markov.TransitionRates`.
    after_rise_effect : tuple of float
        Added to the log rate in the present condition, times the share of rises among the changes on file: a condition
        that a rise led to, often half of a re-rating, falls more often than one that a fall led to.
    age_coefficients : tuple of float
        One coefficient per 10 years of age for each span between two `AGE_KNOTS`.
    intervals, falls : int
        Number of intervals it was fitted to, and of falls in them.
    years : tuple of int
        First and last survey year of those intervals.
    """

    features_digest: str
    normalization: Normalization
    static_terms: tuple[tuple[HingeTerm, float], ...]
    condition_terms: tuple[tuple[HingeTerm, float], ...]
    log_rate: tuple[float, ...]
    duration_slope: tuple[float, ...]
    duration_slope_change: float
    unobserved_onset_effect: tuple[float, ...]
    max_duration_years: float
    after_fall_effect: tuple[float, ...]
    after_rise_effect: tuple[float, ...]
    improvement_rate: tuple[float, ...]
    fall_transition_shares: tuple[tuple[float, ...], ...]
    improvement_transition_shares: tuple[tuple[float, ...], ...]
    age_coefficients: tuple[float, ...]
    intervals: int
    falls: int
    years: tuple[int, int]

    def poor_probability_by_year(self, features: pl.DataFrame, horizon: int) -> np.ndarray:
        """Probability of Poor within 0 to `horizon` years after the inspection that the features describe.

        Parameters
        ----------
        features : pl.DataFrame
            In natural units, as in bridge_features; missing values are null.
        horizon : int
            Years.

        Returns
        -------
        np.ndarray
            Shape (n, horizon + 1), float32. 1 everywhere if the condition is 4 or less already.

        Raises
        ------
        FeatureError
            If a feature is not in the table, or a condition is missing.
        """
        import numpy as np

        from bridge_assets.models.survival.markov import CurrentState, poor_probability_by_year

        if missing := [name for name in FEATURE_NAMES if name not in features.columns]:
            raise FeatureError(f"the table lacks {len(missing)} of the model's features: {', '.join(missing)}")
        if unknown := features["condition"].null_count():
            raise FeatureError(f"{unknown} structures have no condition", do="remove them from the table")
        result = np.ones((features.height, horizon + 1), dtype=np.float32)
        at_risk = (features["condition"] > POOR_MAX).to_numpy()
        at_risk_features = features.filter(at_risk)
        scaled = self._scaled(at_risk_features)
        static_log_rate = linear_predictor(self.static_terms, scaled)
        condition = at_risk_features["condition"].to_numpy().astype(np.int64)
        after_rise = np.array(self.after_rise_effect)[condition - POOR_MAX - 1] * share_of_rises(at_risk_features)
        result[at_risk] = poor_probability_by_year(
            CurrentState(
                condition=condition,
                years_in_condition=years_in_condition(at_risk_features),
                age=structure_age(at_risk_features, self.normalization),
                onset_observed=onset_observed(at_risk_features),
                current_log_rate_effect=static_log_rate + linear_predictor(self.condition_terms, scaled) + after_rise,
                later_log_rate_effect=static_log_rate,
            ),
            self.rates,
            horizon,
        )
        return result

    def _scaled(self, features: pl.DataFrame) -> pl.DataFrame:
        """The features of the terms on the model's scale; a few rows in an array, which takes a tenth of the time."""
        import polars as pl

        if features.height > _FEW_ROWS:
            return self.normalization.transform(features)
        names = list(self.normalization.features)
        return pl.DataFrame(self.normalization.row_scaler()(features.select(names).to_numpy()), schema=names)

    @cached_property
    def rates(self) -> TransitionRates:
        """The rates as arrays for `markov.poor_probability_by_year`."""
        import numpy as np

        from bridge_assets.models.survival.markov import TransitionRates

        # A year of age starts at a birthday; its rate is evaluated at the middle of that year.
        ages = np.arange(AGE_KNOTS[-1] + 1) + 0.5
        return TransitionRates(
            **{
                name: np.array(getattr(self, name), dtype=np.float64)
                for name in (
                    "log_rate",
                    "duration_slope",
                    "unobserved_onset_effect",
                    "after_fall_effect",
                    "improvement_rate",
                    "fall_transition_shares",
                    "improvement_transition_shares",
                )
            },
            duration_slope_change=self.duration_slope_change,
            max_duration_years=self.max_duration_years,
            age_effect=age_basis(ages) @ np.array(self.age_coefficients),
        )

    def save(self, path: Path) -> Path:
        """Write the model as JSON; the same model gives the same bytes."""
        return write_json({"format": MODEL_FORMAT, **asdict(self)}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ModelFileError
            If it is not a deterioration model of this format.
        OSError
            If it cannot be read.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] not in (1, MODEL_FORMAT):
                raise ValueError(f"its format is {values['format']}, this version reads 1 and {MODEL_FORMAT}")
            if values["format"] == 1:
                values["after_rise_effect"] = [0.0] * len(values["log_rate"])
            known: dict[str, Any] = {field.name: _to_tuples(values[field.name]) for field in fields(cls)}
            known["normalization"] = Normalization(**known["normalization"])
            for name in ("static_terms", "condition_terms"):
                known[name] = tuple((HingeTerm(**term), float(weight)) for term, weight in values[name])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(
                "not a deterioration model",
                where=path,
                why=str(error),
                do="fit the deterioration model again",
                stage="deterioration_model",
            ) from error
        return cls(**known)


def years_until_poor(poor: np.ndarray, interval: float) -> dict[str, np.ndarray]:
    """Summarize the probabilities by year.

    Parameters
    ----------
    poor : np.ndarray of shape (n, horizon + 1)
        Result of `DeteriorationModel.poor_probability_by_year`.
    interval : float
        Probability of the interval: 0.8 leaves 10 % on either side.

    Returns
    -------
    dict of str to np.ndarray of shape (n,)
        `low_years`, `median_years`, `high_years`: NaN if beyond the horizon. `expected_years`: the mean, with times
        beyond the horizon counted as the horizon; NaN if more than half would be, that is, if the median is NaN.
        `poor_within_<n>_years` for `HORIZONS_YEARS`, and `poor_within_horizon`.
    """
    import numpy as np

    from bridge_assets.models.survival.markov import quantile_years, restricted_mean

    tail_probability = (1 - interval) / 2
    already_poor = poor[:, 0] >= 1
    quantiles = {
        name: np.where(already_poor, 0.0, quantile_years(poor, share))
        for name, share in (
            ("low_years", tail_probability),
            ("median_years", 0.5),
            ("high_years", 1 - tail_probability),
        )
    }
    expected = np.where(np.isnan(quantiles["median_years"]), np.nan, restricted_mean(poor))
    within = {f"poor_within_{years}_years": poor[:, min(years, poor.shape[1] - 1)] for years in HORIZONS_YEARS}
    return {"expected_years": expected, **quantiles, **within, "poor_within_horizon": poor[:, -1]}


def _to_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_tuples(each) for key, each in value.items()}
    return tuple(_to_tuples(each) for each in value) if isinstance(value, list) else value
