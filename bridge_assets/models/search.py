"""Which forest? A few settings tried on training inspections alone.

The inner splits are like the outer one: other structures, and later than what is trained on. Together they hold out
every training structure once. The outer hold-out is never looked at, so that its figures stay honest. What was found
stands in configs/model_config.yaml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from bridge_assets.models.errors import TrainingError
from bridge_assets.models.scores import Scores, scores
from bridge_assets.models.split import holdout_rows, split_at, train_rows

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import ForestSettings

#: Tried by default: everything else stays as it is set.
GRID: Mapping[str, Sequence[Any]] = {"leaf": (10, 20, 40, 80), "features": ("sqrt", 0.3, 0.5), "depth": (12, 20)}


@dataclass(frozen=True, slots=True)
class Trial:
    """A forest's settings and its figures on the inner splits.

    Attributes
    ----------
    settings : ForestSettings
    scores : tuple of Scores
        One for each inner split.
    """

    settings: ForestSettings
    scores: tuple[Scores, ...]

    @property
    def auc(self) -> float:
        """Mean over the inner splits that could be judged; 0 where none could."""
        known = [each.auc for each in self.scores if each.auc is not None]
        return sum(known) / len(known) if known else 0.0

    @property
    def brier(self) -> float:
        """Mean over the inner splits; smaller is better. It also sees probabilities too close to each other."""
        known = [each.brier for each in self.scores if each.brier is not None]
        return sum(known) / len(known) if known else 1.0


def search_forest(
    training: pl.DataFrame,
    features: Sequence[str],
    base: ForestSettings,
    grid: Mapping[str, Iterable[Any]] = GRID,
    *,
    trees: int = 60,
    splits: int = 3,
    years: int = 6,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Trial]:
    """Try every combination of a grid on training inspections.

    Parameters
    ----------
    training : pl.DataFrame
        With `split`, `fall`, structure and years, and the features, normalised.
    features : sequence of str
    base : ForestSettings
        What the grid does not name, the seed included.
    grid : mapping of str to iterable
        Field of ForestSettings -> values.
    trees : int
        Most trees of a forest tried: the order of settings shows long before the last tree.
    splits : int
        Inner splits; each holds out its own part of the structures.
    years : int
        Inner hold-out: the last survey years of the training inspections.
    progress : callable
        Told each trial, a line with its place, settings and figures.

    Returns
    -------
    list of Trial
        The best mean AUC first; of equals, the earlier in the grid.

    Raises
    ------
    TrainingError
        If the training inspections span too few years for an inner split.
    """
    inner = [_inner(training, years, splits, number) for number in range(splits)]
    combinations = list(product(*grid.values()))
    trials = []
    for place, values in enumerate(combinations, start=1):
        changed = dict(zip(grid, values, strict=True))
        tried = base.model_copy(update={"trees": min(base.trees, trees), **changed})
        trials.append(Trial(base.model_copy(update=changed), tuple(_scores(part, features, tried) for part in inner)))
        said = ", ".join(f"{name} {value}" for name, value in changed.items())
        progress(f"{place:>3} of {len(combinations)}: {said}: AUC {trials[-1].auc:.4f}, Brier {trials[-1].brier:.5f}")
    return sorted(trials, key=lambda trial: -trial.auc)


def _inner(training: pl.DataFrame, years: int, splits: int, number: int) -> pl.DataFrame:
    train = train_rows(training)
    seen = sorted(train["survey_year"].unique().to_list())
    if len(seen) <= years:
        raise TrainingError(
            f"the training inspections are of {len(seen)} survey years, too few to hold {years} of them out. What to "
            f"do: load more survey years"
        )
    share = 1 / splits if splits > 1 else 0.3
    inner = split_at(train, seen[-years], seen[-1], share, offset=number * share, salt="inner: ")
    if train_rows(inner)["fall"].n_unique() < 2 or holdout_rows(inner)["fall"].n_unique() < 2:
        raise TrainingError(
            "the inner split does not hold both outcomes on both sides. What to do: load more survey years"
        )
    return inner


def _scores(table: pl.DataFrame, features: Sequence[str], settings: ForestSettings) -> Scores:
    from bridge_assets.models.train import holdout_probability, train_forest

    falls = holdout_rows(table)["fall"].to_numpy().astype(bool)
    return scores(falls, holdout_probability(train_forest(table, features, settings), table, features))
