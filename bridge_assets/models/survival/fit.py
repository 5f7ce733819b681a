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
    LASTING,
    PRESENT,
    Term,
    age,
    aging_terms,
    beginning_seen,
    columns_of,
    years_in_condition,
)
from bridge_assets.models.survival.transitions import (
    first_falls,
    means_by_condition,
    rise_rates,
    second_fall,
    shares_of_moves,
)

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.settings import SurvivalSettings

#: A feature with more values than this may bend at the quartiles of the training intervals.
_FEW_VALUES = 12
_BENDS_AT = (0.25, 0.5, 0.75)

#: Values beyond these quantiles of the training intervals count as these.
_WITHIN = (0.001, 0.999)

#: Fewer falls than this make no model.
LEAST_FALLS = 20

_ROWS_AT_ONCE = 50_000

#: Penalty of condition and time in it: few coefficients, which carry the forecast ahead. It only keeps a condition of
#: which no fall was seen from a rate of 0.
_WEAK = 0.1


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
        If fewer than `LEAST_FALLS` intervals hold a fall.
    """
    import numpy as np
    import polars as pl

    from bridge_assets.models.survival import markov as chain

    rows = _at_most(intervals.filter(pl.col("work_found").is_null()), settings.intervals)
    condition, after = rows["condition"].to_numpy().astype(int), rows["next_condition"].to_numpy().astype(int)
    fell = after < condition
    if fell.sum() < LEAST_FALLS:
        raise TrainingError(
            f"{int(fell.sum())} falls in {rows.height:,} intervals between inspections are too few to learn how "
            f"conditions go on; the least is {LEAST_FALLS}. What to do: add more survey years to the source"
        )
    normalization = Normalization.fit(rows, (*LASTING, *PRESENT, "age_since_work"))
    scaled, years = normalization.apply(rows), rows["years"].to_numpy()
    lasting, present = _terms(scaled, LASTING), _terms(scaled, PRESENT)

    seen, middle = beginning_seen(rows), years_in_condition(rows) + years / 2
    longest = float(np.clip(middle[seen].max(initial=0), chain.SHORTEST, chain.LONGEST))
    duration = np.log(np.clip(middle, chain.SHORTEST, longest) / chain.PIVOT)
    by_condition = (condition[:, None] == np.array(chain.CONDITIONS)).astype(np.float64)
    lasted, unseen = np.where(seen, duration, 0.0)[:, None], np.where(seen, 0.0, 1.0)[:, None]
    firm = settings.penalty
    blocks = {
        "common": (np.ones((rows.height, 1)), 0.0),
        "level": (by_condition, _WEAK),
        "slope": (by_condition * lasted, _WEAK),
        "bend": (np.maximum(0.0, lasted), _WEAK),
        "unseen": (by_condition * unseen, _WEAK),
        "aging": (aging_terms(age(rows, normalization) + years / 2), firm),
        "own": (np.column_stack([*columns_of((*lasting, *present), scaled)]), firm),
    }
    sizes = [columns.shape[1] for columns, _ in blocks.values()]
    penalties = np.repeat([penalty for _, penalty in blocks.values()], sizes)
    weights = _regress(np.column_stack([columns for columns, _ in blocks.values()]), fell, years, penalties)
    found = dict(zip(blocks, np.split(weights, np.cumsum(sizes)[:-1]), strict=True))

    own, slope, aging = blocks["own"][0], found["slope"], found["aging"]
    own_lasting, own_present = found["own"][: len(lasting)], found["own"][len(lasting) :]
    fresh = seen & (years_in_condition(rows) <= 0)
    known_now = own[:, len(lasting) :] @ own_present
    rising = rise_rates(by_condition, after > condition, years)
    numbers = {
        "level": found["common"] + found["level"],
        "slope": slope,
        "unseen": found["unseen"],
        "entry": means_by_condition(by_condition[fresh], known_now[fresh]),
        "rise": rising,
        "lift": shares_of_moves(condition, after, after > condition, 1)[:, 1:],
    }
    rounded = {name: np.round(value, 9).tolist() for name, value in numbers.items()}
    fresh_rates = numbers["level"] + slope * np.log(chain.SHORTEST / chain.PIVOT)
    apart = own @ found["own"] + blocks["aging"][0] @ aging
    again = second_fall(fresh_rates, apart, condition, years, fell)
    return DeteriorationModel(
        features_digest=features_digest,
        normalization=normalization,
        lasting=tuple(zip(lasting, own_lasting.tolist(), strict=True)),
        present=tuple(zip(present, own_present.tolist(), strict=True)),
        level=tuple(rounded["level"]),
        slope=tuple(rounded["slope"]),
        bend=float(found["bend"][0]),
        unseen=tuple(rounded["unseen"]),
        longest=round(longest, 6),
        entry=tuple(rounded["entry"]),
        rise=tuple(rounded["rise"]),
        drop=_rows(first_falls(shares_of_moves(condition, after, fell, -1), again)),
        lift=_rows(numbers["lift"]),
        aging=tuple(aging.tolist()),
        intervals=rows.height,
        falls=int(fell.sum()),
        years=(int(rows["survey_year"].min()), int(rows["survey_year"].max())),  # type: ignore[arg-type] # not empty
    )


def _at_most(rows: pl.DataFrame, most: int) -> pl.DataFrame:
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


def _terms(scaled: pl.DataFrame, names: tuple[str, ...]) -> tuple[Term, ...]:
    import numpy as np

    terms: list[Term] = []
    for name in names:
        values = scaled[name].to_numpy()
        low, high, *knots = (float(value) for value in np.quantile(values, (*_WITHIN, *_BENDS_AT)))
        if scaled[name].n_unique() <= _FEW_VALUES:
            low, high, knots = float(values.min()), float(values.max()), []
        if low < high:
            terms.append(Term(name, low, high))
            terms += [Term(name, low, high, knot) for knot in dict.fromkeys(knots) if low < knot < high]
    return tuple(terms)


def _regress(columns: np.ndarray, fell: np.ndarray, years: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Coefficients of the logarithm of the yearly rate, each drawn towards 0 by its own penalty.

    The function is convex; a trust-region Newton method (scipy) finds its only lowest point.
    """
    import numpy as np
    from scipy.optimize import minimize

    parts = [slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(columns), _ROWS_AT_ONCE)]
    offset = np.log(years)
    scale = 1 / len(columns)

    def value(weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, slope = 0.5 * float(ridge @ weights**2), ridge * weights
        for part in parts:
            mean = np.exp(np.minimum(columns[part] @ weights + offset[part], 50.0))
            here = fell[part]
            loss += float(mean[~here].sum() - np.log(-np.expm1(-mean[here])).sum())
            slope = slope + columns[part].T @ np.where(here, -mean / np.expm1(np.maximum(mean, 1e-12)), mean)
        return loss * scale, slope * scale

    def curvature(weights: np.ndarray) -> np.ndarray:
        total = np.diag(ridge)
        for part in parts:
            mean = np.exp(np.minimum(columns[part] @ weights + offset[part], 50.0))
            grown = np.expm1(np.maximum(mean, 1e-6))
            bent = np.where(fell[part], mean * (mean * (grown + 1) - grown) / grown**2, mean)
            total = total + columns[part].T @ (bent[:, None] * columns[part])
        return total * scale

    start = np.zeros(columns.shape[1])
    start[0] = np.log(fell.sum() / years.sum())
    found = minimize(value, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-9})
    # Sums over rows end differently in the last digits on other processors.
    return np.round(found.x, 7)


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in matrix)
