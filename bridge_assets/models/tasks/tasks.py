"""The two tasks, and whose a thing is.

===============  ========================================================================================
classification   The probability of a fall, or of what else `target` asks for: 0 to 1.
regression       The expected change of the rating at the next inspection: points, negative = worse.
===============  ========================================================================================

Training, evaluation, gate and scoring are the same for both: they ask the task. A table says itself whose it is
(`task_of`), and so does what was made from it (`recorded`). Nobody else decides by a task's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge_assets.models.dataset import targets
from bridge_assets.models.dataset.matrix import fall_column
from bridge_assets.models.metrics.bootstrap import Ranked
from bridge_assets.models.metrics.calibration import Reliability, reliability
from bridge_assets.models.metrics.change import ChangeScores, RankedChanges, change_scores
from bridge_assets.models.metrics.change_calibration import ChangeReliability, change_reliability
from bridge_assets.models.metrics.groups import ChangeFigures, GroupFigures, change_figures, fall_figures
from bridge_assets.models.metrics.probability import Scores, scores
from bridge_assets.models.tasks.base import Judged, Task

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


class _Classification(Task):
    name = "classification"
    label, answer, bounds = "fall", "fall_probability", (0.0, 1.0)
    answer_in_words, answers_in_words, form = "a probability", "probabilities", ".1%"
    intended = "Expected numbers of falls over many bridges: of a state, an owner, a survey year."
    not_intended = "A probability of failure, or a statement about safety: a fall is one point of a visual rating."
    is_off = "fell more or less often"
    axes = "Probability of a fall", "Share that fell"
    simple, average, linear = ("base_rate", "rating_table"), "base_rate", "logistic_regression"
    against = ("base_rate", "rating_table", "logistic_regression", "gradient_boosting", "oracle")
    judged = (
        Judged(
            figure="auc",
            name="AUC",
            digits=4,
            over="rating_table",
            over_in_words="the rating table's",
            least="auc_gain",
            most_lost="champion_auc_loss",
            cannot="the ranking cannot be judged: AUC needs training inspections, held-out falls and bridges that did "
            "not fall",
        ),
        Judged(
            figure="brier",
            name="Brier score",
            digits=5,
            over="base_rate",
            over_in_words="the base rate's",
            least="brier_gain",
            most_lost="champion_brier_loss",
            cannot="the probabilities cannot be judged: the Brier score needs training and held-out inspections",
            lower_is_better=True,
        ),
    )
    headline = {  # noqa: RUF012 # never changed
        "auc": ("model", "auc"),
        "auc_of_rating_table": ("rating_table", "auc"),
        "average_precision": ("model", "average_precision"),
        "brier": ("model", "brier"),
        "brier_of_base_rate": ("base_rate", "brier"),
        "falls_in_worst_10_percent": ("model", "worst_10"),
    }
    measured = Ranked
    scores = staticmethod(scores)
    reliability = staticmethod(reliability)
    group_figures = staticmethod(fall_figures)
    scores_type, reliability_type, group_type = Scores, Reliability, GroupFigures

    @property
    def note(self) -> dict[str, str]:
        return {}  # what was made before there was another task says nothing either

    def happened(self, rows: pl.DataFrame) -> np.ndarray:
        return rows["fall"].to_numpy().astype(bool)

    def forest(self, **settings: Any) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(**settings)

    def linear_model(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000)

    def boosted_trees(self, **settings: Any) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(**settings)

    def ask(self, model: Any, X: Any) -> np.ndarray:
        import numpy as np

        classes = model.classes_ if hasattr(model, "classes_") else model.classes
        return fall_column(np.asarray(model.predict_proba(X)), np.asarray(classes).tolist())

    def severity(self, answers: Any) -> Any:
        return answers

    def foresees(self, target: str, component: str) -> str:
        return f"the probability that at the next inspection {targets.described(target, component)}"

    def named(self, target: str, component: str) -> str:
        return targets.named(target, component)

    def in_all(self, answers: pl.Series) -> dict[str, float]:
        return {"expected_falls": round(float(answers.sum()), 1), "mean_fall_probability": _mean(answers)}

    def sentence(self, answer: float) -> str:
        return f"probability that the condition falls at the next inspection: {answer:.1%}"


class _Regression(Task):
    name = "regression"
    label, answer, bounds = "change", "expected_change", (-9.0, 9.0)  # ratings are 0 to 9
    answer_in_words, answers_in_words, form = "an expected change", "expected changes", "+.3f"
    intended = "Expected change of the rating over many bridges: of a state, an owner, a survey year."
    not_intended = (
        "A rate of deterioration, or a statement about safety: work done is part of the change, and a point is one of "
        "a visual rating."
    )
    limits = (
        'Nine ratings in ten stay, so that "same rating as now" has the smallest mean absolute error almost by '
        "definition. An expected change is a mean: RMSE judges it.",
    )
    is_off = "changed otherwise"
    axes = "Expected change in points", "Mean change in points"
    beside = ("change",)
    simple, average, linear = ("persistence", "rating_table"), "average_change", "ridge"
    against = ("average_change", "persistence", "rating_table", "ridge", "gradient_boosting")
    judged = (
        Judged(
            figure="rmse",
            name="RMSE",
            digits=4,
            over="persistence",
            over_in_words="no change's",
            least="rmse_gain",
            most_lost="champion_rmse_loss",
            cannot="the expected changes cannot be judged: RMSE needs held-out inspections",
            lower_is_better=True,
        ),
        Judged(
            figure="spearman",
            name="rank correlation",
            digits=4,
            over="rating_table",
            over_in_words="the rating table's",
            least="spearman_gain",
            most_lost="champion_spearman_loss",
            cannot="the ranking cannot be judged: a rank correlation needs training inspections, and held-out ones of "
            "which some changed",
        ),
    )
    headline = {  # noqa: RUF012 # never changed
        "rmse": ("model", "rmse"),
        "rmse_of_no_change": ("persistence", "rmse"),
        "r2": ("model", "r2"),
        "mae": ("model", "mae"),
        "mae_of_no_change": ("persistence", "mae"),
        "spearman": ("model", "spearman"),
        "spearman_of_rating_table": ("rating_table", "spearman"),
        "falls_in_worst_10_percent": ("model", "worst_10"),
    }
    measured = RankedChanges
    scores = staticmethod(change_scores)
    reliability = staticmethod(change_reliability)
    group_figures = staticmethod(change_figures)
    scores_type, reliability_type, group_type = ChangeScores, ChangeReliability, ChangeFigures

    @property
    def note(self) -> dict[str, str]:
        return {"task": self.name}

    def happened(self, rows: pl.DataFrame) -> np.ndarray:
        return rows["change"].to_numpy().astype(float)

    def forest(self, **settings: Any) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(**settings)

    def linear_model(self) -> Any:
        from sklearn.linear_model import Ridge

        return Ridge()

    def boosted_trees(self, **settings: Any) -> Any:
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(**settings)

    def ask(self, model: Any, X: Any) -> np.ndarray:
        import numpy as np

        return np.asarray(model.predict(X))

    def severity(self, answers: Any) -> Any:
        return -answers

    def foresees(self, target: str, component: str) -> str:
        changes = targets.described(targets.CHANGE, component)
        return f"by how many points {changes} at the next inspection (negative = worse)"

    def named(self, target: str, component: str) -> str:
        return targets.named(targets.CHANGE, component)

    def in_all(self, answers: pl.Series) -> dict[str, float]:
        return {"mean_expected_change": _mean(answers)}

    def sentence(self, answer: float) -> str:
        return f"expected change of the rating at the next inspection: {answer:+.2f} points"


def _mean(answers: pl.Series) -> float:
    return float(answers.to_frame().mean().item() or 0)


CLASSIFICATION, REGRESSION = _Classification(), _Regression()

#: By what `task` in model_config.yaml calls them.
TASKS: Mapping[str, Task] = {task.name: task for task in (CLASSIFICATION, REGRESSION)}


def task_of(table: pl.DataFrame) -> Task:
    """The task that a training table, or a table of predictions, is of."""
    return REGRESSION if {REGRESSION.label, REGRESSION.answer} & set(table.columns) else CLASSIFICATION


def recorded(made_from: Mapping[str, Any]) -> Task:
    """The task that something was made for, by its record (`Task.note`)."""
    return TASKS[made_from.get("task", CLASSIFICATION.name)]
