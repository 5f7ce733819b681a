"""Names and sentences for the measures and kinds of drift_report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bridge_assets.drift import limits, recoding, schema
from bridge_assets.reporting.feature_text import feature_value
from bridge_assets.reporting.wording import DASH, has_value, share

if TYPE_CHECKING:
    from bridge_assets.reporting.drift.distributions import Distribution

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

#: `measure` -> what it says, for readers.
MEASURE_MEANINGS = {
    limits.KS: "largest difference between the shares of bridges at or below a value (Kolmogorov-Smirnov)",
    limits.WASSERSTEIN: "how far the values moved on average (Wasserstein), in the scale of the model",
    limits.PSI: "differences of the shares in ten groups (population stability index); below 0.1 reads as stable",
    limits.MISSING: "share of bridges without a value, less that in the reference years",
    limits.TOTAL_VARIATION: "share of bridges that would need another code for the shares to be as before",
    recoding.MOVED: "the same on bridges that were not inspected anew",
    recoding.CHANGED: "share of all bridges whose code is another than in the year before",
}

#: Measures that are shares of the bridges.
_SHARES = (limits.KS, limits.MISSING, limits.TOTAL_VARIATION, recoding.MOVED, recoding.CHANGED)

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


def measure_value(measure: str, value: float | None, feature: str) -> str:
    """A value or a threshold for readers: shares in percent, others with three decimals."""
    if not has_value(value):
        return DASH
    return share(value) if measure in _SHARES and value >= 0 else f"{value:.3f}"


def describe_distribution(found: Distribution) -> list[str]:
    """One to three sentences: the middle, the largest gap, and missing values."""
    sentences = []
    if found.bins and found.is_yes_or_no:
        yes = next((each for each in found.bins if each.low == 1.0), None)
        now, before = (yes.year, yes.reference) if yes else (0.0, 0.0)
        sentences.append(f"Yes for {share(now)} of the bridges; {share(before)} in the reference years.")
    elif found.bins:
        now, before = (feature_value(found.name, value) for value in (found.year_median, found.reference_median))
        middle = f"Half of the bridges have at most {now}"
        sentences.append(
            f"{middle}, as in the reference years." if now == before else f"{middle}; {before} in the reference years."
        )
        shares = (share(each) if each else "none" for each in (found.year_below, found.reference_below))
        sentences.append(
            "The difference is largest at {}: {} of the bridges have at most that, {} in the reference years.".format(
                feature_value(found.name, found.gap_at), *shares
            )
        )
    if max(found.reference_missing, found.year_missing) >= 0.0005:
        sentences.append(
            f"No value for {share(found.year_missing)} of the bridges; {share(found.reference_missing)} before."
        )
    return sentences
