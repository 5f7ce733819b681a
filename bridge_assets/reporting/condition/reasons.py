"""Formats the reasons for a prediction as text: `24 % of similar bridges deteriorated (+4.1 points)`.

Words, names and values of features are those of `reporting.feature_words` and `reporting.feature_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from bridge_assets.models.dataset.targets import CHANGE
from bridge_assets.reporting.feature_text import feature_name, feature_value
from bridge_assets.reporting.feature_words import feature_words

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
    words : str
        Both as one phrase: `61 years old`.
    raises_risk : bool
        Whether it makes a lower rating more likely: a positive contribution to a probability, a negative one to an
        expected change.
    """

    name: str
    value: str
    contribution: str
    words: str
    raises_risk: bool


def format_reasons(reasons: Iterable[ReasonEntry], target: str = "fall") -> list[Reason]:
    """The entries of the column `reasons` of one bridge as text, in the same order; `target` determines the unit."""
    is_change = target.startswith(CHANGE)
    scale, form = (1, "+.2f") if is_change else (100, "+.1f")
    return [
        Reason(
            feature_name(each["feature"]),
            feature_value(each["feature"], each["value"]),
            format(each["contribution"] * scale, form),
            feature_words(each["feature"], each["value"]),
            each["contribution"] < 0 if is_change else each["contribution"] > 0,
        )
        for each in reasons
    ]


def why(reasons: Iterable[ReasonEntry] | None, target: str = "fall") -> list[Reason]:
    """What raises the risk of a bridge, in the order of the column: the answer to why it is in a list. What lowers the
    risk is no reason for that. Without a contribution as shown, such as +0.0, it is left out.
    """
    return [
        each for each in format_reasons(reasons or (), target) if each.raises_risk and each.contribution[1:].strip("0.")
    ]


def why_text(reasons: Iterable[ReasonEntry] | None, target: str = "fall", *, raises: bool = True) -> str | None:
    """What raises the risk (or lowers it) on one line: `24 % of similar bridges deteriorated (+4.1 points); ...`.

    None if the bridge was not explained; empty if nothing raises (lowers) its risk.
    """
    if reasons is None:
        return None
    shown = (
        why(reasons, target) if raises else [each for each in format_reasons(reasons, target) if not each.raises_risk]
    )
    return "; ".join(f"{each.words} ({each.contribution} points)" for each in shown)
