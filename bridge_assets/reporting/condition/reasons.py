"""Formats the reasons for a prediction as text: `age 61 years: +4.1 points`.

Name and value of a feature are derived from its name and unit in `data.features`, so that new features are readable
without further work; `_NAMES` has better names for some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from bridge_assets.models.dataset.targets import CHANGE

if TYPE_CHECKING:
    import polars as pl

#: One entry of the column `reasons`: feature, value, contribution.
ReasonEntry: TypeAlias = Mapping[str, Any]

#: Feature -> name for readers, if the name derived from the feature would be unclear.
_NAMES = {
    "components_at_lowest": "components with the lowest rating",
    "falls_per_year": "deterioration rate",
    "peers_fall_rate": "similar bridges that deteriorated",
    "salt_exposure": "salt exposure (mm of snow × vehicles per day)",
    "years_in_condition": "time in this condition",
}

#: Words in the name of a feature that are replaced.
_WORD_REPLACEMENTS = {"adt": "average daily traffic", "nhs": "the National Highway System", "january": "January"}


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
        Reason(*_name_and_value(each["feature"], each["value"]), format(each["contribution"] * scale, form))
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


def _name_and_value(feature: str, value: float | None) -> tuple[str, str]:
    from bridge_assets.data.features.definitions import FEATURES

    unit = next((each.unit for each in FEATURES if each.name == feature), "")
    words = [_WORD_REPLACEMENTS.get(word, word) for word in feature.removeprefix("log_").split("_")]
    if words[0] == f"{unit}s" and len(words) > 1:  # years_since_repair: the value already has "years"
        words = words[1:]
    return _NAMES.get(feature, " ".join(words)), "unknown" if value is None else _value(value, unit)


def _value(value: float, unit: str) -> str:
    if unit == "0/1":
        return "yes" if value else "no"
    if unit == "log10 ratio":
        return f"{10**value:.2f} times"
    if unit.startswith("log10"):  # log10 of the number plus 1, so that 0 is allowed
        return _value(10**value - 1, unit.removeprefix("log10").strip("()") or "count")
    number = _number(value)
    match unit:
        case "share":
            return f"{value * 100:.1f} %"
        case "rating 0-9":
            return f"{number} of 9"
        case "code 0-9":
            return f"code {number}"
        case "count" | "":
            return number
        case "year" | "month":
            return f"{number} {unit}" + ("" if number == "1" else "s")
        case "deg":
            return f"{number}°"
        case _ if " x " in unit:  # a proxy, whose unit is in its name: two significant digits
            return _number(float(f"{value:.2g}"))
        case _:
            numerator, slash, denominator = unit.partition("/")
            return (
                f"{number} {numerator} per {denominator}".replace(" 1 per ", " per ") if slash else f"{number} {unit}"
            )


def _number(value: float) -> str:
    if abs(value) >= 100 or abs(value - round(value)) < 0.005:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
