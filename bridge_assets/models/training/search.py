"""Tune the forest's settings with a grid search on the training inspections.

The inner splits are made like the outer one: held-out structures, in later years than the training years. Together they
hold out every training structure once. The outer hold-out is never used, so its metrics stay unbiased. The settings
that were found are in configs/model_config.yaml.
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

#: Default grid; all other settings keep their configured values.
GRID: Mapping[str, Sequence[Any]] = {"leaf": (10, 20, 40, 80), "features": ("sqrt", 0.3, 0.5), "depth": (12, 20)}


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings of a forest and its metrics on the inner splits.

    Attributes
    ----------
    settings : ForestSettings
    scores : tuple of ProbabilityMetrics or ChangeMetrics
        One for each inner split.
    """

    settings: ForestSettings
    scores: tuple[Any, ...]

    def mean_metric(self, metric: str) -> float | None:
        """Mean over the inner splits in which the metric could be measured; None if there are none."""
        known = [value for each in self.scores if (value := getattr(each, metric)) is not None]
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
    """Try every combination of a grid, and the current settings, on training inspections.

    Parameters
    ----------
    training : pl.DataFrame
        With `split`, `fall`, for a regression `change`, structure and years, and the features, normalised.
    features : sequence of str
    base : ForestSettings
        The current settings; settings that are not in the grid keep these values, including the seed.
    grid : mapping of str to iterable
        Field of ForestSettings -> values.
    trees : int
        Maximum number of trees per trial: few trees are enough to rank the settings.
    splits : int
        Number of inner splits; each holds out another part of the structures.
    years : int
        Number of survey years in the inner hold-out, the last ones of the training inspections.
    progress : callable
        Called once per trial with a line of text: its number, settings and metrics.

    Returns
    -------
    list of Trial
        The best first, by the mean of the first acceptance metric (`Task.acceptance_metrics`: AUC, or RMSE); ties in
        grid order.

    Raises
    ------
    TrainingError
        If the training inspections span too few years for an inner split.
    """
    inner = [_inner_split(training, years, splits, number) for number in range(splits)]
    metrics = task_of_table(training).acceptance_metrics
    combinations = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if (current := {name: getattr(base, name) for name in grid}) not in combinations:
        combinations.insert(0, current)
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
    """The trials as a Markdown table in which the current settings are marked.

    Parameters
    ----------
    trials : sequence of Trial
        Result of `search_forest`.
    base : ForestSettings
        The current settings.
    metrics : sequence of AcceptanceMetric
        Metrics of the task. The table shows their means, and the value of the first one on each inner split.
    names : sequence of str
        Names of the settings in the grid.
    """
    metric_names = [each.name for each in metrics]
    rows = []
    for trial in trials:
        cells = [
            *(str(getattr(trial.settings, name)) for name in names),
            *(_format_metric(trial.mean_metric(each.metric), each) for each in metrics),
            ", ".join(_format_metric(metrics[0].value(each), metrics[0]) for each in trial.scores),
            "now" if trial.settings == base else "",
        ]
        rows.append(cells)
    header = (*names, *metric_names, f"{metric_names[0]} by inner split", "")
    return table(header, rows, "r" * (len(names) + len(metric_names)))


def config_changes(base: ForestSettings, better: ForestSettings) -> list[str]:
    """The suggested changes to configs/model_config.yaml, one line per setting; nothing is written."""
    from bridge_assets.settings import ModelSettings

    return [
        f"{ModelSettings.setting_location('forest', name)}: {name}: {value} (now {getattr(base, name)})"
        for name, value in better.model_dump().items()
        if value != getattr(base, name)
    ]


def _inner_split(training: pl.DataFrame, years: int, splits: int, number: int) -> pl.DataFrame:
    train = train_rows(training)
    train_years = sorted(train["survey_year"].unique().to_list())
    if len(train_years) <= years:
        raise TrainingError(
            f"the training inspections span {len(train_years)} survey years, too few to hold out {years} of them",
            do="load more survey years",
        )
    share = 1 / splits if splits > 1 else 0.3
    # Settings are only ranked here, all on the same rows: years that were not complete by the inner cut do no harm, and
    # without them few years are left.
    cut, last = train_years[-years], train_years[-1]
    inner = split_at(train, cut, last, share, offset=number * share, salt="inner: ", complete_years=False)
    if train_rows(inner)["fall"].n_unique() < 2 or holdout_rows(inner)["fall"].n_unique() < 2:
        raise TrainingError(
            "an inner split has only falls, or none, on one of its sides; both outcomes are needed",
            do="load more survey years",
        )
    return inner


def _evaluate_split(table: pl.DataFrame, features: Sequence[str], settings: ForestSettings) -> Any:
    from bridge_assets.models.training.train_forest import holdout_predictions, train_forest

    task = task_of_table(table)
    predictions = holdout_predictions(train_forest(table, features, settings), table, features)
    return task.compute_metrics(task.outcomes(holdout_rows(table)), predictions)


def _sort_key(trial: Trial, metric: AcceptanceMetric) -> float:
    mean = trial.mean_metric(metric.metric)
    if mean is None:
        return float("inf")
    return mean if metric.lower_is_better else -mean


def _format_metric(value: float | None, metric: AcceptanceMetric) -> str:
    return "-" if value is None else metric.format_value(value)
