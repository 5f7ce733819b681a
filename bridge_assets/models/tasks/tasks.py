"""The two tasks, and which task a table or a stored result belongs to.

===============  ========================================================================================
classification   The probability of a fall, or of the other outcome that `target` selects: 0 to 1.
regression       The expected change of the rating at the next inspection: points, negative = worse.
===============  ========================================================================================

Training, evaluation, gate and scoring are the same code for both: differences are methods of the task. A table shows
its task by its columns (`task_of_table`), a stored result by its provenance (`task_from_provenance`). No other code
branches on the name of a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge_assets.models.dataset import targets
from bridge_assets.models.dataset.matrix import fall_probability_column
from bridge_assets.models.metrics.bootstrap import WeightedFallMetrics
from bridge_assets.models.metrics.calibration import Reliability, reliability
from bridge_assets.models.metrics.change import ChangeMetrics, WeightedChangeMetrics, change_metrics
from bridge_assets.models.metrics.change_calibration import ChangeReliability, change_reliability
from bridge_assets.models.metrics.groups import (
    ChangeGroupMetrics,
    FallGroupMetrics,
    change_group_metrics,
    fall_group_metrics,
)
from bridge_assets.models.metrics.parts import calibration_by_rating, measure_parts
from bridge_assets.models.metrics.probability import ProbabilityMetrics, probability_metrics
from bridge_assets.models.tasks.base import AcceptanceMetric, Task
from bridge_assets.models.tasks.names import PREDICTION_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


class _Classification(Task):
    name = "classification"
    label_column, prediction_column, prediction_bounds = "fall", PREDICTION_COLUMNS["classification"], (0.0, 1.0)
    prediction_name, predictions_name, format_spec = "a probability", "probabilities", ".1%"
    intended_use = "Expected numbers of falls over many bridges: of a state, an owner, a survey year."
    out_of_scope_use = "A probability of failure, or a statement about safety: a fall is one point of a visual rating."
    limitations = (
        "Probabilities are calibrated by rating at the level of the last inspection cycle before the held-out years. "
        "Where ratings have fallen more or less often since then, expected numbers are off by as much; "
        "realised_quality shows it.",
    )
    miscalibrated_text = "fell more or less often"
    calibration_axis_labels = "Probability of a fall", "Share that fell"
    simple_baselines, average_baseline, linear_baseline = (
        ("base_rate", "rating_table"),
        "base_rate",
        "logistic_regression",
    )
    compared_baselines = ("base_rate", "rating_table", "logistic_regression", "gradient_boosting", "oracle")
    acceptance_metrics = (
        AcceptanceMetric(
            metric="auc",
            name="AUC",
            digits=4,
            baseline="rating_table",
            baseline_label="the rating table's",
            min_gain_setting="auc_gain",
            max_loss_setting="champion_auc_loss",
            unavailable_message="the ranking cannot be measured: AUC needs training inspections, and held-out "
            "inspections with and without a fall",
        ),
        AcceptanceMetric(
            metric="brier",
            name="Brier score",
            digits=5,
            baseline="base_rate",
            baseline_label="the base rate's",
            min_gain_setting="brier_gain",
            max_loss_setting="champion_brier_loss",
            unavailable_message="the probabilities cannot be measured: the Brier score needs training and held-out "
            "inspections",
            lower_is_better=True,
        ),
    )
    headline_metrics = {  # noqa: RUF012 # never changed
        "auc": ("model", "auc"),
        "auc_of_rating_table": ("rating_table", "auc"),
        "average_precision": ("model", "average_precision"),
        "brier": ("model", "brier"),
        "brier_of_base_rate": ("base_rate", "brier"),
        "falls_in_worst_10_percent": ("model", "worst_10"),
    }
    weighted_metrics_type = WeightedFallMetrics
    compute_metrics = staticmethod(probability_metrics)
    compute_reliability = staticmethod(reliability)
    compute_group_metrics = staticmethod(fall_group_metrics)
    compute_parts = staticmethod(measure_parts)
    compute_by_rating = staticmethod(calibration_by_rating)
    metrics_type, reliability_type, group_metrics_type = ProbabilityMetrics, Reliability, FallGroupMetrics

    @property
    def provenance(self) -> dict[str, str]:
        return {}  # results from before there was a second task have no entry either

    def outcomes(self, rows: pl.DataFrame) -> np.ndarray:
        return rows["fall"].to_numpy().astype(bool)

    def make_forest(self, **settings: Any) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(oob_score=True, **settings)

    def calibrate(self, forest: Any, train: pl.DataFrame, matrix: np.ndarray) -> Any:
        import numpy as np

        from bridge_assets.models.calibration.calibrated_forest import CalibratedForest
        from bridge_assets.models.calibration.fit import rating_odds
        from bridge_assets.models.dataset.matrix import feature_names

        out_of_bag = forest.oob_decision_function_
        del forest.oob_decision_function_, forest.oob_score_  # of the training rows: not part of the model
        forest.set_params(oob_score=False)
        probability = fall_probability_column(out_of_bag, forest.classes_.tolist())
        # scikit-learn gives a row without such a tree zeros.
        probability = np.where(out_of_bag.sum(axis=1) > 0, probability, np.nan)
        odds = rating_odds(probability, train, matrix, feature_names(forest)) if len(forest.classes_) == 2 else None
        return forest if odds is None else CalibratedForest.of(forest, odds)

    def make_linear_model(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000)

    def make_boosted_trees(self, **settings: Any) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(**settings)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        import numpy as np

        classes = model.classes_ if hasattr(model, "classes_") else model.classes
        return fall_probability_column(np.asarray(model.predict_proba(X)), np.asarray(classes).tolist())

    def severity(self, predictions: Any) -> Any:
        return predictions

    def describe_target(self, target: str, component: str) -> str:
        return f"the probability that at the next inspection {targets.describe_target(target, component)}"

    def target_name(self, target: str, component: str) -> str:
        return targets.target_name(target, component)

    def aggregate(self, predictions: pl.Series) -> dict[str, float]:
        return {"expected_falls": round(float(predictions.sum()), 1), "mean_fall_probability": _mean(predictions)}

    def describe_prediction(self, prediction: float) -> str:
        return f"probability that the condition falls at the next inspection: {prediction:.1%}"


class _Regression(Task):
    name = "regression"
    label_column, prediction_column = "change", PREDICTION_COLUMNS["regression"]
    prediction_bounds = (-9.0, 9.0)  # ratings are 0 to 9
    prediction_name, predictions_name, format_spec = "an expected change", "expected changes", "+.3f"
    intended_use = "Expected change of the rating over many bridges: of a state, an owner, a survey year."
    out_of_scope_use = (
        "A rate of deterioration, or a statement about safety: repairs are part of the change, and a point is one "
        "point of a visual rating."
    )
    limitations = (
        'Nine ratings in ten do not change, so "No change" has the smallest mean absolute error almost by definition. '
        "An expected change is a mean, so RMSE is the right measure.",
    )
    miscalibrated_text = "changed by more or less"
    calibration_axis_labels = "Expected change in points", "Mean change in points"
    extra_columns = ("change",)
    simple_baselines, average_baseline, linear_baseline = ("persistence", "rating_table"), "average_change", "ridge"
    compared_baselines = ("average_change", "persistence", "rating_table", "ridge", "gradient_boosting")
    acceptance_metrics = (
        AcceptanceMetric(
            metric="rmse",
            name="RMSE",
            digits=4,
            baseline="persistence",
            baseline_label='the "No change" baseline\'s',
            min_gain_setting="rmse_gain",
            max_loss_setting="champion_rmse_loss",
            unavailable_message="the expected changes cannot be measured: RMSE needs held-out inspections",
            lower_is_better=True,
        ),
        AcceptanceMetric(
            metric="spearman",
            name="rank correlation",
            digits=4,
            baseline="rating_table",
            baseline_label="the rating table's",
            min_gain_setting="spearman_gain",
            max_loss_setting="champion_spearman_loss",
            unavailable_message="the ranking cannot be measured: a rank correlation needs training inspections, and "
            "held-out inspections of which some changed",
        ),
    )
    headline_metrics = {  # noqa: RUF012 # never changed
        "rmse": ("model", "rmse"),
        "rmse_of_no_change": ("persistence", "rmse"),
        "r2": ("model", "r2"),
        "mae": ("model", "mae"),
        "mae_of_no_change": ("persistence", "mae"),
        "spearman": ("model", "spearman"),
        "spearman_of_rating_table": ("rating_table", "spearman"),
        "falls_in_worst_10_percent": ("model", "worst_10"),
    }
    weighted_metrics_type = WeightedChangeMetrics
    compute_metrics = staticmethod(change_metrics)
    compute_reliability = staticmethod(change_reliability)
    compute_group_metrics = staticmethod(change_group_metrics)
    metrics_type, reliability_type, group_metrics_type = ChangeMetrics, ChangeReliability, ChangeGroupMetrics

    @property
    def provenance(self) -> dict[str, str]:
        return {"task": self.name}

    def outcomes(self, rows: pl.DataFrame) -> np.ndarray:
        return rows["change"].to_numpy().astype(float)

    def make_forest(self, **settings: Any) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(**settings)

    def make_linear_model(self) -> Any:
        from sklearn.linear_model import Ridge

        return Ridge()

    def make_boosted_trees(self, **settings: Any) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(**settings)

    def predict(self, model: Any, X: Any) -> np.ndarray:
        import numpy as np

        return np.asarray(model.predict(X))

    def severity(self, predictions: Any) -> Any:
        return -predictions

    def describe_target(self, target: str, component: str) -> str:
        changes = targets.describe_target(targets.CHANGE, component)
        return f"by how many points {changes} at the next inspection (negative = worse)"

    def target_name(self, target: str, component: str) -> str:
        return targets.target_name(targets.CHANGE, component)

    def aggregate(self, predictions: pl.Series) -> dict[str, float]:
        return {"mean_expected_change": _mean(predictions)}

    def describe_prediction(self, prediction: float) -> str:
        return f"expected change of the rating at the next inspection: {prediction:+.2f} points"


def _mean(answers: pl.Series) -> float:
    return float(answers.to_frame().mean().item() or 0)


CLASSIFICATION, REGRESSION = _Classification(), _Regression()

#: The tasks by their name in model_config.yaml (`task`).
TASKS: Mapping[str, Task] = {task.name: task for task in (CLASSIFICATION, REGRESSION)}


def task_of_table(table: pl.DataFrame) -> Task:
    """The task of a training table or a table of predictions."""
    return (
        REGRESSION if {REGRESSION.label_column, REGRESSION.prediction_column} & set(table.columns) else CLASSIFICATION
    )


def task_from_provenance(made_from: Mapping[str, Any]) -> Task:
    """The task of a stored result, by its provenance (`Task.provenance`)."""
    return TASKS[made_from.get("task", CLASSIFICATION.name)]
