"""Names and values of features for readers: `age` and `61 years`.

Both are derived from the name and unit of the feature in `data.features`, so that new features are readable without
further work; `_NAMES` has better names for some of them.
"""

from __future__ import annotations

from functools import cache

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

#: Units of the predictions (`models.tasks.names`).
_PREDICTION_UNITS = {"fall_probability": "share", "expected_change": "points"}


def feature_name(feature: str, *, with_unit: bool = False) -> str:
    """Such as `average daily traffic`, for `log_adt`; the name itself for what is no feature.

    Parameters
    ----------
    feature : str
    with_unit : bool
        Whether `years_since_repair` is `years since repair`: for a title. Before a value it is `since repair`.
    """
    words = [_WORD_REPLACEMENTS.get(word, word) for word in feature.removeprefix("log_").split("_")]
    if (
        not with_unit and words[0] == f"{_unit(feature)}s" and len(words) > 1
    ):  # years_since_repair: the value already has "years"
        words = words[1:]
    return _NAMES.get(feature, " ".join(words))


def feature_value(feature: str, value: float | None) -> str:
    """Such as `61 years`; `unknown` for None."""
    return "unknown" if value is None else _value(value, _unit(feature))


def feature_unit(feature: str) -> str:
    """Such as `years` or `per day`; empty where the value says it, as for yes and no."""
    text = feature_value(feature, 5.0)
    return text.partition(" ")[2] if _unit(feature) not in ("0/1", "share") and not text.startswith("code") else ""


def _unit(feature: str) -> str:
    return _units().get(feature, "")


@cache
def _units() -> dict[str, str]:
    from bridge_assets.data.listed_features import listed_features

    return {each.name: each.unit for each in listed_features()} | _PREDICTION_UNITS


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
