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

from bridge_assets.errors import TrainingError
from bridge_assets.models.dataset.split import holdout_rows, split_at, train_rows
from bridge_assets.models.tasks.tasks import task_of

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.models.tasks.base import Judged
    from bridge_assets.settings import ForestSettings

#: Tried by default: everything else stays as it is set.
GRID: Mapping[str, Sequence[Any]] = {"leaf": (10, 20, 40, 80), "features": ("sqrt", 0.3, 0.5), "depth": (12, 20)}


@dataclass(frozen=True, slots=True)
class Trial:
    """A forest's settings and its figures on the inner splits.

    Attributes
    ----------
    settings : ForestSettings
    scores : tuple of Scores or ChangeScores
        One for each inner split.
    """

    settings: ForestSettings
    scores: tuple[Any, ...]

    def mean(self, figure: str) -> float | None:
        """Mean over the inner splits that could be judged; None where none could."""
        known = [value for each in self.scores if (value := getattr(each, figure)) is not None]
        return sum(known) / len(known) if known else None


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
    """Try every combination of a grid, and the present settings, on training inspections.

    Parameters
    ----------
    training : pl.DataFrame
        With `split`, `fall`, in a regression `change`, structure and years, and the features, normalised.
    features : sequence of str
    base : ForestSettings
        The present settings: what the grid does not name stays, the seed included.
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
        The best first, by the mean of the figure that decides first (`Task.judged`: AUC, or RMSE); of equals, the
        earlier in the grid.

    Raises
    ------
    TrainingError
        If the training inspections span too few years for an inner split.
    """
    inner = [_inner(training, years, splits, number) for number in range(splits)]
    judged = task_of(training).judged
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if (present := {name: getattr(base, name) for name in grid}) not in combinations:
        combinations.insert(0, present)
    trials = []
    for place, changed in enumerate(combinations, start=1):
        tried = base.model_copy(update={"trees": min(base.trees, trees), **changed})
        trials.append(Trial(base.model_copy(update=changed), tuple(_scores(part, features, tried) for part in inner)))
        said = ", ".join(f"{name} {value}" for name, value in changed.items())
        figures = ", ".join(f"{each.name} {_written(trials[-1].mean(each.figure), each)}" for each in judged)
        progress(f"{place:>3} of {len(combinations)}: {said}: {figures}")
    return sorted(trials, key=lambda trial: _cost(trial, judged[0]))


def search_markdown(
    trials: Sequence[Trial], base: ForestSettings, judged: Sequence[Judged], names: Sequence[str]
) -> str:
    """The trials as a Markdown table, the present settings marked.

    Parameters
    ----------
    trials : sequence of Trial
        As `search_forest` gives them.
    base : ForestSettings
        The present settings.
    judged : sequence of Judged
        Of the task: their means are shown, and of the first one what each inner split gave.
    names : sequence of str
        The settings that were tried: the grid's.
    """
    figures = [each.name for each in judged]
    lines = [
        f"| {' | '.join(names)} | {' | '.join(figures)} | {figures[0]} of each inner split | |",
        f"|{'---:|' * (len(names) + len(figures))}---|---|",
    ]
    for trial in trials:
        cells = [
            *(str(getattr(trial.settings, name)) for name in names),
            *(_written(trial.mean(each.figure), each) for each in judged),
            ", ".join(_written(judged[0].of(each), judged[0]) for each in trial.scores),
            "now" if trial.settings == base else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def lines_to_change(base: ForestSettings, better: ForestSettings) -> list[str]:
    """Which lines of configs/model_config.yaml to change, and to what, one a setting; nothing is written."""
    from bridge_assets.settings import ModelSettings

    return [
        f"{ModelSettings.place_of('forest', name)}: {name}: {value} (now {getattr(base, name)})"
        for name, value in better.model_dump().items()
        if value != getattr(base, name)
    ]


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


def _scores(table: pl.DataFrame, features: Sequence[str], settings: ForestSettings) -> Any:
    from bridge_assets.models.training.train_forest import holdout_answers, train_forest

    task = task_of(table)
    answers = holdout_answers(train_forest(table, features, settings), table, features)
    return task.scores(task.happened(holdout_rows(table)), answers)


def _cost(trial: Trial, judged: Judged) -> float:
    mean = trial.mean(judged.figure)
    if mean is None:
        return float("inf")
    return mean if judged.lower_is_better else -mean


def _written(value: float | None, judged: Judged) -> str:
    return "-" if value is None else judged.written(value)
