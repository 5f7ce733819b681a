"""Rolling origin: would the model have worked in earlier years, too?

For each of several cut years a forest is trained on what was known by then, and asked about the inspections of the
following years. Held out are the same structures as in the final hold-out, so that no forest here or there has learnt
from one of them.

What is not repeated for each cut is the scale of the features (median, mean, standard deviation): it is that of the
final training inspections and knows no outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge_assets.models.baselines import base_rate, rating_table
from bridge_assets.models.scores import Scores, scores
from bridge_assets.models.split import holdout_rows, split_at, train_rows

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.settings import ModelSettings, SplitSettings


@dataclass(frozen=True, slots=True)
class Cut:
    """A forest trained on what was known before a survey year, and what it showed from then on.

    Attributes
    ----------
    first_year, last_year : int
        Survey years tested on; nothing of the first or later was known to the forest.
    train_inspections, train_falls, inspections, falls : int
    trees : int
        Of the forest; fewer than in the final one, to bound the cost.
    scores : dict of str to Scores
        base_rate, rating_table and model; without figures where there was nothing to train on.
    """

    first_year: int
    last_year: int
    train_inspections: int
    train_falls: int
    inspections: int
    falls: int
    trees: int
    scores: dict[str, Scores]


def cut_years(training: pl.DataFrame, settings: SplitSettings) -> list[tuple[int, int]]:
    """First and last survey year of each earlier test, the earliest first; they neither overlap nor reach into the
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
) -> list[Cut]:
    """Train and test at each earlier cut year.

    Parameters
    ----------
    training : pl.DataFrame
        The training table with all its rows: those that the final split does not use are tested on here.
    features : sequence of str
    settings : ModelSettings
    progress : callable
        Told what was done, a line a cut.
    """
    forest = settings.forest.model_copy(update={"trees": min(settings.forest.trees, settings.split.rolling_trees)})
    found = []
    for cut, last in cut_years(training, settings.split):
        table = split_at(training, cut, last, settings.split.holdout_structures)
        found.append(_cut(table, cut, last, features, forest))
        auc = found[-1].scores["model"].auc
        progress(
            f"cut {cut}: {found[-1].train_inspections:,} inspections trained on, {found[-1].inspections:,} tested, "
            f"AUC {'-' if auc is None else format(auc, '.3f')}"
        )
    return found


def _cut(table: pl.DataFrame, cut: int, last: int, features: Sequence[str], forest: Any) -> Cut:
    from bridge_assets.models.train import holdout_probability, train_forest

    train, holdout = train_rows(table), holdout_rows(table)
    figures: dict[str, Scores] = {name: Scores() for name in ("base_rate", "rating_table", "model")}
    if not train.is_empty():
        falls = holdout["fall"].to_numpy().astype(bool)
        probability = holdout_probability(train_forest(table, features, forest), table, features)
        forecasts = {"base_rate": base_rate(table), "rating_table": rating_table(table), "model": probability}
        figures = {name: Scores() if said is None else scores(falls, said) for name, said in forecasts.items()}
    return Cut(
        cut,
        last,
        train.height,
        int(train["fall"].sum()),
        holdout.height,
        int(holdout["fall"].sum()),
        forest.trees,
        figures,
    )


def rolling_markdown(cuts: Sequence[Cut]) -> str:
    """The cuts as a Markdown table."""
    if not cuts:
        return "No earlier cut year was evaluated."
    lines = [
        f"A forest of {cuts[0].trees} trees for each cut, trained on what was known before it, on other structures.",
        "",
        "| tested on | trained on | inspections | fell | AUC of rating table | AUC | average precision | Brier | "
        "worst 10 % |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cut in cuts:
        years = str(cut.first_year) if cut.first_year == cut.last_year else f"{cut.first_year} to {cut.last_year}"
        model, table = cut.scores["model"], cut.scores["rating_table"]
        cells = [
            *((table.auc, ".3f"), (model.auc, ".3f"), (model.average_precision, ".3f"), (model.brier, ".4f")),
            (model.worst_10, ".1%"),
        ]
        figures = " | ".join("-" if value is None else format(value, form) for value, form in cells)
        lines.append(f"| {years} | {cut.train_inspections:,} | {cut.inspections:,} | {cut.falls:,} | {figures} |")
    return "\n".join(lines)
