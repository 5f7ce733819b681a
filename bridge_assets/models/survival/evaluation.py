"""Years until Poor on held-out structures in later years, beside Kaplan-Meier tables, and whether that is good enough.

The model that is judged here saw neither those structures nor those years. Each structure is one observation, from its
first held-out inspection at which it is not Poor. The model that scores is fitted anew to all intervals by the same
recipe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.errors import TrainingError
from bridge_assets.models.survival.kaplan_meier import kaplan_meier_by_condition, kaplan_meier_table
from bridge_assets.models.survival.metrics import brier, concordance, kaplan_meier
from bridge_assets.models.survival.model import WITHIN_YEARS
from bridge_assets.models.survival.panel import first_of_each_structure, follow_up, split_intervals
from bridge_assets.storage import write_json

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.settings import ModelSettings, SurvivalSettings

#: Forecasts in the order they are printed, and what people call them.
FORECASTS = {"condition": "Kaplan-Meier by condition", "table": "by condition and years in it", "model": "model"}

#: Groups of equal size in which calibration is looked at.
GROUPS = 10


@dataclass(frozen=True, slots=True)
class Group:
    """Structures with like probabilities of Poor.

    Attributes
    ----------
    structures : int
    poor : int
        Seen to become Poor within that time.
    said : float
        Mean probability.
    observed, low, high : float
        Kaplan-Meier, and its 95 % interval.
    """

    structures: int
    poor: int
    said: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SurvivalScores:
    """One forecast's figures.

    Attributes
    ----------
    harrell, uno : float or None
        Concordance of the probability within the longest of `WITHIN_YEARS`; 0.5 is chance.
    brier : mapping of int to float or None
        By years: mean squared distance between probability and outcome, weighted for censoring; smaller is better.
    overall : mapping of int to Group or None
        By years, all structures together; None where nobody was followed for so long.
    groups : mapping of int to tuple of Group
        By years, from the least to the most probable tenth; empty where nobody was followed for so long.
    """

    harrell: float | None
    uno: float | None
    brier: Mapping[int, float | None]
    overall: Mapping[int, Group | None]
    groups: Mapping[int, tuple[Group, ...]]


@dataclass(frozen=True, slots=True)
class SurvivalEvaluation:
    """What the recipe showed on held-out structures.

    Attributes
    ----------
    structures, poor : int
        Held out, and how many of them became Poor while they were followed.
    median_followed : float or None
        Years.
    cut : int or None
        First survey year held out.
    train_intervals, train_falls : int
        What it was fitted to.
    why_not : str
        Why nothing could be measured; empty where it could.
    scores : mapping of str to SurvivalScores
        By forecast, in the order of `FORECASTS`; empty where nothing could be measured.
    """

    structures: int
    poor: int
    median_followed: float | None
    cut: int | None
    train_intervals: int
    train_falls: int
    why_not: str
    scores: Mapping[str, SurvivalScores]

    def figures(self) -> dict[str, int | float | None]:
        """The figures that say most, by name."""
        figures: dict[str, int | float | None] = {
            "held_out_structures": self.structures,
            "held_out_became_poor": self.poor,
        }
        if self.scores:
            model, table = self.scores["model"], self.scores["table"]
            figures |= {"concordance": model.uno, "concordance_of_table": table.uno}
            figures |= {f"brier_{years}_years": model.brier[years] for years in WITHIN_YEARS}
            figures |= {f"brier_{years}_years_of_table": table.brier[years] for years in WITHIN_YEARS}
        return figures

    def save(self, path: Path) -> Path:
        return write_json(asdict(self), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises OSError, KeyError or TypeError if the file is not one that `save` wrote."""
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        scores = {name: _scores(values["scores"][name]) for name in FORECASTS if name in values["scores"]}
        return cls(**{**values, "scores": scores})


def evaluate(intervals: pl.DataFrame, settings: ModelSettings) -> SurvivalEvaluation:
    """Hold out, fit, and measure.

    Parameters
    ----------
    intervals : pl.DataFrame
        As `survival_panel.intervals_at_risk` gives them.
    settings : ModelSettings
    """
    from bridge_assets.models.survival.fit import fit

    split, cut = split_intervals(intervals, settings)
    train = follow_up(split.filter(split["split"] == "train"))
    held_out = first_of_each_structure(follow_up(split.filter(split["split"] == "holdout")))
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
        return SurvivalEvaluation(**counted, why_not=str(error), scores={})
    if not counted["poor"]:
        why_not = f"none of {held_out.height:,} held-out structures became Poor while it was followed"
        return SurvivalEvaluation(**counted, why_not=why_not, scores={})
    forecasts = {
        "condition": kaplan_meier_by_condition(train, held_out, WITHIN_YEARS),
        "table": kaplan_meier_table(train, held_out, WITHIN_YEARS),
        "model": model.poor_by_year(held_out, max(WITHIN_YEARS))[:, list(WITHIN_YEARS)].astype(float),
    }
    years, poor = held_out["followed_years"].to_numpy(), held_out["became_poor"].to_numpy()
    return SurvivalEvaluation(
        **counted, why_not="", scores={name: _measure(years, poor, values) for name, values in forecasts.items()}
    )


def survival_problems(evaluation: SurvivalEvaluation, settings: SurvivalSettings) -> list[str]:
    """Why years until Poor should not be believed; empty where they may be.

    Each problem gives the figure, the limit, and in brackets the key of `survival` in model_config.yaml. Expected and
    observed Poor must differ by more than the limit *and* by more than chance (95 %).
    """
    if not evaluation.scores:
        return [evaluation.why_not]
    problems = []
    if evaluation.poor < settings.least_poor:
        problems.append(
            f"{evaluation.poor:,} held-out structures that became Poor prove nothing; the least is "
            f"{settings.least_poor:,} (least_poor)"
        )
    model, table = evaluation.scores["model"], evaluation.scores["table"]
    if model.uno is None or table.uno is None:
        problems.append("the ranking cannot be judged: no two held-out structures can be compared")
    elif model.uno - table.uno < settings.concordance_gain:
        problems.append(
            f"concordance {model.uno:.4f} is a gain of {model.uno - table.uno:+.4f} over the table's {table.uno:.4f}; "
            f"the least is {settings.concordance_gain:+.4f} (concordance_gain)"
        )
    for years in WITHIN_YEARS:
        ours, theirs, all_ = model.brier[years], table.brier[years], model.overall[years]
        if ours is None or theirs is None or all_ is None:
            continue  # nobody was followed for so long
        if theirs - ours < settings.brier_gain:
            problems.append(
                f"Brier score within {years} years {ours:.5f} is a gain of {theirs - ours:+.5f} over the table's "
                f"{theirs:.5f}; the least is {settings.brier_gain:+.5f} (brier_gain)"
            )
        ratio = max(all_.said, all_.observed) / max(min(all_.said, all_.observed), 1e-9)
        if ratio > settings.calibration_ratio and not all_.low <= all_.said <= all_.high:
            problems.append(
                f"{all_.said:.2%} are expected to become Poor within {years} years, {all_.observed:.2%} did "
                f"({all_.low:.2%} to {all_.high:.2%}): a ratio of {ratio:.2f}; the most is "
                f"{settings.calibration_ratio:g} (calibration_ratio)"
            )
    return problems


def markdown_table(evaluation: SurvivalEvaluation) -> str:
    """The forecasts side by side, as a Markdown table under one line that says what they were measured on."""
    if not evaluation.scores:
        return f"Nothing could be measured: {evaluation.why_not}."
    lines = [
        f"{evaluation.structures:,} held-out structures from {evaluation.cut} on, of which {evaluation.poor:,} became "
        f"Poor (followed for {evaluation.median_followed:.1f} years, median); fitted to {evaluation.train_intervals:,} "
        f"intervals. Work ends follow-up: these are probabilities if nothing is done.",
        "",
        "| forecast | concordance (Uno) | (Harrell) |"
        + "".join(f" Brier {years} years | Poor: said / observed |" for years in WITHIN_YEARS),
        "|---|---:|---:|" + "---:|---:|" * len(WITHIN_YEARS),
    ]
    for name, found in evaluation.scores.items():
        cells = [_cell(found.uno, ".3f"), _cell(found.harrell, ".3f")]
        for years in WITHIN_YEARS:
            all_ = found.overall[years]
            calibration = f"{all_.said:.1%} / {all_.observed:.1%}" if all_ else "-"
            cells += [_cell(found.brier[years], ".4f"), calibration]
        lines.append(f"| {FORECASTS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measure(years: np.ndarray, poor: np.ndarray, probability: np.ndarray) -> SurvivalScores:
    import numpy as np

    longest, risk = max(WITHIN_YEARS), probability[:, -1]
    squares: dict[int, float | None] = {}
    overall: dict[int, Group | None] = {}
    groups: dict[int, tuple[Group, ...]] = {}
    for within, said in zip(WITHIN_YEARS, probability.T, strict=True):
        squares[within] = brier(years, poor, said, within)
        overall[within], groups[within] = None, ()
        if squares[within] is not None:
            parts = np.array_split(np.argsort(said, kind="stable"), GROUPS)
            overall[within] = _group(years, poor, said, np.arange(len(years)), within)
            groups[within] = tuple(_group(years, poor, said, part, within) for part in parts if len(part))
    return SurvivalScores(
        harrell=concordance(years, poor, risk, longest, weighted=False),
        uno=concordance(years, poor, risk, longest),
        brier=squares,
        overall=overall,
        groups=groups,
    )


def _group(years: np.ndarray, poor: np.ndarray, said: np.ndarray, part: np.ndarray, within: int) -> Group:
    curve = kaplan_meier(years[part], poor[part])
    low, high = curve.interval(within)
    seen = int((poor[part] & (years[part] <= within)).sum())
    return Group(len(part), seen, float(said[part].mean()), curve.poor_within(within), low, high)


def _scores(values: Mapping[str, Any]) -> SurvivalScores:
    # JSON has no keys but text.
    return SurvivalScores(
        values["harrell"],
        values["uno"],
        {int(years): each for years, each in values["brier"].items()},
        {int(years): each and Group(**each) for years, each in values["overall"].items()},
        {int(years): tuple(Group(**one) for one in each) for years, each in values["groups"].items()},
    )


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
