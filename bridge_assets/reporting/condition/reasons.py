"""The reasons of a prediction as a person reads them: `age 61 years: +4.1 points`.

What a feature is called and how its value reads follow from its name and unit in `data.features`, so that a new feature
reads as well as the old ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from bridge_assets.models.dataset.targets import CHANGE

if TYPE_CHECKING:
    import polars as pl

#: One entry of the column `reasons`: feature, value, contribution.
ReasonEntry: TypeAlias = Mapping[str, Any]

#: Words of a feature's name that are written otherwise.
_WORD_REPLACEMENTS = {"adt": "average daily traffic", "nhs": "the National Highway System", "january": "January"}


class Reason(NamedTuple):
    """One contribution in words.

    Attributes
    ----------
    name : str
        `age`.
    value : str
        `61 years`.
    contribution : str
        `+4.1`: percentage points; of an expected change `-0.12`: points of the rating.
    """

    name: str
    value: str
    contribution: str


def format_reasons(reasons: Iterable[ReasonEntry], target: str = "fall") -> list[Reason]:
    """The entries of the column `reasons` of one bridge in words, in their order; `target` is what they are of."""
    scale, form = (1, "+.2f") if target.startswith(CHANGE) else (100, "+.1f")
    return [
        Reason(*_name_and_value(each["feature"], each["value"]), format(each["contribution"] * scale, form))
        for each in reasons
    ]


def reasons_text(reasons: Iterable[ReasonEntry] | None, target: str = "fall") -> str | None:
    """All of them in one line of plain text: `age 61 years: +4.1 points; over water yes: -0.3 points`."""
    if reasons is None:
        return None
    return "; ".join(
        f"{reason.name} {reason.value}: {reason.contribution} points" for reason in format_reasons(reasons, target)
    )


def with_reasons_text(outlook: pl.DataFrame) -> pl.DataFrame:
    """The same table with the column `reasons` as text, for what holds no lists."""
    import polars as pl

    of_bridges = zip(outlook["reasons"].to_list(), outlook["target"], strict=True)
    return outlook.with_columns(pl.Series("reasons", [reasons_text(*each) for each in of_bridges], pl.String))


def _name_and_value(feature: str, value: float | None) -> tuple[str, str]:
    from bridge_assets.data.features.definitions import FEATURES

    unit = next((each.unit for each in FEATURES if each.name == feature), "")
    words = [_WORD_REPLACEMENTS.get(word, word) for word in feature.removeprefix("log_").split("_")]
    if words[0] == f"{unit}s" and len(words) > 1:  # years_in_condition: the value says "years"
        words = words[1:]
    return " ".join(words), "unknown" if value is None else _value(value, unit)


def _value(value: float, unit: str) -> str:
    if unit == "0/1":
        return "yes" if value else "no"
    if unit == "log10 ratio":
        return f"{10**value:.2f} times"
    if unit.startswith("log10"):  # of 1 more than the number, so that 0 has one too
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
        case _ if " x " in unit:  # a product of unlike things: no unit that says anything, and no digits beyond two
            return _number(float(f"{value:.2g}"))
        case _:
            of_what, per, time = unit.partition("/")
            return f"{number} {of_what} a {time}".replace(" 1 a ", " a ") if per else f"{number} {unit}"


def _number(value: float) -> str:
    if abs(value) >= 100 or abs(value - round(value)) < 0.005:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"
