"""The figures of one evaluation: how they are kept, and how they come back from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bridge_assets.models.calibration import Bin, Reliability
from bridge_assets.models.groups import GroupFigures
from bridge_assets.models.importance import Importance
from bridge_assets.models.resampling import FIGURES, Interval
from bridge_assets.models.rolling_origin import Cut
from bridge_assets.models.scores import Scores
from bridge_assets.storage import write_json

#: Forecasts in the order they are printed, and what people call them.
FORECASTS = {
    "base_rate": "base rate",
    "persistence": "same rating as now",
    "rating_table": "rating table",
    "logistic_regression": "logistic regression",
    "gradient_boosting": "gradient boosting",
    "model": "model",
    "oracle": "oracle (sample only)",
}

#: What the model's gain is measured over.
AGAINST = ("base_rate", "rating_table", "logistic_regression", "gradient_boosting", "oracle")


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
    intervals : mapping of str to mapping of str to Interval
        forecast -> figure -> 95 % interval, by resampling structures.
    gains : mapping of str to mapping of str to Interval
        forecast -> figure -> 95 % interval of what the model gains over it; above 0 is in the model's favour.
    expected_auc : mapping of str to float or None
        forecast -> AUC over all outcomes that the oracle allows (`scores.expected_auc`); empty without an oracle.
    calibration : Reliability or None
    groups : sequence of GroupFigures
    rolling : sequence of Cut
        The same kind of model at earlier cut years.
    importance : Importance or None
        What the model goes by.
    """

    inspections: int
    falls: int
    base_rate: float | None
    first_year: int | None
    last_year: int | None
    train_inspections: int
    train_falls: int
    scores: Mapping[str, Scores]
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    gains: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    expected_auc: Mapping[str, float | None] = field(default_factory=dict)
    calibration: Reliability | None = None
    groups: Sequence[GroupFigures] = ()
    rolling: Sequence[Cut] = ()
    importance: Importance | None = None

    def interval(self, forecast: str, figure: str) -> Interval | None:
        return self.intervals.get(forecast, {}).get(figure)

    def gain(self, over: str, figure: str) -> Interval | None:
        return self.gains.get(over, {}).get(figure)

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
        if self.calibration:
            figures["calibration_error"] = self.calibration.error
        if "oracle" in self.scores:
            figures["auc_of_oracle"] = self.scores["oracle"].auc
            if model.auc is not None and self.scores["oracle"].auc is not None:
                figures["auc_below_oracle"] = self.scores["oracle"].auc - model.auc
            model_expects, oracle_expects = self.expected_auc.get("model"), self.expected_auc.get("oracle")
            if model_expects is not None and oracle_expects is not None:
                figures["expected_auc_below_oracle"] = oracle_expects - model_expects
        return figures

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None where there is nothing to measure; what `from_dict` takes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises KeyError or TypeError if the values are not those of `to_dict`."""
        found = {name: Scores(**values["scores"][name]) for name in FORECASTS if name in values["scores"]}
        return cls(
            **{
                **values,
                "scores": found,
                "intervals": _intervals(values.get("intervals", {})),
                "gains": _intervals(values.get("gains", {})),
                "expected_auc": {
                    name: values["expected_auc"][name] for name in FORECASTS if name in values.get("expected_auc", {})
                },
                "calibration": _reliability(values.get("calibration")),
                "groups": tuple(GroupFigures(**group) for group in values.get("groups", ())),
                "rolling": tuple(
                    Cut(**{**cut, "scores": {name: Scores(**each) for name, each in cut["scores"].items()}})
                    for cut in values.get("rolling", ())
                ),
                "importance": Importance.from_dict(values["importance"]) if values.get("importance") else None,
            }
        )

    def save(self, path: Path) -> Path:
        return write_json(self.to_dict(), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises OSError, KeyError or TypeError if the file is not one that `save` wrote."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))


def _intervals(values: Mapping[str, Any]) -> dict[str, dict[str, Interval]]:
    # JSON sorts keys; forecasts and figures come back in the order they are printed.
    return {
        name: {figure: Interval(**values[name][figure]) for figure in FIGURES if figure in values[name]}
        for name in FORECASTS
        if name in values
    }


def _reliability(values: Mapping[str, Any] | None) -> Reliability | None:
    if values is None:
        return None
    spread = {
        name: None if values[name] is None else Interval(**values[name])
        for name in ("error_interval", "ratio_interval")
    }
    return Reliability(**{**values, **spread, "bins": tuple(Bin(**each) for each in values["bins"])})
