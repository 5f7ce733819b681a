"""What a model goes by: the AUC it loses on held-out inspections when a feature tells it nothing any more.

A feature is permuted among the inspections (Breiman, Machine Learning 45, 2001), so that it keeps its values and loses
what it says. Features that say the same hide each other: where one is permuted, the model still has the other. So whole
families are permuted as well, all features of one from the same other inspection. It says what this model goes by, not
what makes bridges deteriorate. The AUC of a regression is that of the falls in the order of its expected changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.models.dataset.matrix import feature_matrix
from bridge_assets.models.dataset.split import holdout_rows
from bridge_assets.models.metrics.probability import roc_auc
from bridge_assets.models.tasks.tasks import task_of_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.settings import EvaluationSettings

#: Features that the tables and pictures for people show; the rest stands in the figures.
MAX_FEATURES_SHOWN = 15


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """What one feature, or one family of them, is worth to the model.

    Attributes
    ----------
    auc_loss : float
        Mean over the repeats of the AUC lost; around 0 = the model does without.
    std : float
        Standard deviation over the repeats.
    """

    auc_loss: float
    std: float


@dataclass(frozen=True, slots=True)
class PermutationImportance:
    """The permutation importance of one model.

    Attributes
    ----------
    auc : float
        Of the inspections used, nothing permuted.
    inspections, holdout_inspections : int
        Used, and held out: of many, some are drawn.
    repeats : int
        Permutations of each.
    features, families : mapping of str to FeatureImportance
        The most important first.
    """

    auc: float
    inspections: int
    holdout_inspections: int
    repeats: int
    features: Mapping[str, FeatureImportance]
    families: Mapping[str, FeatureImportance]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From plain values, as `dataclasses.asdict` gives them; JSON has put the names in alphabetical order."""
        kinds = {
            kind: _sort_by_importance({name: FeatureImportance(**loss) for name, loss in values[kind].items()})
            for kind in ("features", "families")
        }
        return cls(**{**values, **kinds})


def permutation_importance(
    forest: Float16Forest,
    training: pl.DataFrame,
    families: Mapping[str, Sequence[str]],
    settings: EvaluationSettings,
) -> PermutationImportance | None:
    """Permute every feature, and every family, among the held-out inspections.

    Parameters
    ----------
    forest : Float16Forest
        The float16 form: it decides as the forest it was made from and answers ten times as fast.
    training : pl.DataFrame
        With `split`, `fall` and the features on the model's scale.
    families : mapping of str to sequence of str
        Family -> names of its features; those that the model does not have are left out.
    settings : EvaluationSettings
        Repeats, seed, and how many inspections are used at most.

    Returns
    -------
    Importance or None
        None where AUC cannot be measured: nothing held out, or one outcome only.
    """
    import numpy as np
    from sklearn.inspection import permutation_importance as permuted

    task, holdout = task_of_table(training), holdout_rows(training)

    def severity(rows: Any) -> np.ndarray:
        return task.severity(task.predict(forest, rows))

    if settings.importance_repeats == 0:
        return None
    sample = holdout
    if holdout.height > settings.importance_inspections:
        sample = holdout.sample(settings.importance_inspections, seed=settings.seed)
    falls = sample["fall"].to_numpy().astype(bool)
    if (auc := roc_auc(falls, severity(sample))) is None:
        return None
    column_index = {name: column for column, name in enumerate(forest.features)}
    columns_by_family = {
        name: [column_index[each] for each in names if each in column_index] for name, names in families.items()
    }
    columns_by_family = {name: columns for name, columns in columns_by_family.items() if columns}
    groups = [*([column] for column in column_index.values()), *columns_by_family.values()]
    # scikit-learn permutes columns. Here a column is a group of features and holds the inspection that they are taken
    # from: to permute it is to permute the group.
    origins = np.tile(np.arange(len(falls))[:, None], len(groups))
    found = permuted(
        _group_estimator(severity, feature_matrix(sample, forest.features), groups),
        origins,
        falls,
        scoring=lambda asked, rows, outcome: roc_auc(outcome, asked.predict(rows)),
        n_repeats=settings.importance_repeats,
        random_state=settings.seed,
    )
    losses = [
        FeatureImportance(float(mean), float(spread))
        for mean, spread in zip(found["importances_mean"], found["importances_std"], strict=True)
    ]
    return PermutationImportance(
        auc,
        sample.height,
        holdout.height,
        settings.importance_repeats,
        _sort_by_importance(dict(zip(column_index, losses[: len(column_index)], strict=True))),
        _sort_by_importance(dict(zip(columns_by_family, losses[len(column_index) :], strict=True))),
    )


def importance_summary(importance: PermutationImportance) -> str:
    """What was done, in a sentence."""
    drawn = (
        "" if importance.inspections == importance.holdout_inspections else f" of {importance.holdout_inspections:,}"
    )
    return (
        f"AUC lost on {importance.inspections:,}{drawn} held-out inspections (AUC {importance.auc:.3f}) when a "
        f"feature, or a whole family, is permuted among them: mean and spread of {importance.repeats} permutations. It "
        f"says what the model goes by, not what makes bridges deteriorate; features that say the same hide each other, "
        f"which families do not."
    )


def importance_markdown(importance: PermutationImportance | None) -> str:
    """The families and the most important features as a Markdown table, under what was done."""
    if importance is None:
        return "Not worked out: there is no held-out inspection to rank."
    rest = len(importance.features) - MAX_FEATURES_SHOWN
    return "\n".join(
        [
            importance_summary(importance),
            "",
            "| permuted | AUC lost | spread |",
            "|---|---:|---:|",
            *(
                f"| {name} | {loss.auc_loss:+.4f} | {loss.std:.4f} |"
                for name, loss in [
                    *((f"all of {family}", loss) for family, loss in importance.families.items()),
                    *list(importance.features.items())[:MAX_FEATURES_SHOWN],
                ]
            ),
            *(["", f"{rest} more features lose less; all stand in evaluation.json."] if rest > 0 else []),
        ]
    )


def _group_estimator(
    severity: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, groups: Sequence[Sequence[int]]
) -> Any:
    """The forest's order as an estimator of scikit-learn that is asked with the origins of groups of features."""
    import numpy as np
    from sklearn.base import BaseEstimator

    identity = np.arange(len(rows))

    class Grouped(BaseEstimator):
        def fit(self, X: Any, y: Any) -> Self:
            return self  # it is; scikit-learn wants to see the method

        def predict(self, origins: np.ndarray) -> np.ndarray:
            matrix = rows.copy()
            for columns, taken in self._moved(origins):
                matrix[:, columns] = rows[taken[:, None], columns]
            return severity(matrix)

        def _moved(self, origins: np.ndarray) -> Iterator[tuple[Sequence[int], np.ndarray]]:
            for column, columns in enumerate(groups):
                if not np.array_equal(taken := origins[:, column], identity):
                    yield columns, taken

    return Grouped()


def _sort_by_importance(losses: Mapping[str, FeatureImportance]) -> dict[str, FeatureImportance]:
    return dict(sorted(losses.items(), key=lambda each: (-each[1].auc_loss, each[0])))
