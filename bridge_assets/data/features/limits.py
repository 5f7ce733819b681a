"""The values that a feature can have, in the words of the Coding Guide, for the check of a request.

Shipped in a bundle (`deployment.core.code_archive`), so it imports neither the definitions nor their listing; a test
compares it with both. The limits are those of an item's field or of what it measures: whatever they exclude is a
mistake, such as another item's code or another unit. They do not say what is likely.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class Limit(NamedTuple):
    """What a feature's values are.

    Attributes
    ----------
    least, most : float
    words : str
        Such as `a rating is 0 to 9`.
    """

    least: float
    most: float
    words: str


class FeatureLimit(NamedTuple):
    """The limit of one feature, and the NBI items that it is made from: their numbers, or words for earlier files."""

    limit: Limit
    items: str

    def message(self, feature: str, value: float) -> str:
        """Such as `condition 12: a rating is 0 to 9 (NBI items 58-60, 62)`."""
        return f"{feature} {value:g}: {self.limit.words} ({self.source})"

    @property
    def source(self) -> str:
        """Such as `NBI item 58`."""
        if not self.items[0].isdigit():
            return f"from {self.items}"
        return (
            f"NBI item{'s' if any(mark in self.items for mark in ',-') or ' and ' in self.items else ''} {self.items}"
        )


#: How far a value may lie outside: a bundle's probe has values that were scaled, rounded to float16 and scaled back.
SLACK = 0.05

RATING = Limit(0, 9, "a rating is 0 to 9")
CODE = Limit(0, 9, "a code is 0 to 9")
YES_NO = Limit(0, 1, "it is 1 for yes and 0 for no")
SHARE = Limit(0, 1, "a share is 0 to 1")
LATITUDE = Limit(-90, 90, "a latitude is -90 to 90 degrees")
LONGITUDE = Limit(-180, 180, "a longitude is -180 to 180 degrees; west of Greenwich it is negative")
SKEW = Limit(0, 90, "a skew is 0 to 90 degrees; 99 (major variation) is a missing value")
#: The records of the Earth are -89 and 57 degrees Celsius (World Meteorological Organization).
CELSIUS = Limit(-90, 60, "a temperature is in degrees Celsius, -90 to 60")
#: The wettest place on Earth has 12,000 mm a year.
MILLIMETRES = Limit(0, 15_000, "it is in mm a year, 0 to 15,000")
MONTHS_OF_YEAR = Limit(0, 12, "it is a number of months in a year, 0 to 12")
#: No bridge in the United States is 400 years old.
YEARS = Limit(0, 400, "it is a number of years, 0 to 400")
MONTHS = Limit(0, 4_800, "it is a number of months, 0 to 4,800")
#: Items 58 to 60 and 62 are four components.
COMPONENTS = Limit(0, 4, "it is a number of components, 0 to 4")
COUNT = Limit(0, 400, "it is a number of changes, 0 to 400")
PER_YEAR = Limit(0, 400, "it is a number of changes a year, 0 to 400")
#: Item 66 has three digits, in tenths of a metric ton; 99.9 is the code for an unlimited one, a missing value.
TONNES = Limit(0, 99.9, "a load rating is in metric tons, 0 to 99.9; 99 and more (unlimited) is a missing value")
#: Of two numbers of six digits.
LOG_RATIO = Limit(-6, 6, "it is the base-10 logarithm of a ratio, -6 to 6")
#: Of the product of an item of six digits and one of three, or of 15,000 mm, plus 1: not yet a logarithm if larger.
LOG = Limit(0, 11, "it is the base-10 logarithm of the value plus 1, 0 to 11")

#: Feature -> limit, and the NBI items it is made from.
_LIMITS = {
    "log_adt": (LOG, "29"),
    "log_trucks": (LOG, "29, 109"),
    "log_adt_per_lane": (LOG, "29, 28A"),
    "traffic_growth": (LOG_RATIO, "29, 114"),
    "log_detour": (LOG, "19"),
    "log_detour_traffic": (LOG, "19, 29"),
    "on_nhs": (YES_NO, "104"),
    "latitude": (LATITUDE, "16"),
    "longitude": (LONGITUDE, "17"),
    "over_water": (YES_NO, "42B"),
    "scour": (CODE, "113"),
    "channel": (RATING, "61"),
    "waterway": (RATING, "71"),
    "mean_temperature": (CELSIUS, "1"),
    "january_temperature": (CELSIUS, "1"),
    "precipitation": (MILLIMETRES, "1"),
    "snowfall": (MILLIMETRES, "1"),
    "freeze_thaw": (MONTHS_OF_YEAR, "1"),
    "salt_exposure": (LOG, "1, 29"),
    "log_coast_distance": (LOG, "16, 17"),
    "age": (YEARS, "27"),
    "age_since_work": (YEARS, "27, 106"),
    "reconstructed": (YES_NO, "106"),
    "concrete": (YES_NO, "43A"),
    "steel": (YES_NO, "43A"),
    "prestressed": (YES_NO, "43A"),
    "timber": (YES_NO, "43A"),
    "continuous": (YES_NO, "43A"),
    "culvert": (YES_NO, "43B"),
    "slab": (YES_NO, "43B"),
    "stringer": (YES_NO, "43B"),
    "truss": (YES_NO, "43B"),
    "log_length": (LOG, "49"),
    "log_max_span": (LOG, "48"),
    "log_spans": (LOG, "45, 46"),
    "skew": (SKEW, "34"),
    "deck_protected": (YES_NO, "108C"),
    "membrane": (YES_NO, "108B"),
    "bituminous_surface": (YES_NO, "108A"),
    "inventory_rating": (TONNES, "66"),
    "state_owned": (YES_NO, "22"),
    "condition": (RATING, "58-60, 62"),
    "deck": (RATING, "58"),
    "superstructure": (RATING, "59"),
    "substructure": (RATING, "60"),
    "culvert_rating": (RATING, "62"),
    "components_at_lowest": (COMPONENTS, "58-60, 62"),
    "years_in_condition": (YEARS, "90 and earlier files"),
    "months_since_previous": (MONTHS, "90 and earlier files"),
    "inspection_frequency": (MONTHS, "91"),
    "falls_so_far": (COUNT, "earlier files"),
    "rises_so_far": (COUNT, "earlier files"),
    "condition_change_seen": (YES_NO, "earlier files"),
    "repairs_so_far": (COUNT, "27, 106, 43, 107, 108, 113 and earlier files"),
    "years_since_repair": (YEARS, "27, 106, 43, 107, 108, 113 and earlier files"),
    "falls_per_year": (PER_YEAR, "earlier files"),
    "peers_fall_rate": (SHARE, "1, 43A, 58-60, 62 and earlier files"),
}


@cache
def feature_limits(features: tuple[str, ...]) -> tuple[FeatureLimit, ...] | None:
    """The limit of each feature of a model; None if one of them is not known here: then the others may differ as well.

    Parameters
    ----------
    features : tuple of str
        In the model's order.
    """
    if not features or not _LIMITS.keys() >= set(features):
        return None
    return tuple(FeatureLimit(*_LIMITS[name]) for name in features)
