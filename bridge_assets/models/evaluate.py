"""A model on held-out inspections, beside the forecasts that need no model, and whether that is good enough.

Belongs here: the figures and the gate's judgement of them. The forecasts it is held against are in `baselines`, the
figures themselves in `scores`, leaks in `leakage`, the picture in `plots`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.models.baselines import base_rate, persistence, rating_table
from bridge_assets.models.errors import ModelError
from bridge_assets.models.leakage import leakage_problems
from bridge_assets.models.matrix import fall_column
from bridge_assets.models.plots import calibration_plot_png
from bridge_assets.models.scores import Scores, area_under_curve, scores
from bridge_assets.models.split import holdout_rows, train_rows
from bridge_assets.models.train import holdout_probability
from bridge_assets.storage import write_json

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.forest import Float16Forest
    from bridge_assets.settings import GateSettings

#: Forecasts in the order they are printed, and what people call them.
FORECASTS = {
    "base_rate": "base rate",
    "persistence": "same rating as now",
    "rating_table": "rating table",
    "model": "model",
    "oracle": "oracle (sample only)",
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model showed on held-out inspections.

    Attributes
    ----------
    inspections, falls : int
        Held out.
    base_rate : float or None
        Share of the held-out inspections that fell.
    first_year, last_year : int or None
        Survey years of the held-out inspections.
    train_inspections, train_falls : int
    scores : mapping of str to Scores
        By forecast, in the order of `FORECASTS`.
    """

    inspections: int
    falls: int
    base_rate: float | None
    first_year: int | None
    last_year: int | None
    train_inspections: int
    train_falls: int
    scores: Mapping[str, Scores]

    def figures(self) -> dict[str, int | float | None]:
        """The figures that say most, by name; None where there is nothing to measure."""
        model, table = self.scores["model"], self.scores["rating_table"]
        figures: dict[str, int | float | None] = {
            "held_out_inspections": self.inspections,
            "held_out_falls": self.falls,
            "auc": model.auc,
            "auc_of_rating_table": table.auc,
            "average_precision": model.average_precision,
            "brier": model.brier,
            "brier_of_base_rate": self.scores["base_rate"].brier,
            "falls_in_worst_10_percent": model.worst_10,
        }
        if "oracle" in self.scores:
            figures["auc_of_oracle"] = self.scores["oracle"].auc
        return figures

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None where there is nothing to measure; what `from_dict` takes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises KeyError or TypeError if the values are not those of `to_dict`."""
        found = {name: Scores(**values["scores"][name]) for name in FORECASTS if name in values["scores"]}
        return cls(**{**values, "scores": found})

    def save(self, path: Path) -> Path:
        return write_json(self.to_dict(), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises OSError, KeyError or TypeError if the file is not one that `save` wrote."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))


def evaluate(training: pl.DataFrame, probability: np.ndarray, *, oracle: pl.Series | None = None) -> Evaluation:
    """Measure a model, and what it is held against, on the same held-out inspections.

    Parameters
    ----------
    training : pl.DataFrame
        The training table with `split`, `fall`, `survey_year`, and `rating` and `years_in_rating` in natural units.
    probability : np.ndarray of shape (n_holdout,)
        The model's probability of a fall for `holdout_rows(training)`, in that order.
    oracle : pl.Series, optional
        The true probability of a fall for every row of `training`, where it is known (the sample inventory).

    Raises
    ------
    ModelError
        If there are not as many probabilities as held-out inspections, or the oracle does not know one of them.
    """
    import numpy as np

    holdout, train = holdout_rows(training), train_rows(training)
    if len(probability) != holdout.height:
        raise ModelError(
            f"expected {holdout.height} probabilities, one for each held-out inspection, found {len(probability)}"
        )
    falls = holdout["fall"].to_numpy().astype(bool)
    forecasts: dict[str, np.ndarray | None] = {
        "base_rate": base_rate(training),
        "persistence": persistence(training),
        "rating_table": rating_table(training),
        "model": np.asarray(probability, dtype=float),
    }
    if oracle is not None:
        known = oracle.filter(training["split"] == "holdout")
        if known.null_count():
            raise ModelError(f"the oracle knows nothing of {known.null_count()} of {len(known)} held-out inspections")
        forecasts["oracle"] = known.to_numpy()
    years = holdout["survey_year"].to_list()
    return Evaluation(
        inspections=holdout.height,
        falls=int(falls.sum()),
        base_rate=float(falls.mean()) if holdout.height else None,
        first_year=min(years, default=None),
        last_year=max(years, default=None),
        train_inspections=train.height,
        train_falls=int(train["fall"].sum()),
        scores={name: Scores() if values is None else scores(falls, values) for name, values in forecasts.items()},
    )


def quality_problems(evaluation: Evaluation, gate: GateSettings) -> list[str]:
    """Why a model is not good enough; an empty list lets it pass.

    Each problem gives the figure, the limit, and in brackets the key of `gate` in model_config.yaml.
    """
    problems = []
    if evaluation.inspections < gate.holdout_inspections:
        problems.append(
            f"{evaluation.inspections:,} held-out inspections prove nothing; the least is {gate.holdout_inspections:,} "
            f"(holdout_inspections)"
        )
    if evaluation.falls < gate.holdout_falls:
        problems.append(
            f"{evaluation.falls:,} held-out falls prove nothing; the least is {gate.holdout_falls:,} (holdout_falls)"
        )
    model, table, rate = (evaluation.scores[name] for name in ("model", "rating_table", "base_rate"))
    if model.auc is None or table.auc is None:
        problems.append(
            "the ranking cannot be judged: AUC needs training inspections, held-out falls and bridges that did not fall"
        )
    elif model.auc - table.auc < gate.auc_gain:
        problems.append(
            f"AUC {model.auc:.4f} is a gain of {model.auc - table.auc:+.4f} over the rating table's {table.auc:.4f}; "
            f"the least is {gate.auc_gain:+.4f} (auc_gain)"
        )
    if model.brier is None or rate.brier is None:
        problems.append("the probabilities cannot be judged: the Brier score needs training and held-out inspections")
    elif rate.brier - model.brier < gate.brier_gain:
        problems.append(
            f"Brier score {model.brier:.5f} is a gain of {rate.brier - model.brier:+.5f} over the base rate's "
            f"{rate.brier:.5f}; the least is {gate.brier_gain:+.5f} (brier_gain)"
        )
    return problems


def quantization_problems(
    forest: RandomForestClassifier,
    quantized: Float16Forest,
    training: pl.DataFrame,
    features: Sequence[str],
    gate: GateSettings,
) -> tuple[list[str], float, float]:
    """What float16 costs on the held-out inspections, held against the gate.

    Parameters
    ----------
    forest, quantized
        The same forest before and after.
    training : pl.DataFrame
        With `split`, `fall` and the features on the model's scale.
    features : sequence of str
        What `forest` was trained on; `quantized` must take the same.
    gate : GateSettings

    Returns
    -------
    problems : list of str
        Empty = passes.
    difference : float
        The most that a probability moves.
    loss : float
        AUC lost; 0 where AUC cannot be measured, since nothing ranks differently there.
    """
    import numpy as np

    if quantized.features != tuple(features):
        return ["the float16 forest takes other features than the forest it is compared with"], 1.0, 1.0
    holdout = holdout_rows(training)
    if holdout.is_empty():
        return ["there is no held-out inspection to measure the loss on"], 0.0, 0.0
    before = holdout_probability(forest, training, features)
    after = fall_column(quantized.predict_proba(holdout), quantized.classes).astype(float)
    falls = holdout["fall"].to_numpy().astype(bool)
    difference = float(np.abs(before - after).max())
    loss = (area_under_curve(falls, before) or 0.0) - (area_under_curve(falls, after) or 0.0)
    problems = []
    if difference > gate.quantization_difference:
        problems.append(
            f"a probability moves by {difference:.6f} in float16; the most is {gate.quantization_difference:g} "
            f"(quantization_difference)"
        )
    if loss > gate.quantization_auc_loss:
        problems.append(
            f"AUC falls by {loss:.6f} in float16; the most is {gate.quantization_auc_loss:g} (quantization_auc_loss)"
        )
    return problems, difference, loss


def markdown_table(evaluation: Evaluation) -> str:
    """The forecasts side by side, as a Markdown table under one line that says what they were measured on."""
    if not evaluation.inspections:
        return "No held-out inspections."
    years = f"{evaluation.first_year}" + (
        f" to {evaluation.last_year}" if evaluation.last_year != evaluation.first_year else ""
    )
    lines = [
        f"{evaluation.inspections:,} held-out inspections of {years}, of which {evaluation.falls:,} fell "
        f"({evaluation.falls / evaluation.inspections:.1%}); trained on {evaluation.train_inspections:,} inspections.",
        "",
        "| forecast | AUC | average precision | Brier | accuracy | falls in worst 5 % | 10 % | 20 % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, figures in evaluation.scores.items():
        cells = [
            _cell(figures.auc, ".3f"),
            _cell(figures.average_precision, ".3f"),
            _cell(figures.brier, ".4f"),
            *(_cell(value, ".1%") for value in (figures.accuracy, figures.worst_5, figures.worst_10, figures.worst_20)),
        ]
        lines.append(f"| {FORECASTS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


__all__ = [
    "FORECASTS",
    "Evaluation",
    "Scores",
    "calibration_plot_png",
    "evaluate",
    "holdout_rows",
    "leakage_problems",
    "markdown_table",
    "quality_problems",
    "quantization_problems",
]
