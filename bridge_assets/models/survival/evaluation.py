"""Evaluate years until Poor on held-out structures in later years, next to Kaplan-Meier tables, against limits.

The evaluated model saw neither those structures nor those years. Each structure is one observation, starting at its
first held-out inspection at which it is not Poor. The model that is used for scoring is then fitted to all intervals
with the same settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.errors import TrainingError
from bridge_assets.markdown import table
from bridge_assets.models.survival.kaplan_meier import kaplan_meier_by_condition, kaplan_meier_table
from bridge_assets.models.survival.metrics import brier_score, concordance, kaplan_meier
from bridge_assets.models.survival.model import HORIZONS_YEARS
from bridge_assets.models.survival.panel import first_row_per_structure, follow_up, split_intervals
from bridge_assets.storage import write_json

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.settings import ModelSettings, SurvivalSettings

#: Names of the forecasts as shown to people, in the order of the tables.
FORECAST_LABELS = {"condition": "Kaplan-Meier by condition", "table": "by condition and years in it", "model": "model"}

#: Groups of equal size for calibration.
N_GROUPS = 10


@dataclass(frozen=True, slots=True)
class CalibrationGroup:
    """Structures with similar probabilities of Poor.

    Attributes
    ----------
    structures : int
    poor : int
        Number observed to become Poor within that time.
    predicted : float
        Mean probability.
    observed, low, high : float
        Kaplan-Meier estimate, and its 95 % interval.
    """

    structures: int
    poor: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SurvivalMetrics:
    """Metrics of one forecast.

    Attributes
    ----------
    harrell, uno : float or None
        Concordance of the probability within the longest of `HORIZONS_YEARS`; 0.5 is chance.
    brier : mapping of int to float or None
        By years: mean squared distance between probability and outcome, weighted for censoring; smaller is better.
        None where no structure was followed that long.
    overall : mapping of int to CalibrationGroup or None
        By years, all structures together; None where no structure was followed that long.
    groups : mapping of int to tuple of CalibrationGroup
        By years, from the least to the most probable tenth; empty where no structure was followed that long.
    """

    harrell: float | None
    uno: float | None
    brier: Mapping[int, float | None]
    overall: Mapping[int, CalibrationGroup | None]
    groups: Mapping[int, tuple[CalibrationGroup, ...]]


@dataclass(frozen=True, slots=True)
class SurvivalEvaluation:
    """The results of the model and its baselines on held-out structures.

    Attributes
    ----------
    structures, poor : int
        Number of held-out structures, and of those that became Poor during follow-up.
    median_followed : float or None
        Median follow-up in years.
    cut : int or None
        First held-out survey year.
    train_intervals, train_falls : int
        Number of training intervals, and of falls in them.
    skipped_reason : str
        Why there are no metrics; empty if there are.
    scores : mapping of str to SurvivalMetrics
        By forecast, in the order of `FORECAST_LABELS`; empty where nothing could be measured.
    """

    structures: int
    poor: int
    median_followed: float | None
    cut: int | None
    train_intervals: int
    train_falls: int
    skipped_reason: str
    scores: Mapping[str, SurvivalMetrics]

    def headline_metrics(self) -> dict[str, int | float | None]:
        """The main metrics by name."""
        figures: dict[str, int | float | None] = {
            "held_out_structures": self.structures,
            "held_out_poor": self.poor,
        }
        if self.scores:
            model, table = self.scores["model"], self.scores["table"]
            figures |= {"concordance": model.uno, "concordance_of_table": table.uno}
            figures |= {f"brier_{years}_years": model.brier[years] for years in HORIZONS_YEARS}
            figures |= {f"brier_{years}_years_of_table": table.brier[years] for years in HORIZONS_YEARS}
        return figures

    def save(self, path: Path) -> Path:
        return write_json(asdict(self), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises OSError, KeyError or TypeError for any other file."""
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        scores = {
            name: _metrics_from_dict(values["scores"][name]) for name in FORECAST_LABELS if name in values["scores"]
        }
        return cls(**{**values, "scores": scores})


def evaluate_survival(intervals: pl.DataFrame, settings: ModelSettings) -> SurvivalEvaluation:
    """Fit the model without the held-out structures and years, and measure it on them.

    Parameters
    ----------
    intervals : pl.DataFrame
        Result of `panel.intervals_at_risk`.
    settings : ModelSettings

    Returns
    -------
    SurvivalEvaluation
        Without metrics where there are too few falls to fit the model, or no held-out structure became Poor.
    """
    from bridge_assets.models.survival.fit import fit

    split, cut = split_intervals(intervals, settings)
    train = follow_up(split.filter(split["split"] == "train"))
    held_out = first_row_per_structure(follow_up(split.filter(split["split"] == "holdout")))
    counted = {
        "structures": held_out.height,
        "poor": int(held_out["became_poor"].sum()),
        "median_followed": held_out["followed_years"].median(),
        "cut": cut,
        "train_intervals": train.height,
        "train_falls": int((train["next_condition"] < train["condition"]).sum()),
    }
    try:
        model = fit(train, "", settings.survival)
    except TrainingError as error:
        return SurvivalEvaluation(**counted, skipped_reason=str(error).rstrip("."), scores={})
    if not counted["poor"]:
        skipped_reason = f"none of {held_out.height:,} held-out structures became Poor during follow-up"
        return SurvivalEvaluation(**counted, skipped_reason=skipped_reason, scores={})
    forecasts = {
        "condition": kaplan_meier_by_condition(train, held_out, HORIZONS_YEARS),
        "table": kaplan_meier_table(train, held_out, HORIZONS_YEARS),
        "model": model.poor_probability_by_year(held_out, max(HORIZONS_YEARS))[:, list(HORIZONS_YEARS)].astype(float),
    }
    years, poor = held_out["followed_years"].to_numpy(), held_out["became_poor"].to_numpy()
    return SurvivalEvaluation(
        **counted,
        skipped_reason="",
        scores={name: _compute_metrics(years, poor, values) for name, values in forecasts.items()},
    )


def survival_problems(evaluation: SurvivalEvaluation, settings: SurvivalSettings) -> list[str]:
    """Why years until Poor are not good enough; an empty list means that they pass.

    Each problem gives the value, the limit, and in brackets the key under `survival` in model_config.yaml. Calibration
    fails only if expected and observed Poor differ by more than the limit *and* by more than chance (95 %).
    """
    if not evaluation.scores:
        return [evaluation.skipped_reason]
    problems = []
    if evaluation.poor < settings.least_poor:
        problems.append(
            f"Only {evaluation.poor:,} held-out structures became Poor; at least {settings.least_poor:,} are required "
            f"(least_poor)"
        )
    model, table = evaluation.scores["model"], evaluation.scores["table"]
    if model.uno is None or table.uno is None:
        problems.append("the ranking cannot be measured: no two held-out structures can be compared")
    elif model.uno - table.uno < settings.concordance_gain:
        problems.append(
            f"concordance {model.uno:.4f} is a gain of {model.uno - table.uno:+.4f} over the table's {table.uno:.4f}; "
            f"at least {settings.concordance_gain:+.4f} is required (concordance_gain)"
        )
    for years in HORIZONS_YEARS:
        model_brier, table_brier, overall = model.brier[years], table.brier[years], model.overall[years]
        if model_brier is None or table_brier is None or overall is None:
            continue  # no structure was followed that long
        if table_brier - model_brier < settings.brier_gain:
            problems.append(
                f"Brier score within {years} years {model_brier:.5f} is a gain of {table_brier - model_brier:+.5f} "
                f"over the table's {table_brier:.5f}; at least {settings.brier_gain:+.5f} is required (brier_gain)"
            )
        ratio = max(overall.predicted, overall.observed) / max(min(overall.predicted, overall.observed), 1e-9)
        if ratio > settings.calibration_ratio and not overall.low <= overall.predicted <= overall.high:
            problems.append(
                f"{overall.predicted:.2%} of structures are expected to become Poor within {years} years, "
                f"{overall.observed:.2%} did ({overall.low:.2%} to {overall.high:.2%}): a ratio of {ratio:.2f}; at "
                f"most {settings.calibration_ratio:g} is allowed (calibration_ratio)"
            )
    return problems


def survival_markdown(evaluation: SurvivalEvaluation) -> str:
    """The metrics of all forecasts as a Markdown table, under a line that describes the held-out structures."""
    if not evaluation.scores:
        return f"No metrics: {evaluation.skipped_reason}."
    introduction = (
        f"{evaluation.structures:,} held-out structures from {evaluation.cut} on, of which {evaluation.poor:,} became "
        f"Poor (median follow-up {evaluation.median_followed:.1f} years); fitted to {evaluation.train_intervals:,} "
        f"intervals. Repairs end the follow-up: these are probabilities without repairs."
    )
    header = ["forecast", "concordance (Uno)", "(Harrell)"]
    for years in HORIZONS_YEARS:
        header += [f"Brier {years} years", "Poor: predicted / observed"]
    rows = []
    for name, found in evaluation.scores.items():
        cells = [_cell(found.uno, ".3f"), _cell(found.harrell, ".3f")]
        for years in HORIZONS_YEARS:
            overall = found.overall[years]
            calibration = f"{overall.predicted:.1%} / {overall.observed:.1%}" if overall else "-"
            cells += [_cell(found.brier[years], ".4f"), calibration]
        rows.append((FORECAST_LABELS[name], *cells))
    return f"{introduction}\n\n{table(header, rows, 'l' + 'r' * (len(header) - 1))}"


def _compute_metrics(years: np.ndarray, poor: np.ndarray, probability: np.ndarray) -> SurvivalMetrics:
    import numpy as np

    longest, risk = max(HORIZONS_YEARS), probability[:, -1]
    brier: dict[int, float | None] = {}
    overall: dict[int, CalibrationGroup | None] = {}
    groups: dict[int, tuple[CalibrationGroup, ...]] = {}
    for within, predicted in zip(HORIZONS_YEARS, probability.T, strict=True):
        brier[within] = brier_score(years, poor, predicted, within)
        overall[within], groups[within] = None, ()
        if brier[within] is not None:
            parts = np.array_split(np.argsort(predicted, kind="stable"), N_GROUPS)
            overall[within] = _calibration_group(years, poor, predicted, np.arange(len(years)), within)
            groups[within] = tuple(
                _calibration_group(years, poor, predicted, part, within) for part in parts if len(part)
            )
    return SurvivalMetrics(
        harrell=concordance(years, poor, risk, longest, weighted=False),
        uno=concordance(years, poor, risk, longest),
        brier=brier,
        overall=overall,
        groups=groups,
    )


def _calibration_group(
    years: np.ndarray, poor: np.ndarray, predicted: np.ndarray, part: np.ndarray, within: int
) -> CalibrationGroup:
    curve = kaplan_meier(years[part], poor[part])
    low, high = curve.interval(within)
    n_poor = int((poor[part] & (years[part] <= within)).sum())
    return CalibrationGroup(len(part), n_poor, float(predicted[part].mean()), curve.poor_within(within), low, high)


def _metrics_from_dict(values: Mapping[str, Any]) -> SurvivalMetrics:
    # JSON keys are text.
    return SurvivalMetrics(
        values["harrell"],
        values["uno"],
        {int(years): each for years, each in values["brier"].items()},
        {int(years): each and CalibrationGroup(**each) for years, each in values["overall"].items()},
        {int(years): tuple(CalibrationGroup(**one) for one in each) for years, each in values["groups"].items()},
    )


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
