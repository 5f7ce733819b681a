"""What the interface shows without a browser: what is missing, what is wrong, and that no text becomes markup."""

from __future__ import annotations

import datetime as dt

import pytest

from bridge_assets.data.lake import Lake
from bridge_assets.serve.interface import cards
from bridge_assets.serve.interface.inventory import Inventory
from bridge_assets.serve.interface.pages import SLIDERS, OpenedBridge, Pages, parse_lines
from bridge_assets.serve.interface.served import ComesTrue, ServedBridges
from bridge_assets.serve.interface.theme import css


@pytest.fixture
def empty(tmp_path) -> Pages:
    return Pages(Inventory(Lake(tmp_path / "lake")), ServedBridges(tmp_path / "endpoint", tmp_path / "models"))


def test_without_a_model_the_page_says_which_asset_to_run(empty) -> None:
    for opened in (empty.welcome(), empty.open_structure("25-1"), empty.open_record("1 = 25\n58 = 6")):
        assert "no model version is deployed" in opened.risk
        assert "Run the asset local_endpoint." in opened.risk
        assert empty.drivers(opened) == ""
        assert empty.what_if(opened, []) == ""
    found, message = empty.search("main st")
    assert found == []
    assert "Run the asset dim_structures." in message


def test_a_record_is_typed_in_line_by_line() -> None:
    assert parse_lines("# a note\n\n 58 = 6 \n9: AT GROVE = AVE") == {"58": "6", "9: AT GROVE": "AVE"}
    assert parse_lines("1 = 25\n58 = 6") == {"1": "25", "58": "6"}
    with pytest.raises(ValueError, match=r"line 2: expected an item and its value, such as 58 = 6, found 'six'"):
        parse_lines("58 = 6\nsix")
    with pytest.raises(ValueError, match=r"line 3: item '58' is given twice"):
        parse_lines("58 = 6\n\n58 = 7")


def test_a_slider_has_the_value_of_the_record_and_reaches_it() -> None:
    opened = OpenedBridge(record={"ADT_029": 90_000, "DECK_COND_058": "N", "YEAR_BUILT_027": 1871})
    bounds = {slider.item: opened.slider(slider) for slider in SLIDERS}
    assert bounds["DECK_COND_058"] is None
    assert bounds["ADT_029"] == {"minimum": 0, "maximum": 90_000, "step": 100, "value": 90_000}
    assert bounds["YEAR_BUILT_027"] == {"minimum": 1871, "maximum": 2030, "step": 1, "value": 1871}


def answer(**bridge) -> dict:
    return {
        "predictions": [0.19],
        "model_version": "m1",
        "survey_year": 2025,
        "years_until_poor": {"model_version": "d1", "horizon_years": 60, "interval": 0.8},
        "bridges": [
            {
                "structure_key": "25-1",
                "fall_probability": 0.19,
                "years_until_poor": {"expected": 12.3, "low": 4.0, "high": None},
                "known": {"survey_year": 2025, "last_inspection": "2024-06", "inspections": 9},
                "assumed": [],
                "flags": [],
                **bridge,
            }
        ],
    }


def test_the_risk_says_how_often_it_came_true_and_how_long_until_poor() -> None:
    comes_true = ComesTrue(0.172, 0.147, 312, 46, 2020, 2023)
    card = cards.risk("25-1", answer(flags=["Item 49 is <0>"]), comes_true, 6)
    assert "19.0\N{NO-BREAK SPACE}% likely to drop" in card
    assert (
        "Of 100 bridges with about this probability, 15 dropped: 46 of 312 held-out inspections of 2020 to 2023" in card
    )
    assert "about 12 years" in card and "80 % of similar bridges take 4 to more than 60 years." in card
    assert "6 of 9, Fair" in card and "Last inspection on file: 2024-06, 9 in all" in card
    assert "Item 49 is &lt;0&gt;" in card
    never = answer(years_until_poor={"expected": None, "low": None, "high": None})
    assert "90 % of similar bridges take longer than 60 years." in cards.risk("25-1", never, None, 8)
    assert "is not on this machine" in cards.risk("25-1", never, None, 8)
    poor = answer(years_until_poor={"expected": 0, "low": 0, "high": 0})
    assert "Poor now" in cards.risk("25-1", poor, None, 4)
    unknown = answer(years_until_poor=None) | {"years_until_poor": {"model_version": "", "skipped_reason": "No model"}}
    assert "No model. Run the assets deterioration_model and local_endpoint." in cards.risk("25-1", unknown, None, 6)


def test_drivers_are_in_words_and_split_by_direction() -> None:
    contributions = [
        {"feature": "age", "value": 61.0, "contribution": 0.041},
        {"feature": "scour", "value": None, "contribution": -0.02},
        {"feature": "skew", "value": 0.0, "contribution": 0.0001},
    ]
    card = cards.drivers({"base": 0.12, "contributions": contributions})
    raises, lowers = card.split("Lowers it")
    assert "61 years old" in raises and "+4.1" in raises
    assert "Scour unknown" in lowers and "−2.0" in lowers
    assert "skew" not in card.lower()


def test_a_history_is_a_plot_and_a_table_and_no_text_of_a_record_is_markup() -> None:
    rating = {"superstructure_rating_059": 6, "substructure_rating_060": None, "culvert_rating_062": None}
    inspections = [
        {
            "inspection_date": dt.date(2010 + 2 * each, 6, 1),
            "condition": 7 - each,
            "deck_rating_058": 7 - each,
            **rating,
        }
        for each in range(3)
    ]
    card = cards.history(inspections)
    assert 'aria-label="Condition from 2010 to 2014: 7 to 5 of 9"' in card
    assert card.count("<circle") == 3 and card.count('<th scope="row">') == 3
    assert "deck, superstructure." in card
    assert "No inspection of this bridge is on file." in cards.history([])
    assert "<svg" in cards.history(inspections[:1])
    for card in (cards.problem("<script>"), cards.notice("<script>"), cards.what_if(0.1, 0.2, {"<script>": "1"})):
        assert "<script>" not in card and "&lt;script&gt;" in card


def test_colours_are_those_of_the_palette_and_no_address_is_in_the_style() -> None:
    from bridge_assets.reporting.html.palette import DARK, LIGHT

    assert f"--accent: {LIGHT.accent};" in css() and f"--accent: {DARK.accent};" in css()
    assert "http" not in css() and "@import" not in css()
