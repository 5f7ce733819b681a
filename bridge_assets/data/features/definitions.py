"""The features of a bridge, declared once: name, unit, sources, reason, and the expression that makes it.

Every feature is a function of one record, of the structure's inspections up to it, and of what the files up to that
year tell of its peers (`peers`); nothing of the future and no column that FHWA computes from the ratings. Missing stays
missing here (null); `normalization` fills it.
"""

from __future__ import annotations

import polars as pl

from bridge_assets.data.features.base import Feature
from bridge_assets.data.features.history import CONDITION, HISTORY, HISTORY_COLUMNS, PEERS_FALL_RATE
from bridge_assets.data.features.record import ENVIRONMENT, STRUCTURE, TRAFFIC

#: Features that go together, by what they are about.
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
    """The features as Float32 columns under their names; what is not finite is null."""
    columns = [feature.expression.cast(pl.Float32).alias(feature.name) for feature in features]
    return [
        pl.when(column.is_finite()).then(column).alias(feature.name)
        for column, feature in zip(columns, features, strict=True)
    ]


def record_columns() -> tuple[str, ...]:
    """The columns of a record that the features are made from, in alphabetical order."""
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
    "feature_expressions",
    "record_columns",
]
