"""Rolling origin: would the model have worked in earlier years too?

For each of several cut years, a forest is trained on what was known by then and evaluated on the inspections of the
following years. The held-out structures are those of the final hold-out, so no forest is ever trained on one of them.

The scale of the features (median, mean, standard deviation) is not fitted again for each cut: it is that of the final
training inspections, and uses no outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.markdown import table
from bridge_assets.models.dataset.split import holdout_rows, split_at, train_rows
from bridge_assets.models.evaluation.baselines import baseline_forecasts
from bridge_assets.models.tasks.tasks import task_of_table

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import ModelSettings, SplitSettings


@dataclass(frozen=True, slots=True)
class RollingOriginCut:
    """A forest trained on what was known before a survey year, and its results from that year on.

    Attributes
    ----------
    first_year, last_year : int
        Survey years of the evaluation; the forest knew nothing from the first of them on.
    train_inspections, train_falls, inspections, falls : int
    trees : int
        Number of trees; fewer than in the final forest, to limit the cost.
    scores : dict of str to ProbabilityMetrics or ChangeMetrics
        base_rate (for a regression: persistence), rating_table and model; without values where there was nothing to
        train on.
    """

    first_year: int
    last_year: int
    train_inspections: int
    train_falls: int
    inspections: int
    falls: int
    trees: int
    scores: dict[str, Any]


def cut_years(training: pl.DataFrame, settings: SplitSettings) -> list[tuple[int, int]]:
    """First and last survey year of each earlier evaluation, earliest first. They do not overlap each other or the
    final hold-out.
    """
    holdout = holdout_rows(training)
    if holdout.is_empty():
        return []
    final, first = int(holdout["survey_year"].min()), int(training["survey_year"].min())  # type: ignore[arg-type]
    step = settings.rolling_years
    starts = [final - step * number for number in range(settings.rolling_cuts, 0, -1)]
    return [(start, start + step - 1) for start in starts if start > first]


def rolling_origin(
    training: pl.DataFrame,
    features: Sequence[str],
    settings: ModelSettings,
    progress: Callable[[str], None] = lambda _: None,
) -> list[RollingOriginCut]:
    """Train and evaluate at each earlier cut year.

    Parameters
    ----------
    training : pl.DataFrame
        The training table with all its rows: rows that the final split does not use are evaluated here.
    features : sequence of str
    settings : ModelSettings
    progress : callable
        Called with one line of text per cut.
    """
    task = task_of_table(training)
    forest = settings.forest.model_copy(update={"trees": min(settings.forest.trees, settings.split.rolling_trees)})
    found = []
    for cut, last in cut_years(training, settings.split):
        table = split_at(training, cut, last, settings.split.holdout_structures)
        found.append(_evaluate_cut(table, cut, last, features, forest))
        metric = task.acceptance_metrics[0]
        figure = metric.value(found[-1].scores["model"])
        progress(
            f"cut {cut}: trained on {found[-1].train_inspections:,} inspections, evaluated on "
            f"{found[-1].inspections:,}, {metric.name} {'-' if figure is None else format(figure, '.3f')}"
        )
    return found


def _evaluate_cut(table: pl.DataFrame, cut: int, last: int, features: Sequence[str], forest: Any) -> RollingOriginCut:
    from bridge_assets.models.training.train_forest import holdout_predictions, train_forest

    task, train, holdout = task_of_table(table), train_rows(table), holdout_rows(table)
    figures = dict.fromkeys((*task.simple_baselines, "model"), task.metrics_type())
    if not train.is_empty():
        answers = holdout_predictions(train_forest(table, features, forest), table, features)
        forecasts_by_name = {**baseline_forecasts(table), "model": answers}
        figures = {name: task.compute_metrics(task.outcomes(holdout), forecasts_by_name[name]) for name in figures}
    return RollingOriginCut(
        cut,
        last,
        train.height,
        int(train["fall"].sum()),
        holdout.height,
        int(holdout["fall"].sum()),
        forest.trees,
        figures,
    )


def rolling_markdown(cuts: Sequence[RollingOriginCut]) -> str:
    """The cuts as a Markdown table."""
    if not cuts:
        return "No earlier cut year was evaluated."
    columns = type(cuts[0].scores["model"]).CUT_COLUMNS
    introduction = (
        f"One forest of {cuts[0].trees} trees per cut, trained on what was known before it, without the held-out "
        f"structures."
    )
    rows = []
    for cut in cuts:
        years = str(cut.first_year) if cut.first_year == cut.last_year else f"{cut.first_year} to {cut.last_year}"
        cells = [(getattr(cut.scores[column.forecast], column.metric), column.format_spec) for column in columns]
        figures = ["-" if value is None else format(value, form) for value, form in cells]
        rows.append((years, f"{cut.train_inspections:,}", f"{cut.inspections:,}", f"{cut.falls:,}", *figures))
    header = ("evaluated on", "trained on", "inspections", "fell", *(column.heading for column in columns))
    return f"{introduction}\n\n{table(header, rows, 'lrrr' + 'r' * len(columns))}"
