"""Reasons are readable for every feature."""

from __future__ import annotations

import math

import pytest

from bridge_assets.data.features.definitions import FEATURES
from bridge_assets.reporting.condition.reasons import format_reasons, why, why_text


def entry(feature: str, value: float | None, contribution: float = 0.041) -> dict:
    return {"feature": feature, "value": value, "contribution": contribution}


@pytest.mark.parametrize(
    ("feature", "value", "name", "text"),
    [
        ("age", 61.0, "age", "61 years"),
        ("age", 1.0, "age", "1 year"),
        ("years_in_condition", 6.24, "time in this condition", "6.2 years"),
        ("log_adt", math.log10(12_001), "average daily traffic", "12,000 per day"),
        ("log_length", math.log10(35.5), "length", "34.5 m"),
        ("traffic_growth", math.log10(1.25), "traffic growth", "1.25 times"),
        ("deck", 5.0, "deck", "5 of 9"),
        ("scour", 3.0, "scour", "code 3"),
        ("over_water", 1.0, "over water", "yes"),
        ("on_nhs", 0.0, "on the National Highway System", "no"),
        ("skew", 30.0, "skew", "30°"),
        ("components_at_lowest", 3.0, "components with the lowest rating", "3"),
        ("inventory_rating", 32.4, "inventory rating", "32.4 t"),
        ("skew", None, "skew", "unknown"),
        ("peers_fall_rate", 0.123, "similar bridges that deteriorated", "12.3 %"),
        ("falls_per_year", 0.25, "deterioration rate", "0.25 falls per year"),
        ("snowfall", 1234.5, "snowfall", "1,234 mm per year"),
        ("january_temperature", -7.25, "January temperature", "-7.2 °C"),
        ("salt_exposure", math.log10(7_183_389), "salt exposure (mm of snow × vehicles per day)", "7,200,000"),
        ("of_another_version", 2.5, "of another version", "2.5"),
    ],
)
def test_a_value_has_its_unit(feature: str, value: float | None, name: str, text: str) -> None:
    [reason] = format_reasons([entry(feature, value)])
    assert reason[:3] == (name, text, "+4.1") and reason.raises_risk


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_has_a_readable_name_and_value(feature) -> None:
    for value in (0.0, 1.0, 2.5):
        [reason] = format_reasons([entry(feature.name, value, -0.0003)])
        assert reason.name and "_" not in reason.name and not reason.name.startswith("log")
        assert reason.value and "log10" not in reason.value and "_" not in reason.value
        assert reason.contribution == "-0.0"


def test_why_says_only_what_raises_the_risk() -> None:
    entries = [entry("age", 61.0), entry("over_water", 1.0, -0.003), entry("skew", None, 0.0001)]
    assert [each.words for each in why(entries)] == ["61 years old"], "+0.0 is no reason"
    assert [each.words for each in why(entries, "change of deck")] == [], "0.003 points of the rating"
    assert [each.words for each in why([entry("age", 61.0, -0.04)], "change")] == ["61 years old"]
    assert why(None) == []


def test_why_is_one_line() -> None:
    entries = [entry("peers_fall_rate", 0.241), entry("log_adt", math.log10(38_413)), entry("over_water", 1.0, -0.003)]
    line = "24 % of similar bridges deteriorated (+4.1 points); 38,400 vehicles a day (+4.1 points)"
    assert why_text(entries) == line
    assert why_text(entries, raises=False) == "over water (-0.3 points)"
    assert why_text(None) is None and why_text([]) == ""
    assert why_text([entry("age", 61.0, -0.12)], "change of deck") == "61 years old (-0.12 points)"
