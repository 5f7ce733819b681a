"""Reasons read well for every feature there is, whatever features those are."""

from __future__ import annotations

import math

import polars as pl
import pytest

from bridge_assets.data.features.definitions import FEATURES
from bridge_assets.reporting.condition.reasons import Reason, format_reasons, reasons_text, with_reasons_text
from bridge_assets.scoring.shap_values import reasons_dtype


def told(feature: str, value: float | None, contribution: float = 0.041) -> dict:
    return {"feature": feature, "value": value, "contribution": contribution}


@pytest.mark.parametrize(
    ("feature", "value", "name", "said"),
    [
        ("age", 61.0, "age", "61 years"),
        ("age", 1.0, "age", "1 year"),
        ("years_in_condition", 6.24, "in condition", "6.2 years"),
        ("log_adt", math.log10(12_001), "average daily traffic", "12,000 a day"),
        ("log_length", math.log10(35.5), "length", "34.5 m"),
        ("traffic_growth", math.log10(1.25), "traffic growth", "1.25 times"),
        ("deck", 5.0, "deck", "5 of 9"),
        ("scour", 3.0, "scour", "code 3"),
        ("over_water", 1.0, "over water", "yes"),
        ("on_nhs", 0.0, "on the National Highway System", "no"),
        ("skew", 30.0, "skew", "30°"),
        ("components_at_lowest", 3.0, "components at lowest", "3"),
        ("inventory_rating", 32.4, "inventory rating", "32.4 t"),
        ("skew", None, "skew", "unknown"),
        ("peers_fall_rate", 0.123, "peers fall rate", "12.3 %"),
        ("falls_per_year", 0.25, "falls per year", "0.25 falls a year"),
        ("snowfall", 1234.5, "snowfall", "1,234 mm a year"),
        ("january_temperature", -7.25, "January temperature", "-7.2 °C"),
        ("salt_exposure", math.log10(7_183_389), "salt exposure", "7,200,000"),
        ("of_another_version", 2.5, "of another version", "2.5"),
    ],
)
def test_a_feature_is_said_with_its_unit(feature: str, value: float | None, name: str, said: str) -> None:
    assert format_reasons([told(feature, value)]) == [Reason(name, said, "+4.1")]


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_every_feature_reads_as_words_and_a_value(feature) -> None:
    for value in (0.0, 1.0, 2.5):
        [reason] = format_reasons([told(feature.name, value, -0.0003)])
        assert reason.name and "_" not in reason.name and not reason.name.startswith("log")
        assert reason.value and "log10" not in reason.value and "_" not in reason.value
        assert reason.contribution == "-0.0"


def test_a_line_of_text_holds_all_of_them_and_begins_with_no_sign() -> None:
    line = reasons_text([told("age", 61.0), told("over_water", 1.0, -0.003)])
    assert line == "age 61 years: +4.1 points; over water yes: -0.3 points"
    assert reasons_text(None) is None


def test_a_table_for_what_holds_no_lists_has_them_as_text() -> None:
    of_bridges = pl.Series([[told("age", 61.0)], None], dtype=reasons_dtype())
    table = pl.DataFrame({"key": ["a", "b"], "target": ["fall", "fall of deck"], "reasons": of_bridges})
    assert with_reasons_text(table)["reasons"].to_list() == ["age 61 years: +4.1 points", None]
    in_points = with_reasons_text(table.with_columns(target=pl.lit("change of deck")))
    assert in_points["reasons"].to_list() == ["age 61 years: +0.04 points", None], (
        "points of the rating, no percentages"
    )
    assert with_reasons_text(table.clear()).schema["reasons"] == pl.String
