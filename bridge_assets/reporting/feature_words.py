"""A feature and its value as an engineer says them: `24 % of similar bridges deteriorated`, `38,400 vehicles a day`.

`feature_text` has name and value apart, for tables and titles; here they are one phrase, for reasons.
"""

from __future__ import annotations

import math

from bridge_assets.reporting.feature_text import feature_name, feature_value

#: Feature 0/1 -> what it says if it is 1, and if it is 0.
_YES_NO = {
    "on_nhs": ("on the National Highway System", "not on the National Highway System"),
    "over_water": ("over water", "not over water"),
    "reconstructed": ("has been reconstructed", "never reconstructed"),
    "concrete": ("main span of concrete", "main span not of concrete"),
    "steel": ("main span of steel", "main span not of steel"),
    "prestressed": ("main span of prestressed concrete", "main span not of prestressed concrete"),
    "timber": ("main span of timber", "main span not of timber"),
    "continuous": ("continuous spans", "no continuous spans"),
    "culvert": ("a culvert", "not a culvert"),
    "slab": ("a slab bridge", "not a slab bridge"),
    "stringer": ("a stringer bridge", "not a stringer bridge"),
    "truss": ("a truss bridge", "not a truss bridge"),
    "deck_protected": ("deck reinforcement protected", "deck reinforcement not protected"),
    "membrane": ("a membrane on the deck", "no membrane on the deck"),
    "bituminous_surface": ("a bituminous wearing surface", "no bituminous wearing surface"),
    "state_owned": ("owned by the state", "not owned by the state"),
    "condition_change_seen": ("its change to this rating is on file", "in this rating since the files begin"),
}

#: Feature -> phrase with its number; `{}` is the value as in `feature_value`, but rounded to what matters.
_PHRASES = {
    "log_adt": "{} vehicles a day",
    "log_trucks": "{} trucks a day",
    "log_adt_per_lane": "{} vehicles a day on each lane",
    "traffic_growth": "traffic forecast to be {} times that of today",
    "log_detour": "a detour of {} km",
    "log_detour_traffic": "{} vehicle-kilometres of detour a day if closed",
    "scour": "scour code {}",
    "channel": "channel rated {} of 9",
    "waterway": "waterway adequacy rated {} of 9",
    "mean_temperature": "a mean temperature of {} °C",
    "january_temperature": "a mean temperature of {} °C in January",
    "precipitation": "{} mm of precipitation a year",
    "snowfall": "snow of {} mm of water a year",
    "freeze_thaw": "{} months a year of freezing and thawing",
    "salt_exposure": "a salt exposure of {} (mm of snow × vehicles a day)",
    "log_coast_distance": "{} km from the coast",
    "age": "{} years old",
    "age_since_work": "{} years since it was built or reconstructed",
    "log_length": "{} m long",
    "log_max_span": "a longest span of {} m",
    "skew": "a skew of {}°",
    "inventory_rating": "an inventory rating of {} t",
    "condition": "a condition of {} of 9",
    "deck": "deck rated {} of 9",
    "superstructure": "superstructure rated {} of 9",
    "substructure": "substructure rated {} of 9",
    "culvert_rating": "culvert rated {} of 9",
    "years_in_condition": "{} years in this condition",
    "months_since_previous": "{} months between its last two inspections",
    "inspection_frequency": "inspected every {} months",
    "years_since_repair": "{} years since the last repair on file",
    "falls_per_year": "{} drops a year since the last repair on file",
}

#: Feature that counts -> what is counted, one and many; none is `no ...`.
_COUNTS = {
    "components_at_lowest": ("component has the lowest rating", "components share the lowest rating"),
    "falls_so_far": ("drop in condition on file", "drops in condition on file"),
    "rises_so_far": ("rise in condition on file", "rises in condition on file"),
    "repairs_so_far": ("repair on file", "repairs on file"),
    "log_spans": ("span", "spans"),
}

#: Distances from the coast are cut off here, km (`data.features.coast`).
_FAR_FROM_THE_COAST = 100

#: Singular of a phrase that begins with `1 years`, ...
_ONE = {"1 years ": "1 year ", "1 months ": "1 month ", "1 vehicles ": "1 vehicle ", "1 trucks ": "1 truck "}


def feature_words(feature: str, value: float | None) -> str:
    """A feature of a bridge in words, with its unit.

    Parameters
    ----------
    feature : str
        A feature; of another version, or unknown, it is its name and its value.
    value : float or None
        In natural units, as in bridge_features. None or NaN: the value is missing.

    Returns
    -------
    str
        Such as `24 % of similar bridges deteriorated`, `38,400 vehicles a day` or `scour unknown`.
    """
    if value is None or math.isnan(value):
        return f"{feature_name(feature)} unknown"
    if feature in _YES_NO:
        return _YES_NO[feature][0 if value else 1]
    if feature == "peers_fall_rate":
        return f"{_rounded(value * 100)} % of similar bridges deteriorated"
    if feature in ("latitude", "longitude"):
        positive, negative = ("north", "south") if feature == "latitude" else ("east", "west")
        return f"at {abs(value):.1f}° {positive if value >= 0 else negative}"
    if feature in _COUNTS:
        number = round(10**value - 1 if feature.startswith("log_") else value)
        one, many = _COUNTS[feature]
        return f"no {one}" if not number else f"{number} {one if number == 1 else many}"
    if feature not in _PHRASES:
        return f"{feature_name(feature)} {feature_value(feature, value)}"
    if feature == "traffic_growth":
        return _PHRASES[feature].format(f"{10**value:.2f}")
    natural = 10**value - 1 if feature.startswith("log_") or feature == "salt_exposure" else value
    if feature == "log_coast_distance" and natural >= _FAR_FROM_THE_COAST - 0.5:
        return f"{_FAR_FROM_THE_COAST} km or more from the coast"
    phrase = _PHRASES[feature].format(_rounded(natural))
    return next((one + phrase.removeprefix(many) for many, one in _ONE.items() if phrase.startswith(many)), phrase)


def _rounded(number: float) -> str:
    """A number with as many digits as a reader needs: `38,400`, `240`, `61`, `6.2`, `0.25`."""
    if abs(number) >= 1000:
        digits = len(f"{abs(number):.0f}") - 3
        return f"{round(number, -digits):,.0f}"
    if abs(number) >= 10 or abs(number - round(number)) < 0.005:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 1 else f"{number:.2f}"
