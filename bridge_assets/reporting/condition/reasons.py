"""Formats the reasons for a prediction as text: `age 61 years: +4.1 points`.

Names and values of features are those of `reporting.feature_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from bridge_assets.models.dataset.targets import CHANGE
from bridge_assets.reporting.feature_text import feature_name, feature_value

if TYPE_CHECKING:
    import polars as pl

#: One entry of the column `reasons`: feature, value, contribution.
ReasonEntry: TypeAlias = Mapping[str, Any]


class Reason(NamedTuple):
    """One contribution as text.

    Attributes
    ----------
    name : str
        Such as `age`.
    value : str
        Such as `61 years`.
    contribution : str
        `+4.1` percentage points; for an expected change, `-0.12` points of the rating.
    """

    name: str
    value: str
    contribution: str


def format_reasons(reasons: Iterable[ReasonEntry], target: str = "fall") -> list[Reason]:
    """The entries of the column `reasons` of one bridge as text, in the same order; `target` determines the unit."""
    scale, form = (1, "+.2f") if target.startswith(CHANGE) else (100, "+.1f")
    return [
        Reason(
            feature_name(each["feature"]),
            feature_value(each["feature"], each["value"]),
            format(each["contribution"] * scale, form),
        )
        for each in reasons
    ]


def reasons_text(reasons: Iterable[ReasonEntry] | None, target: str = "fall") -> str | None:
    """All reasons on one line of plain text: `age 61 years: +4.1 points; over water yes: -0.3 points`."""
    if reasons is None:
        return None
    return "; ".join(
        f"{reason.name} {reason.value}: {reason.contribution} points" for reason in format_reasons(reasons, target)
    )


def with_reasons_text(outlook: pl.DataFrame) -> pl.DataFrame:
    """Replace the column `reasons` by text, for formats that do not support lists."""
    import polars as pl

    pairs = zip(outlook["reasons"].to_list(), outlook["target"], strict=True)
    return outlook.with_columns(pl.Series("reasons", [reasons_text(*pair) for pair in pairs], pl.String))
