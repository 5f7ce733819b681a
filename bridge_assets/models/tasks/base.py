"""What a task is: everything in which models may differ by what they are set to do. The two there are: `tasks`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bridge_assets.models.metrics.bootstrap import WeightedMetrics

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


@dataclass(frozen=True, slots=True)
class AcceptanceMetric:
    """A figure that decides whether a model is good enough.

    Attributes
    ----------
    metric : str
        Field of the scores.
    name : str
        What people call it.
    digits : int
        After the point, where it is written.
    baseline : str
        The forecast that the model must gain on; `baseline_label` is what people call that.
    min_gain_setting, max_loss_setting : str
        Keys of `gate` in model_config.yaml: the least gain over it, the most lost against a champion.
    unavailable_message : str
        What is said where it cannot be measured.
    lower_is_better : bool
    """

    metric: str
    name: str
    digits: int
    baseline: str
    baseline_label: str
    min_gain_setting: str
    max_loss_setting: str
    unavailable_message: str
    lower_is_better: bool = False

    @property
    def subject(self) -> str:
        """The name at the beginning of a sentence: abbreviations take no article."""
        return self.name if self.name.isupper() else f"the {self.name}"

    def gain(self, model_value: float | None, baseline_value: float | None) -> float | None:
        """What `model_value` is better than `baseline_value`; None where one of them is not known."""
        if model_value is None or baseline_value is None:
            return None
        return baseline_value - model_value if self.lower_is_better else model_value - baseline_value

    def value(self, metrics: Any) -> float | None:
        """The figure out of scores, or out of their JSON."""
        return metrics[self.metric] if isinstance(metrics, Mapping) else getattr(metrics, self.metric)

    def format_value(self, value: float, sign: str = "") -> str:
        return format(value, f"{sign}.{self.digits}f")


class Task(ABC):
    """One of the two tasks."""

    name: ClassVar[str]

    #: Column of the training table that is learnt, and column of bridge_predictions that the answers stand in.
    label_column: ClassVar[str]
    prediction_column: ClassVar[str]

    #: What people call an answer, and answers, and how one is written: a format of Python.
    prediction_name: ClassVar[str]
    predictions_name: ClassVar[str]
    format_spec: ClassVar[str]

    #: Of the picture of calibration: what was said, and what happened.
    calibration_axis_labels: ClassVar[tuple[str, str]]

    #: On the model card: a use, what is no use, limits, and what a group did that the model is wrong about.
    intended_use: ClassVar[str]
    out_of_scope_use: ClassVar[str]
    limitations: ClassVar[tuple[str, ...]] = ()
    miscalibrated_text: ClassVar[str]

    #: Columns that its training table has beside those that every one has.
    extra_columns: ClassVar[tuple[str, ...]] = ()

    #: Least and greatest answer there can be.
    prediction_bounds: ClassVar[tuple[float, float]]

    #: Forecasts of `evaluation.FORECAST_LABELS` that earlier cut years are held against: they need no model.
    simple_baselines: ClassVar[tuple[str, ...]]

    #: What the average and the linear model are called there.
    average_baseline: ClassVar[str]
    linear_baseline: ClassVar[str]

    #: What the model's gain is measured over, the figures that decide, and those that say most: what they are called
    #: -> forecast, figure.
    compared_baselines: ClassVar[tuple[str, ...]]
    acceptance_metrics: ClassVar[tuple[AcceptanceMetric, AcceptanceMetric]]
    headline_metrics: ClassVar[Mapping[str, tuple[str, str]]]

    #: How figures are made ...
    weighted_metrics_type: ClassVar[type[WeightedMetrics]]
    compute_metrics: ClassVar[Callable[..., Any]]
    compute_reliability: ClassVar[Callable[..., Any]]
    compute_group_metrics: ClassVar[Callable[..., Any]]

    #: ... and what they are, to come back from JSON.
    metrics_type: ClassVar[type]
    reliability_type: ClassVar[type]
    group_metrics_type: ClassVar[type]

    @abstractmethod
    def outcomes(self, rows: pl.DataFrame) -> np.ndarray:
        """What the inspections of a training table found: what is learnt, and what answers are held against."""

    @abstractmethod
    def make_forest(self, **settings: Any) -> Any:
        """scikit-learn's random forest for it, not fitted."""

    @abstractmethod
    def make_linear_model(self) -> Any:
        """scikit-learn's linear model for it, not fitted."""

    @abstractmethod
    def make_boosted_trees(self, **settings: Any) -> Any:
        """scikit-learn's histogram gradient boosting for it, not fitted."""

    @abstractmethod
    def predict(self, model: Any, X: Any) -> np.ndarray:
        """What a fitted model of scikit-learn, or a float16 forest, says of rows: shape (n,)."""

    @abstractmethod
    def severity(self, predictions: Any) -> Any:
        """Answers, or an expression of them, turned so that the highest is to be looked at first."""

    @abstractmethod
    def describe_target(self, target: str, component: str) -> str:
        """What is foreseen at the next inspection, in words."""

    @abstractmethod
    def target_name(self, target: str, component: str) -> str:
        """What is foreseen in a word or two, as predictions carry it."""

    @abstractmethod
    def aggregate(self, predictions: pl.Series) -> dict[str, float]:
        """What the answers about many bridges come to, by name."""

    @abstractmethod
    def describe_prediction(self, prediction: float) -> str:
        """An answer about one bridge, for people."""

    @property
    @abstractmethod
    def provenance(self) -> dict[str, str]:
        """What is written down where something is made for this task."""
