"""Reasons are readable for every feature."""

from __future__ import annotations

import math

import polars as pl
import pytest

from bridge_assets.data.features.definitions import FEATURES
from bridge_assets.reporting.condition.reasons import Reason, format_reasons, reasons_text, with_reasons_text
from bridge_assets.scoring.shap_values import reasons_dtype


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
    assert format_reasons([entry(feature, value)]) == [Reason(name, text, "+4.1")]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_has_a_readable_name_and_value(feature) -> None:
    for value in (0.0, 1.0, 2.5):
        [reason] = format_reasons([entry(feature.name, value, -0.0003)])
        assert reason.name and "_" not in reason.name and not reason.name.startswith("log")
        assert reason.value and "log10" not in reason.value and "_" not in reason.value
        assert reason.contribution == "-0.0"


def test_all_reasons_are_joined_on_one_line() -> None:
    line = reasons_text([entry("age", 61.0), entry("over_water", 1.0, -0.003)])
    assert line == "age 61 years: +4.1 points; over water yes: -0.3 points"
    assert reasons_text(None) is None


def test_reasons_in_a_table_become_text() -> None:
    reasons = pl.Series([[entry("age", 61.0)], None], dtype=reasons_dtype())
    table = pl.DataFrame({"key": ["a", "b"], "target": ["fall", "fall of deck"], "reasons": reasons})
    assert with_reasons_text(table)["reasons"].to_list() == ["age 61 years: +4.1 points", None]
    in_points = with_reasons_text(table.with_columns(target=pl.lit("change of deck")))
    assert in_points["reasons"].to_list() == ["age 61 years: +0.04 points", None], (
        "points of the rating, not percentage points"
    )
    assert with_reasons_text(table.clear()).schema["reasons"] == pl.String
