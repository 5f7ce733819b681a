"""Leaks: ways in which a model could know what it is asked to foresee."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge_assets.models.dataset.split import holdout_rows, train_rows
from bridge_assets.models.metrics.probability import roc_auc
from bridge_assets.models.tasks.tasks import TASKS

if TYPE_CHECKING:
    import polars as pl

#: Say which bridge, which file or which part of the split a row is, and nothing about the bridge.
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

#: What is learnt, of either task.
LABEL_COLUMNS = frozenset(task.label_column for task in TASKS.values())

#: A feature that ranks falls better than this by itself is a copy of the answer: with all features together, a
#: forest that foresees deck falls in Massachusetts a year ahead reaches 0.71.
SUSPICIOUS_AUC = 0.97

#: Fewer falls than this may be ranked perfectly by chance.
_MIN_FALLS = 25


def leakage_problems(training: pl.DataFrame, features: Sequence[str]) -> list[str]:
    """Leaks in a training table; an empty list lets it pass.

    Parameters
    ----------
    training : pl.DataFrame
        With `structure_key`, `survey_year`, `next_survey_year`, `fall`, `split` and the features.
    features : sequence of str
        What the model is given.

    Returns
    -------
    list of str
        Forbidden columns among the features (functions of the ratings, the outcome, identifiers), structures on both
        sides of the split, training outcomes that became known only in the held-out years, and features that all but
        give the answer.
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
            problems.append(f"feature {name} is made from the next inspection, which is what the model is asked for")
        elif name in IDENTIFIERS:
            problems.append(f"feature {name} says which row it is and nothing about the bridge")
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
        problems.append(f"{both.height:,} structures are both trained on and held out, such as {examples}")
    if train.is_empty() or holdout.is_empty():
        return problems
    first_held_out = holdout.select(pl.col("survey_year").min()).item()
    late = train.filter(pl.col("next_survey_year").is_null() | (pl.col("next_survey_year") >= first_held_out)).height
    if late:
        problems.append(
            f"the outcome of {late:,} training inspections was not known before survey year {first_held_out}, the "
            f"first that is held out"
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
            continue  # `train_forest` refuses it
        auc = roc_auc(falls, train[name].cast(pl.Float64).fill_nan(None).fill_null(strategy="zero").to_numpy())
        if auc is not None and max(auc, 1 - auc) > SUSPICIOUS_AUC:
            problems.append(
                f"feature {name} alone ranks the falls with an AUC of {max(auc, 1 - auc):.3f}, more than "
                f"{SUSPICIOUS_AUC}: it all but gives the answer"
            )
    return problems
