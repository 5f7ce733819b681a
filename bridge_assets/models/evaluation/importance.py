"""Permutation importance: the AUC that a model loses on held-out inspections when a feature is permuted.

Permuting a feature among the inspections (Breiman, Machine Learning 45, 2001) keeps its values and removes its
information. Correlated features hide each other: when one is permuted, the model still has the other. So whole families
are permuted as well, all features of a family taken from the same other inspection. The result shows what this model
relies on, not what causes deterioration. For a regression, AUC is that of ranking falls by expected change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.markdown import table
from bridge_assets.models.dataset.matrix import feature_matrix
from bridge_assets.models.dataset.split import canonical_order, holdout_rows
from bridge_assets.models.metrics.probability import roc_auc
from bridge_assets.models.tasks.tasks import task_of_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.forest.float16_forest import Float16Forest
    from bridge_assets.settings import EvaluationSettings

#: Features shown in tables and plots; evaluation.json has all of them.
MAX_FEATURES_SHOWN = 15


@dataclass(frozen=True, slots=True)
class FeatureImportance:
    """Importance of one feature or one family of features.

    Attributes
    ----------
    auc_loss : float
        AUC lost, mean over the repeats; around 0 = the model does not need it.
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
        AUC on the inspections used, with nothing permuted.
    inspections, holdout_inspections : int
        Number used and number held out: a large hold-out is sampled.
    repeats : int
        Number of permutations of each feature and family.
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
        """Restore from the values of `dataclasses.asdict`. JSON sorts names alphabetically; this restores the order."""
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
        The float16 forest: it makes the same decisions as the original and predicts ten times as fast.
    training : pl.DataFrame
        With `split`, `fall` and the features on the model's scale.
    families : mapping of str to sequence of str
        Family -> names of its features; features that the model does not have are ignored.
    settings : EvaluationSettings
        Repeats, seed, and the largest number of inspections used.

    Returns
    -------
    PermutationImportance or None
        None where AUC cannot be measured (nothing held out, or only one outcome) or there are no repeats.
    """
    import numpy as np
    from sklearn.inspection import permutation_importance as permuted

    task, holdout = task_of_table(training), canonical_order(holdout_rows(training))

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
    # scikit-learn permutes columns. Here a column stands for a group of features and holds the index of the inspection
    # that they are taken from, so permuting the column permutes the group.
    origins = np.tile(np.arange(len(falls))[:, None], len(groups))
    found = permuted(
        _group_estimator(severity, feature_matrix(sample, forest.features), groups),
        origins,
        falls,
        scoring=lambda estimator, rows, outcome: roc_auc(outcome, estimator.predict(rows)),
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
    """How the importance was measured, and how to read it."""
    drawn = (
        "" if importance.inspections == importance.holdout_inspections else f" of {importance.holdout_inspections:,}"
    )
    return (
        f"AUC lost on {importance.inspections:,}{drawn} held-out inspections (AUC {importance.auc:.3f}) when a "
        f"feature, or a whole family, is permuted among them: mean and spread of {importance.repeats} permutations. It "
        f"shows what the model relies on, not what makes bridges deteriorate. Correlated features hide each other's "
        f"importance; whole families do so less."
    )


def importance_markdown(importance: PermutationImportance | None) -> str:
    """The families and the most important features as a Markdown table, under `importance_summary`."""
    if importance is None:
        return "Not computed: there are no held-out inspections to rank."
    rest = len(importance.features) - MAX_FEATURES_SHOWN
    losses = [
        *((f"all of {family}", loss) for family, loss in importance.families.items()),
        *list(importance.features.items())[:MAX_FEATURES_SHOWN],
    ]
    rows = [(name, f"{loss.auc_loss:+.4f}", f"{loss.std:.4f}") for name, loss in losses]
    return "\n".join(
        [
            importance_summary(importance),
            "",
            table(("permuted", "AUC lost", "spread"), rows, "lrr"),
            *(["", f"{rest} more features lose less; evaluation.json has all of them."] if rest > 0 else []),
        ]
    )


def _group_estimator(
    severity: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, groups: Sequence[Sequence[int]]
) -> Any:
    """The forest as a scikit-learn estimator whose input is the origin (row index) of each group of features."""
    import numpy as np
    from sklearn.base import BaseEstimator

    identity = np.arange(len(rows))

    class Grouped(BaseEstimator):
        def fit(self, X: Any, y: Any) -> Self:
            return self  # already fitted; scikit-learn requires the method

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
