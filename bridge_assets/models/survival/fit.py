"""The rates of `survival`, learnt from intervals between inspections.

An interval of T years that begins with the rate h holds a fall with probability 1 - exp(-h T): a regression with the
complementary log-log link and log T as offset. Intervals of 12, 24 and 48 months are so evidence about one yearly rate.
Rates that change within an interval are taken at its middle.

References ---------- R. L. Prentice and L. A. Gloeckler, "Regression analysis of grouped survival data with application
to breast cancer data", Biometrics 34(1), 1978.
"""

from __future__ import annotations

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

#: A feature with more values than this may bend at the quartiles of the training intervals.
_MAX_DISCRETE_VALUES = 12
_KNOT_QUANTILES = (0.25, 0.5, 0.75)

#: Values beyond these quantiles of the training intervals count as these.
_CLIP_QUANTILES = (0.001, 0.999)

#: Fewer falls than this make no model.
MIN_FALLS = 20

_CHUNK_ROWS = 50_000

#: Penalty of condition and time in it: few coefficients, which carry the forecast ahead. It only keeps a condition of
#: which no fall was seen from a rate of 0.
_WEAK_PENALTY = 0.1


def fit(intervals: pl.DataFrame, features_digest: str, settings: SurvivalSettings) -> DeteriorationModel:
    """Fit a deterioration model.

    Parameters
    ----------
    intervals : pl.DataFrame
        Rows of `survival_panel.intervals_at_risk`. Those in which work was found are left out.
    features_digest : str
        Digest of the feature definitions.
    settings : SurvivalSettings
        `penalty`, and `intervals`: of more, whole structures are drawn, always the same ones.

    Returns
    -------
    DeteriorationModel
        The same for the same input.

    Raises
    ------
    TrainingError
        If fewer than `MIN_FALLS` intervals hold a fall.
    """
    import numpy as np
    import polars as pl

    from bridge_assets.models.survival import markov as chain

    rows = _subsample_structures(intervals.filter(pl.col("work_found").is_null()), settings.intervals)
    condition, next_condition = rows["condition"].to_numpy().astype(int), rows["next_condition"].to_numpy().astype(int)
    fell = next_condition < condition
    if fell.sum() < MIN_FALLS:
        raise TrainingError(
            f"{int(fell.sum())} falls in {rows.height:,} intervals between inspections are too few to learn how "
            f"conditions go on; the least is {MIN_FALLS}. What to do: add more survey years to the source"
        )
    normalization = Normalization.fit(rows, (*STATIC_FEATURES, *CONDITION_FEATURES, "age_since_work"))
    scaled, years = normalization.transform(rows), rows["years"].to_numpy()
    lasting, present = _build_terms(scaled, STATIC_FEATURES), _build_terms(scaled, CONDITION_FEATURES)

    seen, middle = onset_observed(rows), years_in_condition(rows) + years / 2
    longest = float(np.clip(middle[seen].max(initial=0), chain.MIN_DURATION_YEARS, chain.MAX_DURATION_YEARS))
    duration = np.log(np.clip(middle, chain.MIN_DURATION_YEARS, longest) / chain.REFERENCE_DURATION_YEARS)
    by_condition = (condition[:, None] == np.array(chain.NOT_POOR_CONDITIONS)).astype(np.float64)
    log_duration, unseen = np.where(seen, duration, 0.0)[:, None], np.where(seen, 0.0, 1.0)[:, None]
    feature_penalty = settings.penalty
    blocks = {
        "common": (np.ones((rows.height, 1)), 0.0),
        "level": (by_condition, _WEAK_PENALTY),
        "slope": (by_condition * log_duration, _WEAK_PENALTY),
        "bend": (np.maximum(0.0, log_duration), _WEAK_PENALTY),
        "unseen": (by_condition * unseen, _WEAK_PENALTY),
        "aging": (age_basis(structure_age(rows, normalization) + years / 2), feature_penalty),
        "own": (np.column_stack([*term_columns((*lasting, *present), scaled)]), feature_penalty),
    }
    sizes = [columns.shape[1] for columns, _ in blocks.values()]
    penalties = np.repeat([penalty for _, penalty in blocks.values()], sizes)
    weights = _fit_log_rate(np.column_stack([columns for columns, _ in blocks.values()]), fell, years, penalties)
    found = dict(zip(blocks, np.split(weights, np.cumsum(sizes)[:-1]), strict=True))

    feature_columns, slope, aging = blocks["own"][0], found["slope"], found["aging"]
    own_lasting, own_present = found["own"][: len(lasting)], found["own"][len(lasting) :]
    just_entered = seen & (years_in_condition(rows) <= 0)
    known_now = feature_columns[:, len(lasting) :] @ own_present
    rising = improvement_rates(by_condition, next_condition > condition, years)
    numbers = {
        "level": found["common"] + found["level"],
        "slope": slope,
        "unseen": found["unseen"],
        "entry": means_by_condition(by_condition[just_entered], known_now[just_entered]),
        "rise": rising,
        "lift": transition_shares(condition, next_condition, next_condition > condition, 1)[:, 1:],
    }
    rounded = {name: np.round(value, 9).tolist() for name, value in numbers.items()}
    fresh_rates = numbers["level"] + slope * np.log(chain.MIN_DURATION_YEARS / chain.REFERENCE_DURATION_YEARS)
    log_rate_effect = feature_columns @ found["own"] + blocks["aging"][0] @ aging
    repeat_fall = repeat_fall_probability(fresh_rates, log_rate_effect, condition, years, fell)
    return DeteriorationModel(
        features_digest=features_digest,
        normalization=normalization,
        static_terms=tuple(zip(lasting, own_lasting.tolist(), strict=True)),
        condition_terms=tuple(zip(present, own_present.tolist(), strict=True)),
        log_rate=tuple(rounded["level"]),
        duration_slope=tuple(rounded["slope"]),
        duration_slope_change=float(found["bend"][0]),
        unobserved_onset_effect=tuple(rounded["unseen"]),
        max_duration_years=round(longest, 6),
        after_fall_effect=tuple(rounded["entry"]),
        improvement_rate=tuple(rounded["rise"]),
        fall_transition_shares=_to_tuples(
            single_fall_shares(transition_shares(condition, next_condition, fell, -1), repeat_fall)
        ),
        improvement_transition_shares=_to_tuples(numbers["lift"]),
        age_coefficients=tuple(aging.tolist()),
        intervals=rows.height,
        falls=int(fell.sum()),
        years=(int(rows["survey_year"].min()), int(rows["survey_year"].max())),  # type: ignore[arg-type] # not empty
    )


def _subsample_structures(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """All rows, or those of so many structures, drawn by the digest of their keys, that about `most` rows are left."""
    import hashlib

    import polars as pl

    if rows.height <= most:
        return rows
    share = most / rows.height

    def drawn(key: str) -> bool:
        # Another digest than that of the split: what is drawn must not depend on what is held out.
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") < share * 2**64

    keys = rows["structure_key"].unique(maintain_order=True).to_list()
    return rows.filter(pl.col("structure_key").is_in([key for key in keys if drawn(key)]))


def _build_terms(scaled: pl.DataFrame, names: tuple[str, ...]) -> tuple[HingeTerm, ...]:
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
    """Coefficients of the logarithm of the yearly rate, each drawn towards 0 by its own penalty.

    The function is convex; a trust-region Newton method (scipy) finds its only lowest point.
    """
    import numpy as np
    from scipy.optimize import minimize

    parts = [slice(start, start + _CHUNK_ROWS) for start in range(0, len(columns), _CHUNK_ROWS)]
    offset = np.log(years)
    scale = 1 / len(columns)

    def loss_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, slope = 0.5 * float(penalties @ weights**2), penalties * weights
        for part in parts:
            mean = np.exp(np.minimum(columns[part] @ weights + offset[part], 50.0))
            fell_rows = fell[part]
            loss += float(mean[~fell_rows].sum() - np.log(-np.expm1(-mean[fell_rows])).sum())
            slope = slope + columns[part].T @ np.where(fell_rows, -mean / np.expm1(np.maximum(mean, 1e-12)), mean)
        return loss * scale, slope * scale

    def hessian(weights: np.ndarray) -> np.ndarray:
        total = np.diag(penalties)
        for part in parts:
            mean = np.exp(np.minimum(columns[part] @ weights + offset[part], 50.0))
            grown = np.expm1(np.maximum(mean, 1e-6))
            bent = np.where(fell[part], mean * (mean * (grown + 1) - grown) / grown**2, mean)
            total = total + columns[part].T @ (bent[:, None] * columns[part])
        return total * scale

    start = np.zeros(columns.shape[1])
    start[0] = np.log(fell.sum() / years.sum())
    found = minimize(loss_and_gradient, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-9})
    # Sums over rows end differently in the last digits on other processors.
    return np.round(found.x, 7)


def _to_tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in matrix)
