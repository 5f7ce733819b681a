"""Names and sentences for the measures and kinds of drift_report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge_assets.drift import limits, recoding, schema

#: `measure` -> its name in a sentence.
MEASURE_NAMES = {
    limits.KS: "distance",
    limits.WASSERSTEIN: "mean shift",
    limits.PSI: "stability index",
    limits.MISSING: "rise of missing values",
    limits.TOTAL_VARIATION: "share of bridges with another code",
    recoding.MOVED: "codes moved without an inspection",
    recoding.CHANGED: "codes changed at once",
}

_SCHEMA_CHANGES = {
    schema.GONE: "{feature} is gone",
    schema.NEW: "{feature} is new",
    schema.RETYPED: "{feature} changed its type from {cause}",
    schema.EMPTY: "{feature} has no value any more",
    schema.FILLED: "{feature} has values for the first time",
    schema.UNKNOWN_CODES: "{feature} has unknown codes in {cause}, {share:.1%} more than before",
}


def describe_schema_change(row: Mapping[str, Any]) -> str:
    """`OWNER_022 is gone`, for a row of kind `schema`."""
    return _SCHEMA_CHANGES[row["measure"]].format(feature=row["feature"], cause=row["cause"], share=row["value"])
