"""A feature and its value are one phrase, with the unit, as it is said aloud."""

from __future__ import annotations

import math

import pytest

from bridge_assets.data.features.definitions import FEATURES
from bridge_assets.reporting.feature_words import feature_words


@pytest.mark.parametrize(
    ("feature", "value", "words"),
    [
        ("peers_fall_rate", 0.241, "24 % of similar bridges deteriorated"),
        ("peers_fall_rate", 0.064, "6.4 % of similar bridges deteriorated"),
        ("peers_fall_rate", 0.0, "0 % of similar bridges deteriorated"),
        ("log_adt", math.log10(38_413), "38,400 vehicles a day"),
        ("log_adt", math.log10(2), "1 vehicle a day"),
        ("components_at_lowest", 3.0, "3 components share the lowest rating"),
        ("components_at_lowest", 1.0, "1 component has the lowest rating"),
        ("falls_so_far", 0.0, "no drop in condition on file"),
        ("log_spans", math.log10(4), "3 spans"),
        ("salt_exposure", math.log10(7_183_389), "a salt exposure of 7,180,000 (mm of snow × vehicles a day)"),
        ("log_coast_distance", math.log10(101), "100 km or more from the coast"),
        ("log_coast_distance", math.log10(13.4), "12 km from the coast"),
        ("latitude", 47.61, "at 47.6° north"),
        ("longitude", -71.06, "at 71.1° west"),
        ("over_water", 0.0, "not over water"),
        ("over_water", 1.0, "over water"),
        ("age", 1.0, "1 year old"),
        ("traffic_growth", math.log10(1.25), "traffic forecast to be 1.25 times that of today"),
        ("condition", 4.0, "a condition of 4 of 9"),
        ("skew", None, "skew unknown"),
        ("skew", math.nan, "skew unknown"),
        ("of_another_version", 2.5, "of another version 2.5"),
    ],
)
def test_it_is_said_as_an_engineer_says_it(feature: str, value: float | None, words: str) -> None:
    assert feature_words(feature, value) == words


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_has_a_phrase_of_its_own(feature) -> None:
    for value in (0.0, 1.0, 2.5):
        words = feature_words(feature.name, value)
        assert words and "_" not in words and "{" not in words and "log" not in words
    if feature.unit == "0/1":
        assert feature_words(feature.name, 1.0) != feature_words(feature.name, 0.0)
        assert not feature_words(feature.name, 1.0).endswith("yes")
