"""Leakage checks: features or splits that would give the model the outcome it has to predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import holdout_rows, train_rows
from bridge_assets.models.metrics.probability import roc_auc
from bridge_assets.models.tasks.tasks import TASKS

if TYPE_CHECKING:
    import polars as pl

#: Columns that identify the row (bridge, file, split) and do not describe the bridge.
IDENTIFIERS = frozenset(
    {
        "structure_key",
        "STRUCTURE_NUMBER_008",
        "survey_year",
        "inspection_date",
        "split",
        "file",
        "line_number",
    }
)

#: Labels of both tasks, and what the evaluation measures beside them.
LABEL_COLUMNS = frozenset({"becomes_poor", *(task.label_column for task in TASKS.values())})

#: A single feature that ranks falls better than this is a copy of the outcome: with all features together, a forest
#: that predicts deck falls in Massachusetts a year ahead reaches 0.71.
SUSPICIOUS_AUC = 0.97

#: With fewer falls than this, a feature may rank them perfectly by chance.
_MIN_FALLS = 25


def leakage_problems(training: pl.DataFrame, features: Sequence[str]) -> list[str]:
    """Find leaks in a training table; an empty list means that it passes.

    Parameters
    ----------
    training : pl.DataFrame
        With `structure_key`, `survey_year`, `next_survey_year`, `fall`, `split` and the features.
    features : sequence of str
        The model's inputs.

    Returns
    -------
    list of str
        Forbidden columns among the features (functions of the ratings, the outcome, identifiers), structures on both
        sides of the split, training outcomes that became known only in the held-out years, and features that almost
        determine the outcome.
    """
    return [*_forbidden_features(features), *_split_problems(training), *_suspicious_features(training, features)]


def _forbidden_features(features: Sequence[str]) -> list[str]:
    from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME

    problems = []
    for name in features:
        item = ITEMS_BY_NAME.get(name.upper())
        if item is not None and item.derived_from_ratings:
            problems.append(f"feature {name} is a function of the condition ratings ({item.meaning})")
        elif name in LABEL_COLUMNS or name.startswith("next_"):
            problems.append(f"feature {name} comes from the next inspection, which the model has to predict")
        elif name in IDENTIFIERS:
            problems.append(f"feature {name} identifies the row and does not describe the bridge")
    return problems


def _split_problems(training: pl.DataFrame) -> list[str]:
    import polars as pl

    train, holdout = train_rows(training), holdout_rows(training)
    problems = []
    both = (
        train.select("structure_key")
        .unique()
        .join(holdout.select("structure_key").unique(), on="structure_key")
        .sort("structure_key")
    )
    if both.height:
        examples = ", ".join(map(str, both["structure_key"].head(3)))
        problems.append(f"{both.height:,} structures are both in training and held out, for example {examples}")
    if train.is_empty() or holdout.is_empty():
        return problems
    first_held_out = holdout.select(pl.col("survey_year").min()).item()
    late = train.filter(pl.col("next_survey_year").is_null() | (pl.col("next_survey_year") >= first_held_out)).height
    if late:
        problems.append(
            f"the outcome of {late:,} training inspections was not known before survey year {first_held_out}, the "
            f"first held-out year"
        )
    return problems


def _suspicious_features(training: pl.DataFrame, features: Sequence[str]) -> list[str]:
    import polars as pl

    train = train_rows(training)
    falls = train["fall"].to_numpy().astype(bool)
    if min(int(falls.sum()), int((~falls).sum())) < _MIN_FALLS:
        return []
    problems = []
    for name in features:
        if name not in train.columns or not train.schema[name].is_numeric():
            continue  # `train_forest` rejects it
        auc = roc_auc(falls, train[name].cast(pl.Float64).fill_nan(None).fill_null(strategy="zero").to_numpy())
        if auc is not None and max(auc, 1 - auc) > SUSPICIOUS_AUC:
            problems.append(
                f"feature {name} alone ranks the falls with an AUC of {max(auc, 1 - auc):.3f}, more than "
                f"{SUSPICIOUS_AUC}: it almost determines the outcome"
            )
    return problems
