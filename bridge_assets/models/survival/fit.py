"""Fit the rates of the deterioration model to the intervals between inspections.

An interval of T years that starts with yearly rate h contains a fall with probability 1 - exp(-h T). That is a
regression with the complementary log-log link and log T as offset, so intervals of 12, 24 and 48 months all inform the
same yearly rate. A rate that changes during an interval is evaluated at its middle.

References
----------
R. L. Prentice and L. A. Gloeckler, "Regression analysis of grouped survival data with application to breast cancer
data", Biometrics 34(1), 1978.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.errors import TrainingError
from bridge_assets.models.survival.model import DeteriorationModel
from bridge_assets.models.survival.terms import (
    CONDITION_FEATURES,
    STATIC_FEATURES,
    HingeTerm,
    age_basis,
    onset_observed,
    share_of_rises,
    structure_age,
    term_columns,
    years_in_condition,
)
from bridge_assets.models.survival.transitions import (
    improvement_rates,
    means_by_condition,
    repeat_fall_probability,
    single_fall_shares,
    transition_shares,
)

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.settings import SurvivalSettings

#: A feature with more distinct values than this gets knots at the quartiles of the training intervals.
_MAX_DISCRETE_VALUES = 12
_KNOT_QUANTILES = (0.25, 0.5, 0.75)

#: Values outside these quantiles of the training intervals are clipped to them.
_CLIP_QUANTILES = (0.001, 0.999)

#: Fewest falls that a model is fitted to.
MIN_FALLS = 20

_CHUNK_ROWS = 50_000

#: Penalty on condition and time in condition. These few coefficients drive the forecast, so it is weak: it only keeps
#: the rate of a condition without observed falls above 0.
_WEAK_PENALTY = 0.1


@dataclass(frozen=True)
class _Design:
    """Columns of the regression for n intervals.

    Attributes
    ----------
    static_terms, condition_terms : tuple of HingeTerm
        Terms of `STATIC_FEATURES` and of `CONDITION_FEATURES`; together the columns of block `features`.
    blocks : dict of str to (np.ndarray of shape (n, k), float)
        Columns and their penalty, in the order of the coefficients.
    by_condition : np.ndarray of shape (n, 5)
        One-hot condition, 5 to 9.
    just_fallen : np.ndarray of bool, shape (n,)
        Whether this inspection is the first in the condition, and most changes on file are falls.
    max_duration_years : float
        Longest time in condition that was observed.
    """

    static_terms: tuple[HingeTerm, ...]
    condition_terms: tuple[HingeTerm, ...]
    blocks: dict[str, tuple[np.ndarray, float]]
    by_condition: np.ndarray
    just_fallen: np.ndarray
    max_duration_years: float


def fit(intervals: pl.DataFrame, features_digest: str, settings: SurvivalSettings) -> DeteriorationModel:
    """Fit a deterioration model.

    Parameters
    ----------
    intervals : pl.DataFrame
        Rows of `panel.intervals_at_risk`. Intervals in which work was found are not used.
    features_digest : str
        Digest of the feature definitions.
    settings : SurvivalSettings
        `penalty`, and `intervals`: if there are more, whole structures are sampled, always the same ones.

    Returns
    -------
    DeteriorationModel
        Deterministic: the same input gives the same model.

    Raises
    ------
    TrainingError
        If fewer than `MIN_FALLS` intervals contain a fall.
    """
    import polars as pl

    rows = _subsample_structures(intervals.filter(pl.col("work_found").is_null()), settings.intervals)
    condition, next_condition = rows["condition"].to_numpy().astype(int), rows["next_condition"].to_numpy().astype(int)
    years, fell, improved = rows["years"].to_numpy(), next_condition < condition, next_condition > condition
    if fell.sum() < MIN_FALLS:
        raise TrainingError(
            f"{int(fell.sum())} falls in {rows.height:,} intervals between inspections are too few to fit the "
            f"deterioration model; at least {MIN_FALLS} are required",
            do="add more survey years to the source",
        )
    normalization = Normalization.fit(rows, (*STATIC_FEATURES, *CONDITION_FEATURES, "age_since_work"))
    design = _build_design(rows, normalization, settings.penalty)
    coefficients = _fit_blocks(design.blocks, fell, years)
    n_static = len(design.static_terms)
    static_weights, condition_weights = coefficients["features"][:n_static], coefficients["features"][n_static:]
    log_rate = coefficients["common"] + coefficients["level"]
    condition_effect = design.blocks["features"][0][:, n_static:] @ condition_weights
    repeat_fall = _repeat_fall_probability(design, coefficients, log_rate, condition, years, fell)
    return DeteriorationModel(
        features_digest=features_digest,
        normalization=normalization,
        static_terms=tuple(zip(design.static_terms, static_weights.tolist(), strict=True)),
        condition_terms=tuple(zip(design.condition_terms, condition_weights.tolist(), strict=True)),
        log_rate=_rounded(log_rate),
        duration_slope=_rounded(coefficients["slope"]),
        duration_slope_change=float(coefficients["slope_change"][0]),
        unobserved_onset_effect=_rounded(coefficients["unobserved_onset"]),
        after_rise_effect=_rounded(coefficients["after_rise"]),
        max_duration_years=round(design.max_duration_years, 6),
        after_fall_effect=_rounded(
            means_by_condition(design.by_condition[design.just_fallen], condition_effect[design.just_fallen])
        ),
        improvement_rate=_rounded(improvement_rates(design.by_condition, improved, years)),
        fall_transition_shares=_to_tuples(
            single_fall_shares(transition_shares(condition, next_condition, fell, -1), repeat_fall)
        ),
        improvement_transition_shares=_to_tuples(transition_shares(condition, next_condition, improved, 1)[:, 1:]),
        age_coefficients=tuple(coefficients["age"].tolist()),
        intervals=rows.height,
        falls=int(fell.sum()),
        years=(int(rows["survey_year"].min()), int(rows["survey_year"].max())),  # type: ignore[arg-type] # not empty
    )


def _build_design(rows: pl.DataFrame, normalization: Normalization, feature_penalty: float) -> _Design:
    """The regression's columns; time in condition and age are those at the middle of each interval."""
    import numpy as np

    from bridge_assets.models.survival import markov

    scaled, years = normalization.transform(rows), rows["years"].to_numpy()
    static_terms, condition_terms = _build_terms(scaled, STATIC_FEATURES), _build_terms(scaled, CONDITION_FEATURES)
    observed, middle = onset_observed(rows), years_in_condition(rows) + years / 2
    longest = float(np.clip(middle[observed].max(initial=0), markov.MIN_DURATION_YEARS, markov.MAX_DURATION_YEARS))
    duration = np.log(np.clip(middle, markov.MIN_DURATION_YEARS, longest) / markov.REFERENCE_DURATION_YEARS)
    condition = rows["condition"].to_numpy().astype(int)
    by_condition = (condition[:, None] == np.array(markov.NOT_POOR_CONDITIONS)).astype(np.float64)
    log_duration = np.where(observed, duration, 0.0)[:, None]
    unobserved = np.where(observed, 0.0, 1.0)[:, None]
    return _Design(
        static_terms=static_terms,
        condition_terms=condition_terms,
        blocks={
            "common": (np.ones((rows.height, 1)), 0.0),
            "level": (by_condition, _WEAK_PENALTY),
            "slope": (by_condition * log_duration, _WEAK_PENALTY),
            "slope_change": (np.maximum(0.0, log_duration), _WEAK_PENALTY),
            "unobserved_onset": (by_condition * unobserved, _WEAK_PENALTY),
            "after_rise": (by_condition * share_of_rises(rows)[:, None], _WEAK_PENALTY),
            "age": (age_basis(structure_age(rows, normalization) + years / 2), feature_penalty),
            "features": (
                np.column_stack([*term_columns((*static_terms, *condition_terms), scaled)]),
                feature_penalty,
            ),
        },
        by_condition=by_condition,
        just_fallen=observed & (years_in_condition(rows) <= 0) & (share_of_rises(rows) < 0.5),
        max_duration_years=longest,
    )


def _fit_blocks(
    blocks: dict[str, tuple[np.ndarray, float]], fell: np.ndarray, years: np.ndarray
) -> dict[str, np.ndarray]:
    """Coefficients of each block of columns."""
    import numpy as np

    sizes = [columns.shape[1] for columns, _ in blocks.values()]
    penalties = np.repeat([penalty for _, penalty in blocks.values()], sizes)
    weights = _fit_log_rate(np.column_stack([columns for columns, _ in blocks.values()]), fell, years, penalties)
    return dict(zip(blocks, np.split(weights, np.cumsum(sizes)[:-1]), strict=True))


def _repeat_fall_probability(
    design: _Design,
    coefficients: dict[str, np.ndarray],
    log_rate: np.ndarray,
    condition: np.ndarray,
    years: np.ndarray,
    fell: np.ndarray,
) -> np.ndarray:
    """Probability by condition, (5,), of a second fall within the interval of the first."""
    import numpy as np

    from bridge_assets.models.survival.markov import MIN_DURATION_YEARS, REFERENCE_DURATION_YEARS

    entry_log_rates = log_rate + coefficients["slope"] * np.log(MIN_DURATION_YEARS / REFERENCE_DURATION_YEARS)
    feature_columns, age_columns = design.blocks["features"][0], design.blocks["age"][0]
    log_rate_effect = feature_columns @ coefficients["features"] + age_columns @ coefficients["age"]
    return repeat_fall_probability(entry_log_rates, log_rate_effect, condition, years, fell)


def _subsample_structures(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Sample whole structures, by a digest of their keys, so that about `most` rows remain; all rows if fewer."""
    import hashlib

    import polars as pl

    if rows.height <= most:
        return rows
    share = most / rows.height

    def is_sampled(key: str) -> bool:
        # Not the digest of the split: the sample must not depend on which structures are held out.
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") < share * 2**64

    keys = rows["structure_key"].unique(maintain_order=True).to_list()
    return rows.filter(pl.col("structure_key").is_in([key for key in keys if is_sampled(key)]))


def _build_terms(scaled: pl.DataFrame, names: tuple[str, ...]) -> tuple[HingeTerm, ...]:
    """A linear term for each feature, and one more for each knot; none for a feature that is constant."""
    import numpy as np

    terms: list[HingeTerm] = []
    for name in names:
        values = scaled[name].to_numpy()
        low, high, *knots = (float(value) for value in np.quantile(values, (*_CLIP_QUANTILES, *_KNOT_QUANTILES)))
        if scaled[name].n_unique() <= _MAX_DISCRETE_VALUES:
            low, high, knots = float(values.min()), float(values.max()), []
        if low < high:
            terms.append(HingeTerm(name, low, high))
            terms += [HingeTerm(name, low, high, knot) for knot in dict.fromkeys(knots) if low < knot < high]
    return tuple(terms)


def _fit_log_rate(columns: np.ndarray, fell: np.ndarray, years: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Coefficients of the log yearly rate, each shrunk towards 0 by its own penalty.

    The loss is convex; scipy's trust-region Newton method finds its only minimum.
    """
    import numpy as np
    from scipy.optimize import minimize

    chunks = [slice(start, start + _CHUNK_ROWS) for start in range(0, len(columns), _CHUNK_ROWS)]
    offset = np.log(years)
    scale = 1 / len(columns)

    def loss_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, slope = 0.5 * float(penalties @ weights**2), penalties * weights
        for chunk in chunks:
            mean = np.exp(np.minimum(columns[chunk] @ weights + offset[chunk], 50.0))
            fell_rows = fell[chunk]
            loss += float(mean[~fell_rows].sum() - np.log(-np.expm1(-mean[fell_rows])).sum())
            slope = slope + columns[chunk].T @ np.where(fell_rows, -mean / np.expm1(np.maximum(mean, 1e-12)), mean)
        return loss * scale, slope * scale

    def hessian(weights: np.ndarray) -> np.ndarray:
        total = np.diag(penalties)
        for chunk in chunks:
            mean = np.exp(np.minimum(columns[chunk] @ weights + offset[chunk], 50.0))
            expm1_mean = np.expm1(np.maximum(mean, 1e-6))
            curvature = np.where(fell[chunk], mean * (mean * (expm1_mean + 1) - expm1_mean) / expm1_mean**2, mean)
            total = total + columns[chunk].T @ (curvature[:, None] * columns[chunk])
        return total * scale

    start = np.zeros(columns.shape[1])
    start[0] = np.log(fell.sum() / years.sum())
    solution = minimize(loss_and_gradient, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    # The last digits of sums over rows differ between processors.
    return np.round(solution.x, 7)


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.round(9).tolist())


def _to_tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in matrix)
