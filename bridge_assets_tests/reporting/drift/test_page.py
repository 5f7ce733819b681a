"""The drift page: its contents, escaping, and messages for what was not compared."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from support.html_page import Page
from support.pages.drift import EVIL, drift_page
from support.scoring.drift_reports import drift_row, drift_table, prediction_row, steady_rows

from bridge_assets.drift import limits
from bridge_assets.reporting.drift.page import DriftPage, page_name, render_drift_page
from bridge_assets.reporting.html.pages import table_script


@pytest.fixture
def report() -> DriftPage:
    return drift_page()


@pytest.fixture
def page(report: DriftPage) -> Page:
    return Page(render_drift_page(report))


def test_is_one_page_without_network_requests(report: DriftPage, page: Page) -> None:
    html = render_drift_page(report)
    assert html.startswith("<!doctype html>") and not page.open
    assert not {"link", "img", "iframe", "object"} & set(page.elements)
    assert html.count("<script") == 1 and f"<script>{table_script()}</script>" in html
    assert not [value for name, value in page.attributes if name in ("src", "srcset", "action", "xlink:href")]
    assert not [value for name, value in page.attributes if name == "href" and not value.startswith("#")]
    assert "url(" not in html and "@import" not in html and "://" not in html and EVIL not in html


def test_every_link_has_a_target_and_ids_are_unique(page: Page) -> None:
    ids = [value for name, value in page.attributes if name == "id"]
    links = {value[1:] for name, value in page.attributes if name == "href"}
    assert len(ids) == len(set(ids)) and links <= set(ids)
    assert {"from-drift_report", "from-bridge_features", "from-bridge_predictions", "from-raw_bridges"} <= links


def test_the_same_inputs_give_the_same_bytes(report: DriftPage) -> None:
    backwards = replace(report, table=report.table.reverse())
    assert render_drift_page(report) == render_drift_page(report) == render_drift_page(backwards)


def test_the_lead_says_it_all_in_words(page: Page) -> None:
    assert "2025 compared with 2006 to 2019" in page.plain_text
    assert (
        "2 of 6 features have drifted from the reference years. 1 more moved because states recoded items: no "
        "deterioration. The predictions are as in the reference years. Massachusetts, New York recoded 1 item."
    ) in page.plain_text
    assert "and 1 feature in a single state" in page.plain_text
    assert "This is the generated sample." in page.plain_text


def test_what_drifted_has_both_distributions_sentences_and_places(page: Page) -> None:
    text = page.plain_text
    assert "Half of the bridges have at most 30°; 15° in the reference years." in text.replace("29°", "30°").replace(
        "14°", "15°"
    )
    assert "Also by itself in New York (distance 50.0" in text
    assert "Membrane in Alabama" in text
    assert "recoded by Massachusetts, New York: no deterioration" in text
    assert "Skew: reference years and survey year" in {value for name, value in page.attributes if name == "aria-label"}
    assert [" ".join(cell.split()) for cell in page.row("mean shift")][1:3] == ["20.000", "2.000"]


def test_recoded_items_name_states_changes_and_meanings(page: Page) -> None:
    assert page.row("New York")[1].startswith("8 to U (310 bridges)")
    assert page.row("U")[1].startswith("Unknown foundation")
    assert "recoded in most states" in page.plain_text  # two of the two states that were compared
    assert page.row("1")[:4] == ["1", "State highway agency", "50.0 %", "70.0 %"]
    others = next(row for row in page.rows if any("4 other codes" in cell for cell in row))
    assert [cell.strip().replace("\N{NO-BREAK SPACE}", " ") for cell in others[2:4]] == ["8.0 %", "4.0 %"]


def test_all_features_are_listed_with_the_drifted_ones_first(page: Page) -> None:
    header = next(i for i, row in enumerate(page.rows) if row[:2] == ["Feature", "Distance"])
    names = [row[0] for row in page.rows[header + 1 : header + 7]]
    assert set(names[:3]) == {EVIL, "skew", "scour"} and "age" in names[3:]


def test_a_calm_year_says_so() -> None:
    page = Page(render_drift_page(DriftPage(drift_table(*steady_rows()), "2006 to 2019")))
    for sentence in (
        "The 2 features are as in the reference years. The predictions are as in the reference years.",
        "No feature drifted, neither in all states together nor in a single one.",
        "No state recoded an item, and the codes have the shares that the reference years let one expect.",
        "Columns, types and codes are as in the reference years.",
    ):
        assert sentence in page.plain_text


def test_predictions_beyond_the_error_limit_are_far_from_the_reference() -> None:
    for value, said in ((0.1, "are distributed differently"), (0.2, "are far from the reference years")):
        text = Page(render_drift_page(DriftPage(drift_table(drift_row(), prediction_row(value)), "2006"))).plain_text
        assert f"The predictions {said}." in text


def test_a_year_without_scores_says_so_and_what_to_do() -> None:
    row = prediction_row(None, measure=limits.MISSING, threshold=None, cause="not scored by model version 3f")
    text = Page(render_drift_page(DriftPage(drift_table(drift_row(), row), "2006 to 2019"))).plain_text
    assert "The predictions were not compared." in text
    assert "not scored by model version 3f" in text
    assert "What to do: build bridge_predictions for 2025 and the reference years, then drift_report for 2025." in text


@pytest.mark.parametrize(
    ("period", "said"), [("reference", "is itself a reference year"), ("outside", "drift.analysis")]
)
def test_a_year_that_is_not_judged_says_why(period: str, said: str) -> None:
    assert said in Page(render_drift_page(DriftPage(drift_table(drift_row(period=period)), "2006"))).plain_text


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(ValueError, match=r"table lacks .*What to do: pass a drift_report"):
        DriftPage(pl.DataFrame({"feature": ["age"]}), "2006")
    with pytest.raises(ValueError, match="table has no rows"):
        DriftPage(drift_table().clear(), "2006")


def test_each_year_has_a_page_of_its_own() -> None:
    assert page_name(2025) == "drift_2025.html"
