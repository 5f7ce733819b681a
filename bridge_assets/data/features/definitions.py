"""All features of a bridge, each declared once: name, unit, sources, reason, version and the expression.

A feature depends on one record, on the inspections of the structure up to that record, and on the outcomes of its peers
in the files up to that year (`peers`). Nothing from the future is used, and no column that FHWA computes from the
ratings. Missing values stay null here; `normalization` fills them.
"""

from __future__ import annotations

from functools import cache

import polars as pl

from bridge_assets.data.features.base import Feature
from bridge_assets.data.features.history import CONDITION, HISTORY, HISTORY_COLUMNS, PEERS_FALL_RATE
from bridge_assets.data.features.record import ENVIRONMENT, STRUCTURE, TRAFFIC

#: Features by subject.
FAMILIES: dict[str, tuple[Feature, ...]] = {
    "traffic": TRAFFIC,
    "environment": ENVIRONMENT,
    "structure": STRUCTURE,
    "condition": CONDITION,
    "past": HISTORY,
}
FEATURES: tuple[Feature, ...] = tuple(feature for family in FAMILIES.values() for feature in family)
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def feature_expressions(features: tuple[Feature, ...]) -> list[pl.Expr]:
    """The features as Float32 columns under their names; values that are not finite become null."""
    columns = [feature.expression.cast(pl.Float32).alias(feature.name) for feature in features]
    return [
        pl.when(column.is_finite()).then(column).alias(feature.name)
        for column, feature in zip(columns, features, strict=True)
    ]


@cache
def all_feature_expressions() -> list[pl.Expr]:
    """`feature_expressions` of all features, made once: for a few rows, making them takes as long as computing them."""
    return feature_expressions(FEATURES)


@cache
def record_columns() -> tuple[str, ...]:
    """The columns of a record that the features use, in alphabetical order."""
    root_columns = {name for feature in FEATURES for name in feature.expression.meta.root_names()}
    return tuple(sorted(root_columns - {*HISTORY_COLUMNS, PEERS_FALL_RATE}))


__all__ = [
    "CONDITION",
    "ENVIRONMENT",
    "FAMILIES",
    "FEATURES",
    "FEATURE_NAMES",
    "HISTORY",
    "HISTORY_COLUMNS",
    "PEERS_FALL_RATE",
    "STRUCTURE",
    "TRAFFIC",
    "Feature",
    "all_feature_expressions",
    "feature_expressions",
    "record_columns",
]
