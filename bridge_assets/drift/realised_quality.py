"""How good published scores turned out to be, by survey year: what the inspections found against what was expected.

Before the outcomes are known, calibrated probabilities already say how good they should be: their own mean is the share
of falls to expect, and the AUC that they would have if they were true can be computed (NannyML calls this
confidence-based performance estimation). Once bridges have been inspected again, the same scores are compared with what
was found. They are never computed again: a model that has been retrained since knows those outcomes.

A survey year is judged by effect sizes, and only where the difference is larger than chance: with 100,000 outcomes a
loss of 0.005 in AUC is significant and harmless, and with 50 one of 0.05 means nothing.

Belongs here: tables and arrays in, a table out. Does not belong here: keeping the scores (`scoring.published`), and
which outcome counts (`models.dataset.targets`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    import polars as pl

    from bridge_assets.settings import RealisedQualitySettings

TABLE_NAME = "realised_quality"

#: Share of the list whose falls are counted: a district that can look at a tenth of its bridges first.
WORST_SHARE = 0.10

#: Half width of a 99 % interval in standard deviations of a normal distribution: one quiet year in 200 is below it.
_REACH = 2.576

#: How a survey year is judged.
AS_EXPECTED, WORSE, MUCH_WORSE = "as expected", "worse", "much worse"

JUDGED = (AS_EXPECTED, WORSE, MUCH_WORSE)

#: Why a survey year is not judged.
IN_TRAINING, TOO_FEW = "training year", "too few outcomes"


@dataclass(frozen=True, slots=True)
class ExpectedQuality:
    """What calibrated probabilities let one expect of themselves; None where nothing, or everything, should fall.

    Attributes
    ----------
    falls, falls_low, falls_high : float
        Number of falls, and between which numbers it lies in 99 % of cases if the probabilities are right.
    auc, auc_low, auc_high : float or None
        The same for the AUC.
    brier : float
    worst_10 : float or None
        Share of the falls that should be among the tenth with the highest probability.
    """

    falls: float
    falls_low: float
    falls_high: float
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    brier: float
    worst_10: float | None


def expected_quality(probability: np.ndarray) -> ExpectedQuality:
    """What to expect of probabilities, before any outcome is known.

    Parameters
    ----------
    probability : np.ndarray, shape (n,)
        Of a fall, 0 to 1; n is at least 1.
    """
    import numpy as np

    from bridge_assets.models.metrics.probability import expected_auc

    probability = np.asarray(probability, dtype=float)
    falls, variance = float(probability.sum()), float((probability * (1 - probability)).sum())
    auc = expected_auc(probability, probability)
    reach = 0.0 if auc is None else _REACH * _standard_error(auc, falls, len(probability) - falls)
    worst = np.sort(probability)[::-1][: math.ceil(round(WORST_SHARE * len(probability), 6))]
    return ExpectedQuality(
        falls,
        falls - _REACH * variance**0.5,
        falls + _REACH * variance**0.5,
        auc,
        None if auc is None else max(0.0, auc - reach),
        None if auc is None else min(1.0, auc + reach),
        variance / len(probability),
        float(worst.sum() / falls) if falls else None,
    )


def realised_quality(
    published: pl.DataFrame, outcomes: pl.DataFrame, survey_year: int, settings: RealisedQualitySettings
) -> pl.DataFrame:
    """Compare the published scores of one survey year with the outcomes that are known by now.

    Parameters
    ----------
    published : pl.DataFrame
        The scores of the year (`scoring.published`), all of them probabilities.
    outcomes : pl.DataFrame
        structure_key, inspection_date, fall (Boolean; null = not known): the outcome of each inspection
        (`models.dataset.targets.with_outcomes`).
    survey_year : int
    settings : RealisedQualitySettings

    Returns
    -------
    pl.DataFrame
        One row per model version, in the order of publication: `SCHEMA`.
    """
    import polars as pl

    keys = ["structure_key", "inspection_date"]
    labelled = published.join(outcomes.select(*keys, "fall"), on=keys, how="left")
    versions = labelled.sort("published_at", maintain_order=True)["model_version"].unique(maintain_order=True)
    rows = [
        {"survey_year": survey_year, **_row(labelled.filter(pl.col("model_version") == version), survey_year, settings)}
        for version in versions
    ]
    return pl.DataFrame(rows, schema=table_schema())


def realised_quality_of_years(
    published: Iterable[tuple[int, pl.DataFrame]],
    outcomes_of: Callable[[str], pl.DataFrame],
    settings: RealisedQualitySettings,
) -> pl.DataFrame:
    """The same for several survey years.

    Parameters
    ----------
    published : iterable of (int, pl.DataFrame)
        Survey year and its published scores. Expected changes of a regression are left out: they have no outcome of
        yes or no.
    outcomes_of : callable
        Name of a target -> `outcomes`.
    settings : RealisedQualitySettings
    """
    import polars as pl

    from bridge_assets.models.dataset.targets import CHANGE

    tables = [pl.DataFrame(schema=table_schema())]
    for survey_year, scores in published:
        for (target,), of_target in scores.partition_by("target", as_dict=True, maintain_order=True).items():
            if not str(target).startswith(CHANGE):
                tables.append(realised_quality(of_target, outcomes_of(str(target)), survey_year, settings))
    return pl.concat(tables)


def table_schema() -> dict[str, pl.DataType]:
    """Column -> type of the table."""
    import polars as pl

    number, whole = pl.Float64(), pl.Int64()
    return {
        "survey_year": pl.Int16(),
        "model_version": pl.String(),
        "target": pl.String(),
        "training_until": pl.Int16(),
        "published_at": pl.Datetime("ms"),
        "verdict": pl.String(),
        "scored": whole,
        "expected_auc_of_scored": number,
        "outcomes": whole,
        "falls": whole,
        "expected_falls": number,
        "falls_low": number,
        "falls_high": number,
        "auc": number,
        "expected_auc": number,
        "auc_low": number,
        "auc_high": number,
        "brier": number,
        "expected_brier": number,
        "worst_10": number,
        "expected_worst_10": number,
    }


def problem_of(row: Mapping[str, Any], settings: RealisedQualitySettings) -> str:
    """What is worse than expected in a row of the table, in words; empty if nothing is, or the year is not judged."""
    if row["verdict"] not in (WORSE, MUCH_WORSE):
        return ""
    parts = []
    if _auc_severity(row, settings):
        parts.append(
            f"AUC {row['auc']:.3f}, expected {row['expected_auc']:.3f} ({row['auc_low']:.3f} to {row['auc_high']:.3f})"
        )
    if _falls_severity(row, settings):
        parts.append(
            f"{row['falls']:,} falls, expected {row['expected_falls']:,.0f} "
            f"({row['falls_low']:,.0f} to {row['falls_high']:,.0f})"
        )
    return f"{row['survey_year']}, model {row['model_version']}, {row['outcomes']:,} outcomes: {' and '.join(parts)}"


def _row(scored: pl.DataFrame, survey_year: int, settings: RealisedQualitySettings) -> dict[str, Any]:
    """The row of one model version."""
    import numpy as np
    import polars as pl

    from bridge_assets.models.metrics.probability import recall_at_share, roc_auc

    known = scored.filter(pl.col("fall").is_not_null())
    row: dict[str, Any] = {
        **{name: scored[name][0] for name in ("model_version", "target", "training_until", "published_at")},
        "scored": scored.height,
        "expected_auc_of_scored": expected_quality(scored["prediction"].to_numpy()).auc,
        "outcomes": known.height,
    }
    if not known.is_empty():
        probability, falls = known["prediction"].to_numpy().astype(float), known["fall"].to_numpy()
        expected = expected_quality(probability)
        row |= {
            "falls": int(falls.sum()),
            "auc": roc_auc(falls, probability),
            "brier": float(np.mean((probability - falls) ** 2)),
            "worst_10": recall_at_share(falls, probability, WORST_SHARE),
            **{f"expected_{name}": getattr(expected, name) for name in ("falls", "auc", "brier", "worst_10")},
            **{name: getattr(expected, name) for name in ("falls_low", "falls_high", "auc_low", "auc_high")},
        }
    return {**row, "verdict": _verdict(row, survey_year, settings)}


def _verdict(row: Mapping[str, Any], survey_year: int, settings: RealisedQualitySettings) -> str:
    if survey_year <= row["training_until"]:
        return IN_TRAINING
    falls = max(row.get("falls", 0), row.get("expected_falls", 0.0))
    if falls < settings.least_falls or row["outcomes"] < settings.least_share * row["scored"]:
        return TOO_FEW
    return (AS_EXPECTED, WORSE, MUCH_WORSE)[max(_auc_severity(row, settings), _falls_severity(row, settings))]


def _auc_severity(row: Mapping[str, Any], settings: RealisedQualitySettings) -> int:
    """0 = as expected, 1 = worse, 2 = much worse: beyond a limit, and beyond chance."""
    if row["auc"] is None or row["expected_auc"] is None or row["auc"] >= row["auc_low"]:
        return 0
    loss = row["expected_auc"] - row["auc"]
    return (loss > settings.auc_loss) + (loss > settings.much_auc_loss)


def _falls_severity(row: Mapping[str, Any], settings: RealisedQualitySettings) -> int:
    if row["falls_low"] <= row["falls"] <= row["falls_high"]:
        return 0
    ratio = max(row["falls"], 1) / max(row["expected_falls"], 1.0)
    ratio = max(ratio, 1 / ratio)
    return (ratio > settings.falls_ratio) + (ratio > settings.much_falls_ratio)


def _standard_error(auc: float, falls: float, others: float) -> float:
    """Of the AUC of a sample with that many falls and others (Hanley and McNeil, Radiology 143, 1982, equation 1)."""
    if falls < 1 or others < 1:
        return 1.0
    both_falls, both_others = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (falls - 1) * (both_falls - auc**2) + (others - 1) * (both_others - auc**2)
    return (max(variance, 0.0) / (falls * others)) ** 0.5
