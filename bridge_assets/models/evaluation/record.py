"""The results of one evaluation, and how they are saved to and loaded from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.models.evaluation.importance import PermutationImportance
from bridge_assets.models.evaluation.rolling_origin import RollingOriginCut
from bridge_assets.models.metrics.bootstrap import Interval
from bridge_assets.models.metrics.calibration import CalibrationBin
from bridge_assets.models.metrics.parts import Part, RatingCalibration
from bridge_assets.models.tasks.tasks import CLASSIFICATION, TASKS, task_from_provenance
from bridge_assets.storage import write_json

if TYPE_CHECKING:
    from bridge_assets.models.metrics.calibration import Reliability
    from bridge_assets.models.metrics.change_calibration import ChangeReliability
    from bridge_assets.models.metrics.groups import ChangeGroupMetrics, FallGroupMetrics
    from bridge_assets.models.tasks.base import Task

#: Names of the forecasts as shown to people, in the order of the tables.
FORECAST_LABELS = {
    "base_rate": "base rate",
    "average_change": "average change",
    "persistence": "No change",
    "rating_table": "rating table",
    "logistic_regression": "logistic regression",
    "ridge": "ridge regression",
    "gradient_boosting": "gradient boosting",
    "model": "model",
    "oracle": "oracle (sample only)",
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of a model and its baselines on held-out inspections.

    Attributes
    ----------
    inspections, falls : int
        Number of held-out inspections and falls.
    base_rate : float or None
        Share of the held-out inspections that fell.
    first_year, last_year : int or None
        Survey years of the held-out inspections.
    train_inspections, train_falls : int
    scores : mapping of str to ProbabilityMetrics or ChangeMetrics
        By forecast, in the order of `FORECAST_LABELS`.
    intervals : mapping of str to mapping of str to Interval
        forecast -> metric -> 95 % interval, by resampling structures.
    gains : mapping of str to mapping of str to Interval
        forecast -> metric -> 95 % interval of the model's gain over it; above 0 favors the model.
    expected_auc : mapping of str to float or None
        forecast -> AUC averaged over all outcomes by the oracle's probabilities (`probability.expected_auc`); empty
        without an oracle.
    calibration : Reliability, ChangeReliability or None
    groups : sequence of FallGroupMetrics or ChangeGroupMetrics
    by_rating : sequence of RatingCalibration
        Expected and observed falls by rating; empty for a regression.
    parts : sequence of Part
        The same metrics for ratings of 7 and less, and for bridges that become Poor; empty for a regression.
    rolling : sequence of RollingOriginCut
        The same kind of model at earlier cut years.
    importance : PermutationImportance or None
        Permutation importance of the features.
    task : str
        Name of the task: a key of `tasks.TASKS`.
    """

    inspections: int
    falls: int
    base_rate: float | None
    first_year: int | None
    last_year: int | None
    train_inspections: int
    train_falls: int
    scores: Mapping[str, Any]
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    gains: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    expected_auc: Mapping[str, float | None] = field(default_factory=dict)
    calibration: Reliability | ChangeReliability | None = None
    groups: Sequence[FallGroupMetrics] | Sequence[ChangeGroupMetrics] = ()
    by_rating: Sequence[RatingCalibration] = ()
    parts: Sequence[Part] = ()
    rolling: Sequence[RollingOriginCut] = ()
    importance: PermutationImportance | None = None
    task: str = CLASSIFICATION.name

    def interval(self, forecast: str, metric: str) -> Interval | None:
        return self.intervals.get(forecast, {}).get(metric)

    def gain(self, baseline: str, metric: str) -> Interval | None:
        return self.gains.get(baseline, {}).get(metric)

    def headline_metrics(self) -> dict[str, int | float | None]:
        """The main metrics by name; None where there is nothing to measure."""
        figures: dict[str, int | float | None] = {
            "held_out_inspections": self.inspections,
            "held_out_falls": self.falls,
            **{
                name: getattr(self.scores[of], figure)
                for name, (of, figure) in TASKS[self.task].headline_metrics.items()
            },
        }
        if self.calibration:
            figures["calibration_error"] = self.calibration.error
        for part in self.parts:
            for metric in ("auc", "average_precision", "worst_10"):
                figures[f"{part.name}_{metric}"] = getattr(part.scores["model"], metric)
        if "oracle" in self.scores:
            model, oracle = self.scores["model"], self.scores["oracle"]
            figures["auc_of_oracle"] = oracle.auc
            if model.auc is not None and oracle.auc is not None:
                figures["auc_gap_to_oracle"] = oracle.auc - model.auc
            model_expects, oracle_expects = self.expected_auc.get("model"), self.expected_auc.get("oracle")
            if model_expects is not None and oracle_expects is not None:
                figures["expected_auc_gap_to_oracle"] = oracle_expects - model_expects
        return figures

    def to_dict(self) -> dict[str, Any]:
        """JSON values for `from_dict`; None where there is nothing to measure."""
        values = asdict(self)
        del values["task"]
        return values | TASKS[self.task].provenance

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore from the values of `to_dict`; raises KeyError or TypeError for any others."""
        task = task_from_provenance(values)
        found = {
            name: task.metrics_type(**values["scores"][name]) for name in FORECAST_LABELS if name in values["scores"]
        }
        return cls(
            **{
                **values,
                "scores": found,
                "intervals": _intervals(values.get("intervals", {}), task),
                "gains": _intervals(values.get("gains", {}), task),
                "expected_auc": {
                    name: values["expected_auc"][name]
                    for name in FORECAST_LABELS
                    if name in values.get("expected_auc", {})
                },
                "calibration": _reliability(values.get("calibration"), task),
                "groups": tuple(task.group_metrics_type(**group) for group in values.get("groups", ())),
                "by_rating": tuple(_rating_calibration(each) for each in values.get("by_rating", ())),
                "parts": tuple(_part(each, task) for each in values.get("parts", ())),
                "rolling": tuple(
                    RollingOriginCut(
                        **{**cut, "scores": {name: task.metrics_type(**each) for name, each in cut["scores"].items()}}
                    )
                    for cut in values.get("rolling", ())
                ),
                "importance": PermutationImportance.from_dict(values["importance"])
                if values.get("importance")
                else None,
            }
        )

    def save(self, path: Path) -> Path:
        return write_json(self.to_dict(), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises OSError, KeyError or TypeError for any other file."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))


def _intervals(values: Mapping[str, Any], task: Task) -> dict[str, dict[str, Interval]]:
    # JSON sorts keys; this restores the order of the tables.
    return {
        name: {
            figure: Interval(**values[name][figure])
            for figure in task.weighted_metrics_type.METRICS
            if figure in values[name]
        }
        for name in FORECAST_LABELS
        if name in values
    }


def _rating_calibration(values: Mapping[str, Any]) -> RatingCalibration:
    interval = values["ratio_interval"]
    return RatingCalibration(**{**values, "ratio_interval": None if interval is None else Interval(**interval)})


def _part(values: Mapping[str, Any], task: Task) -> Part:
    def intervals(found: Mapping[str, Any]) -> dict[str, Interval]:
        return {metric: Interval(**found[metric]) for metric in task.weighted_metrics_type.METRICS if metric in found}

    scores = {name: task.metrics_type(**values["scores"][name]) for name in FORECAST_LABELS if name in values["scores"]}
    measured = {"intervals": intervals(values["intervals"]), "gains": intervals(values["gains"])}
    return Part(**{**values, "scores": scores, **measured})


def _reliability(values: Mapping[str, Any] | None, task: Task) -> Reliability | ChangeReliability | None:
    if values is None:
        return None
    spread = {
        name: None if value is None else Interval(**value)
        for name, value in values.items()
        if name.endswith("_interval")
    }
    return task.reliability_type(
        **{**values, **spread, "bins": tuple(CalibrationBin(**each) for each in values["bins"])}
    )
