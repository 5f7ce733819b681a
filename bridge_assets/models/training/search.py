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
from bridge_assets.markdown import table
from bridge_assets.models.dataset.split import holdout_rows, split_at, train_rows
from bridge_assets.models.tasks.tasks import task_of_table

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.models.tasks.base import AcceptanceMetric
    from bridge_assets.settings import ForestSettings

#: Tried by default: everything else stays as it is set.
GRID: Mapping[str, Sequence[Any]] = {"leaf": (10, 20, 40, 80), "features": ("sqrt", 0.3, 0.5), "depth": (12, 20)}


@dataclass(frozen=True, slots=True)
class Trial:
    """A forest's settings and its figures on the inner splits.

    Attributes
    ----------
    settings : ForestSettings
    scores : tuple of ProbabilityMetrics or ChangeMetrics
        One for each inner split.
    """

    settings: ForestSettings
    scores: tuple[Any, ...]

    def mean_metric(self, figure: str) -> float | None:
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
        The best first, by the mean of the figure that decides first (`Task.acceptance_metrics`: AUC, or RMSE); of
        equals, the earlier in the grid.

    Raises
    ------
    TrainingError
        If the training inspections span too few years for an inner split.
    """
    inner = [_inner_split(training, years, splits, number) for number in range(splits)]
    metrics = task_of_table(training).acceptance_metrics
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if (present := {name: getattr(base, name) for name in grid}) not in combinations:
        combinations.insert(0, present)
    trials = []
    for place, changed in enumerate(combinations, start=1):
        trial_settings = base.model_copy(update={"trees": min(base.trees, trees), **changed})
        trials.append(
            Trial(
                base.model_copy(update=changed),
                tuple(_evaluate_split(part, features, trial_settings) for part in inner),
            )
        )
        settings_text = ", ".join(f"{name} {value}" for name, value in changed.items())
        figures = ", ".join(
            f"{each.name} {_format_metric(trials[-1].mean_metric(each.metric), each)}" for each in metrics
        )
        progress(f"{place:>3} of {len(combinations)}: {settings_text}: {figures}")
    return sorted(trials, key=lambda trial: _sort_key(trial, metrics[0]))


def search_markdown(
    trials: Sequence[Trial], base: ForestSettings, metrics: Sequence[AcceptanceMetric], names: Sequence[str]
) -> str:
    """The trials as a Markdown table, the present settings marked.

    Parameters
    ----------
    trials : sequence of Trial
        As `search_forest` gives them.
    base : ForestSettings
        The present settings.
    metrics : sequence of CalibrationResult
        Of the task: their means are shown, and of the first one what each inner split gave.
    names : sequence of str
        The settings that were tried: the grid's.
    """
    figures = [each.name for each in metrics]
    rows = []
    for trial in trials:
        cells = [
            *(str(getattr(trial.settings, name)) for name in names),
            *(_format_metric(trial.mean_metric(each.metric), each) for each in metrics),
            ", ".join(_format_metric(metrics[0].value(each), metrics[0]) for each in trial.scores),
            "now" if trial.settings == base else "",
        ]
        rows.append(cells)
    header = (*names, *figures, f"{figures[0]} of each inner split", "")
    return table(header, rows, "r" * (len(names) + len(figures)))


def config_changes(base: ForestSettings, better: ForestSettings) -> list[str]:
    """Which lines of configs/model_config.yaml to change, and to what, one a setting; nothing is written."""
    from bridge_assets.settings import ModelSettings

    return [
        f"{ModelSettings.setting_location('forest', name)}: {name}: {value} (now {getattr(base, name)})"
        for name, value in better.model_dump().items()
        if value != getattr(base, name)
    ]


def _inner_split(training: pl.DataFrame, years: int, splits: int, number: int) -> pl.DataFrame:
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


def _evaluate_split(table: pl.DataFrame, features: Sequence[str], settings: ForestSettings) -> Any:
    from bridge_assets.models.training.train_forest import holdout_predictions, train_forest

    task = task_of_table(table)
    answers = holdout_predictions(train_forest(table, features, settings), table, features)
    return task.compute_metrics(task.outcomes(holdout_rows(table)), answers)


def _sort_key(trial: Trial, metric: AcceptanceMetric) -> float:
    mean = trial.mean_metric(metric.metric)
    if mean is None:
        return float("inf")
    return mean if metric.lower_is_better else -mean


def _format_metric(value: float | None, metric: AcceptanceMetric) -> str:
    return "-" if value is None else metric.format_value(value)
