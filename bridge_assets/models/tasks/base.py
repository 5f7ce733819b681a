"""The interface of a task: everything that differs between classification and regression (both in `tasks`)."""

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
    """A metric that decides whether a model is good enough.

    Attributes
    ----------
    metric : str
        Field of the metrics (`Task.metrics_type`).
    name : str
        Name shown to people.
    digits : int
        Decimals shown.
    baseline : str
        The forecast that the model must beat; `baseline_label` is its name in a sentence.
    min_gain_setting, max_loss_setting : str
        Keys of `gate` in model_config.yaml: smallest gain over the baseline, largest loss against a champion.
    unavailable_message : str
        The problem that is reported when it cannot be measured.
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
        """The name as subject of a sentence: abbreviations take no article."""
        return self.name if self.name.isupper() else f"the {self.name}"

    def gain(self, model_value: float | None, baseline_value: float | None) -> float | None:
        """How much better `model_value` is than `baseline_value`; None where one of them is not known."""
        if model_value is None or baseline_value is None:
            return None
        return baseline_value - model_value if self.lower_is_better else model_value - baseline_value

    def value(self, metrics: Any) -> float | None:
        """The value from metrics, or from their JSON."""
        return metrics[self.metric] if isinstance(metrics, Mapping) else getattr(metrics, self.metric)

    def format_value(self, value: float, sign: str = "") -> str:
        return format(value, f"{sign}.{self.digits}f")


class Task(ABC):
    """One of the two tasks."""

    name: ClassVar[str]

    #: Column of the training table with the label, and column of bridge_predictions with the predictions.
    label_column: ClassVar[str]
    prediction_column: ClassVar[str]

    #: Name of one prediction and of several, as shown to people, and the Python format of one.
    prediction_name: ClassVar[str]
    predictions_name: ClassVar[str]
    format_spec: ClassVar[str]

    #: Axes of the calibration plot: predicted and observed.
    calibration_axis_labels: ClassVar[tuple[str, str]]

    #: Texts of the model card: intended use, out of scope, limitations, and the behavior of miscalibrated groups.
    intended_use: ClassVar[str]
    out_of_scope_use: ClassVar[str]
    limitations: ClassVar[tuple[str, ...]] = ()
    miscalibrated_text: ClassVar[str]

    #: Columns that only the training table of this task has.
    extra_columns: ClassVar[tuple[str, ...]] = ()

    #: Smallest and largest possible prediction.
    prediction_bounds: ClassVar[tuple[float, float]]

    #: Baselines of `record.FORECAST_LABELS` for earlier cut years: those that need no model.
    simple_baselines: ClassVar[tuple[str, ...]]

    #: Names of the average and the linear model there.
    average_baseline: ClassVar[str]
    linear_baseline: ClassVar[str]

    #: Baselines that the model's gain is measured over, the metrics that decide at the gate, and the headline metrics:
    #: name -> (forecast, metric).
    compared_baselines: ClassVar[tuple[str, ...]]
    acceptance_metrics: ClassVar[tuple[AcceptanceMetric, AcceptanceMetric]]
    headline_metrics: ClassVar[Mapping[str, tuple[str, str]]]

    #: How metrics are computed ...
    weighted_metrics_type: ClassVar[type[WeightedMetrics]]
    compute_metrics: ClassVar[Callable[..., Any]]
    compute_reliability: ClassVar[Callable[..., Any]]
    compute_group_metrics: ClassVar[Callable[..., Any]]

    #: ... on the parts of the hold-out that people act on, and by rating; None = not for this task ...
    compute_parts: ClassVar[Callable[..., Any] | None] = None
    compute_by_rating: ClassVar[Callable[..., Any] | None] = None

    #: ... and their types, to load them from JSON.
    metrics_type: ClassVar[type]
    reliability_type: ClassVar[type]
    group_metrics_type: ClassVar[type]

    @abstractmethod
    def outcomes(self, rows: pl.DataFrame) -> np.ndarray:
        """The outcomes of a training table's rows: labels in training, truth in evaluation; shape (n,)."""

    @abstractmethod
    def make_forest(self, **settings: Any) -> Any:
        """scikit-learn's random forest for this task, not fitted."""

    def calibrate(self, forest: Any, train: pl.DataFrame, matrix: np.ndarray) -> Any:
        """Correct the predictions of a forest that was just fitted to these rows; returned as it is by default."""
        return forest

    @abstractmethod
    def make_linear_model(self) -> Any:
        """scikit-learn's linear model for this task, not fitted."""

    @abstractmethod
    def make_boosted_trees(self, **settings: Any) -> Any:
        """scikit-learn's histogram gradient boosting for this task, not fitted."""

    @abstractmethod
    def predict(self, model: Any, X: Any) -> np.ndarray:
        """Predictions of a fitted scikit-learn model or a float16 forest: shape (n,)."""

    @abstractmethod
    def severity(self, predictions: Any) -> Any:
        """Predictions (or an expression of them) as a severity: the highest should be looked at first."""

    @abstractmethod
    def describe_target(self, target: str, component: str) -> str:
        """What is predicted about the next inspection, in words."""

    @abstractmethod
    def target_name(self, target: str, component: str) -> str:
        """Short name of the target in predictions."""

    @abstractmethod
    def aggregate(self, predictions: pl.Series) -> dict[str, float]:
        """Totals and means of the predictions for many bridges, by name."""

    @abstractmethod
    def describe_prediction(self, prediction: float) -> str:
        """One bridge's prediction as text for people."""

    @property
    @abstractmethod
    def provenance(self) -> dict[str, str]:
        """What is recorded in the provenance of anything made for this task."""
