"""The condition report: its contents, escaping, and messages for missing data."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from support.html_page import Page
from support.pages.condition import EVIL, bridge, condition_report, table

from bridge_assets.data.quality.measures import SUMMARY_SCHEMA
from bridge_assets.reporting.condition.page import ConditionReport, render_condition_report
from bridge_assets.reporting.html.pages import table_script
from bridge_assets.reporting.plots import condition_trend_png
from bridge_assets.scoring.shap_values import reasons_dtype


@pytest.fixture
def report() -> ConditionReport:
    return condition_report()


@pytest.fixture
def page(report: ConditionReport) -> Page:
    return Page(render_condition_report(report))


def test_is_one_page_without_network_requests(report: ConditionReport, page: Page) -> None:
    html = render_condition_report(report)
    assert html.startswith("<!doctype html>") and not page.open
    assert not {"link", "img", "iframe", "object"} & set(page.elements)
    assert html.count("<script") == 1 and f"<script>{table_script()}</script>" in html
    assert not [value for name, value in page.attributes if name in ("src", "srcset", "action", "xlink:href")]
    assert not [value for name, value in page.attributes if name == "href" and not value.startswith("#")]
    assert "url(" not in html and "@import" not in html and "://" not in html


def test_every_link_has_a_target_and_ids_are_unique(page: Page) -> None:
    ids = [value for name, value in page.attributes if name == "id"]
    links = {value[1:] for name, value in page.attributes if name == "href"}
    assert len(ids) == len(set(ids)) and links <= set(ids)
    assert {
        "from-mart_bridge_outlook",
        "from-fct_condition_by_year",
        "from-mart_condition_by_year",
        "from-bridge_model",
        "from-drift_report",
    } <= links


def test_the_same_inputs_give_the_same_bytes(report: ConditionReport) -> None:
    backwards = replace(
        report,
        condition_by_year=report.condition_by_year.reverse(),
        outlook=report.outlook.reverse(),
        drift=report.drift.reverse(),
        ingestion=report.ingestion.reverse(),
        rejections=report.rejections.reverse(),
    )
    assert render_condition_report(report) == render_condition_report(report) == render_condition_report(backwards)


def test_text_from_the_tables_is_escaped_and_readable(report: ConditionReport, page: Page) -> None:
    html = render_condition_report(report)
    assert "<script>" not in html.replace(f"<script>{table_script()}", "") and "&lt;script&gt;" in html
    assert f'{EVIL} over "BIG" & O\'NEAL CREEK' in page.plain_text
    assert f"Source {EVIL} sample" in page.plain_text


def test_headline_has_the_latest_year_and_the_change(page: Page) -> None:
    assert "Survey year 2025" in page.plain_text
    assert "Of 12,345 structures in 2 states, 1,234 (10.0\N{NO-BREAK SPACE}%) are Poor" in page.text.replace("\n", " ")
    assert "0.9 points less than in 2024" in page.plain_text
    assert (
        "5,011" in page.plain_text
        and "40.0 % of deck area" in page.plain_text
        and "5.7 % of deck area" in page.plain_text
    )
    assert "660" in page.plain_text and "11.0 % of 6,000 inspections with a previous inspection" in page.plain_text


def test_expected_falls_are_the_sum_of_the_probabilities_of_the_latest_year(page: Page) -> None:
    assert "About 1 bridge is expected" in page.plain_text  # 0.1234 + 0.5 + 0.3
    assert "Sum of the probabilities of 3 structures" in page.plain_text


def listed_bridges(page: Page) -> list[list[str]]:
    """The rows of the list of bridges to inspect first, without its header."""
    rows = [[" ".join(cell.split()) for cell in cells] for cells in page.rows]
    return [row for row in rows if len(row) == 6 and row[0].isdigit()]


def test_look_first_lists_the_first_bridges_of_each_state_by_rank(page: Page) -> None:
    first, second, third = listed_bridges(page)
    assert (first[0], second[0], third[0]) == ("1", "1", "2"), "two that are Poor, then one that may become it"
    assert "25-200" in first[1] and "02-7" in second[1] and "25-100" in third[1]
    assert first[2:] == ["Massachusetts 25, county 017", "4 Poor in 2024-05", "50.0 % state 9.3 %", "Poor now"]
    assert second[2:4] == ["Alaska 02, county –", "4 Poor in –"]
    assert "25-300" not in page.plain_text and "02-8" not in page.plain_text
    words = page.plain_text
    assert "Three lists for 3 scored structures, each with the first 2 bridges of every state" in words
    assert (
        words.index("Poor now Rated 4 or less")
        < words.index("Likely to become Poor Rated 5")
        < words.index("Good, losing a point Rated 7")
    )
    assert "2 structures in all" in words and "No structure." in words
    assert "the probability that the condition is at least one point lower at the next inspection" in page.plain_text


def test_look_first_divides_25_rows_among_the_states(report: ConditionReport) -> None:
    one = table(*(bridge(f"25-{number:03}", 0.2, rank_in_list=number + 1) for number in range(40)))
    assert [row[0] for row in listed_bridges(Page(render_condition_report(replace(report, outlook=one))))] == [
        str(rank) for rank in range(1, 26)
    ]
    many = table(
        *(bridge(f"{state:02}-{rank}", 0.2, rank_in_list=rank) for state in range(1, 57) for rank in (1, 2, 3))
    )
    rows = listed_bridges(Page(render_condition_report(replace(report, outlook=many))))
    assert [row[0] for row in rows] == ["1"] * 56
    assert rows[0][1].endswith("01-1"), "ties are in key order"


def test_years_until_poor_are_formatted_and_missing_ones_are_a_dash(page: Page) -> None:
    assert [row[-1] for row in listed_bridges(page)] == ["Poor now", "–", "at least 12.3 more than 3.0"]
    assert "Years until Poor are counted from the inspection and assume no repair" in page.plain_text


def test_the_reasons_are_in_words_with_points_and_what_lowers_the_risk_is_none(
    report: ConditionReport, page: Page
) -> None:
    assert f"25-200 61 years old +4.1 {EVIL} 2 +2.0 average daily traffic unknown +1.0" in listed_bridges(page)[0][1]
    assert "skew" not in page.plain_text and "over water" not in page.plain_text
    assert "above the mean of all scored bridges (30.8 %)" in page.plain_text
    note = "The reasons explain the prediction of the model"
    assert note in page.plain_text
    unexplained = report.outlook.with_columns(reasons=pl.lit(None, dtype=reasons_dtype()))
    assert note not in Page(render_condition_report(replace(report, outlook=unexplained))).plain_text


def test_another_target_is_described(report: ConditionReport) -> None:
    decks = report.outlook.with_columns(target=pl.lit("poor of deck"))
    words = Page(render_condition_report(replace(report, outlook=decks))).plain_text
    assert "the probability that the deck rating is 4 or less at the next inspection" in words


def test_learned_baselines_are_listed_if_they_were_evaluated(page: Page) -> None:
    assert page.row("Logistic regression")[1:] == ["0.700", "0.220", "0.092", "26.0 %", "1.200"]
    assert "Gradient boosting" not in page.plain_text


def test_scores_of_an_earlier_year_are_shown_as_such(report: ConditionReport) -> None:
    earlier = report.outlook.filter(pl.col("survey_year") == 2024)
    words = Page(render_condition_report(replace(report, outlook=earlier))).plain_text
    assert "of 2024, the last year scored" in words
    assert "2025 is not scored yet" in words and "expected to have a lower rating" not in words


def test_states_are_listed_with_name_and_code_worst_first(page: Page) -> None:
    names = [row[0] for row in page.rows if row[0].startswith(("Alaska", "Massachusetts"))]
    assert names == ["Alaska 02", "Massachusetts 25"]
    assert page.row("Alaska")[1] == "1,345" and page.row("Alaska")[-2] == "60 of 1,000"


def test_a_model_that_does_not_beat_a_baseline_is_reported(report: ConditionReport, page: Page) -> None:
    assert page.row("Model")[1:] == ["0.711", "0.233", "0.090", "28.3 %", "1.030"]
    assert "ranks deteriorating bridges better than the rating table: AUC 0.711 against 0.613" in page.plain_text
    assert report.evaluation is not None
    worse = {
        **report.evaluation,
        "model": {"auc": 0.6, "average_precision": None, "brier": float("nan"), "worst_10": 0.17, "ratio": None},
    }
    lost = Page(render_condition_report(replace(report, evaluation=worse)))
    assert "does not rank deteriorating bridges better" in lost.plain_text
    assert lost.row("Model")[1:] == ["0.600", "–", "–", "17.0 %", "–"]


def test_the_oracle_of_the_sample_is_listed_but_never_marked_as_best(report: ConditionReport) -> None:
    assert report.evaluation is not None
    oracle = {"auc": 0.8, "average_precision": 0.4, "brier": 0.08, "worst_10": 0.4, "ratio": 1.0}
    html = render_condition_report(replace(report, evaluation={**report.evaluation, "oracle": oracle}))
    assert Page(html).row("Oracle")[1:] == ["0.800", "0.400", "0.080", "40.0 %", "1.000"]
    assert "<b>0.711</b>" in html and "<b>0.800</b>" not in html
    assert "Oracle" not in Page(render_condition_report(report)).plain_text


def test_a_missing_metric_is_an_error_that_names_it(report: ConditionReport) -> None:
    with pytest.raises(ValueError, match=r"model lacks brier, worst_10, ratio; it has auc, average_precision"):
        replace(report, evaluation={"model": {"auc": 0.7, "average_precision": 0.2}})


def test_drift_lists_the_features_of_the_latest_year(page: Page) -> None:
    assert "2 of 3 features of 2025 drifted" in page.plain_text
    assert page.row("log_adt") == ["log_adt distance", "0.350", "0.060"]
    assert page.row("scour") == ["scour rise of missing values", "0.900", "0.050"]
    assert "Drifted features by year: 2024 0, 2025 2" in page.plain_text


def test_data_quality_adds_up_and_explains_reasons(report: ConditionReport, page: Page) -> None:
    assert "24,699 rows read = 24,690 loaded + 9 rejected" in page.plain_text
    assert page.row("field_count")[1] == "8" and "a truncated row" in page.row("field_count")[0]
    assert "Rows read do not equal loaded + rejected" not in page.plain_text
    wrong = report.ingestion.with_columns(loaded=pl.lit(12_345), rejected=pl.lit(4))
    assert (
        "Rows read do not equal loaded + rejected in 2024"
        in Page(render_condition_report(replace(report, ingestion=wrong))).plain_text
    )


def test_an_empty_report_says_what_to_build() -> None:
    page = Page(render_condition_report(ConditionReport()))
    assert not page.open and "No survey year yet" in page.plain_text
    for asset in ("raw_bridges", "fct_condition_by_year", "bridge_predictions", "bridge_model", "drift_report"):
        assert f"build {asset}" in page.plain_text or f"then {asset}" in page.plain_text


def test_a_model_without_probabilities_is_explained_and_scoring_is_not_suggested(
    report: ConditionReport,
) -> None:
    without = replace(
        report,
        outlook=report.outlook.with_columns(fall_probability=pl.lit(None, pl.Float64)),
        evaluation=None,
        no_probability_reason="The model predicts points.",
    )
    page = Page(render_condition_report(without))
    assert page.plain_text.count("The model predicts points.") == 3
    assert "build bridge_predictions" not in page.plain_text


def test_tables_without_rows_count_as_empty(report: ConditionReport) -> None:
    empty = ConditionReport(
        report.condition_by_year.clear(), report.outlook.clear(), {}, report.drift.clear(), report.ingestion.clear()
    )
    assert render_condition_report(empty) == render_condition_report(ConditionReport())


def test_one_year_of_one_state_without_scores_gives_a_page(report: ConditionReport) -> None:
    one = report.condition_by_year.filter(pl.col("survey_year") == 2024)
    words = Page(render_condition_report(ConditionReport(condition_by_year=one))).plain_text
    assert "Of 12,345 structures in Massachusetts, 1,345 (10.9 %) are Poor." in words
    assert "No inspection of this year has a previous inspection to compare with" in words
    assert "No falls yet" in words


LOWEST = pl.DataFrame(
    [
        {
            "structure_key": "02-7",
            "state_code": "02",
            "county_code": None,
            "facility_carried": EVIL,
            "features_intersected": "FISH CREEK",
            "location": None,
            "year_built": 1949,
            "adt": 12_345,
            "posting": "P",
            "condition": 3,
            "condition_class": "Poor",
            "inspection_date": None,
            "DECK_COND_058": "4",
            "SUPERSTRUCTURE_COND_059": "3",
            "SUBSTRUCTURE_COND_060": "05",
            "CULVERT_COND_062": "N",
        }
    ],
    schema_overrides={"location": pl.String, "county_code": pl.String, "inspection_date": pl.Date},
)


@pytest.fixture
def without_model(report: ConditionReport) -> Page:
    by_year_alone = report.condition_by_year.filter(pl.col("survey_year") == 2024)
    parts = ConditionReport(
        by_year_alone, ingestion=report.ingestion, lowest=LOWEST, no_model_reason=f"No predictions: {EVIL} one year."
    )
    html = render_condition_report(parts)
    assert html.count("<script") == 1, "the script of search and sort"
    return Page(html)


def test_without_a_model_the_page_says_so_once_and_shows_what_the_records_say(without_model: Page) -> None:
    words = without_model.plain_text
    assert words.count(f"No predictions: {EVIL} one year.") == 1
    assert "Of 12,345 structures in Massachusetts, 1,345 (10.9 %) are Poor." in words
    assert without_model.row("1") == [
        "1",
        f"{EVIL} over FISH CREEK 02-7 Posted for load",
        "Alaska 02, county –",
        "3 Poor in –",
        "deck 4, superstructure 3, substructure 5",
        "12,345",
        "1949",
    ]


def test_without_a_model_nothing_that_needs_one_is_shown_or_suggested(without_model: Page) -> None:
    words = without_model.plain_text
    for missing in ("Inspect first", "How good the model is", "Drift", "Expected", "bridge_predictions", "expected"):
        assert missing not in words, missing
    ids = {value for name, value in without_model.attributes if name == "id"}
    links = {value for name, value in without_model.attributes if name == "href"}
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert not {"from-mart_bridge_outlook", "from-bridge_model", "model", "drift"} & ids


def test_the_federal_measure_is_shown_where_nhs_bridges_are_known(page: Page, report: ConditionReport) -> None:
    assert "39.0 % Good, 6.5 % Poor 4,000 bridges, 3,500,000 m²" in page.plain_text
    unknown = report.condition_by_year.with_columns(
        nhs_structures=pl.lit(0), **dict.fromkeys(("nhs_good_area_share", "nhs_poor_area_share"), pl.lit(None))
    )
    assert "Federal measure" not in Page(render_condition_report(replace(report, condition_by_year=unknown))).plain_text


def test_flags_and_duplicates_are_counted_and_link_to_the_data_quality_page(report: ConditionReport) -> None:
    counts = [
        ("rows", "read", 100),
        ("rows", "loaded", 100),
        ("rows", "rejected", 0),
        ("flag", "any", 3),
        ("flag", "inspection_stale", 2),
        ("unparsed", "any", 0),
        ("duplicate", "earlier_line", 1),
    ]
    summary = pl.DataFrame(
        [(2025, "all", measure, name, records, 100, records / 100) for measure, name, records in counts],
        schema=SUMMARY_SCHEMA,
        orient="row",
    )
    page = Page(render_condition_report(replace(report, quality=summary)))
    assert "In 2025, 3 records have a flag (3.0 %)" in page.plain_text
    assert "1 record was set aside because another record of the same structure counts" in page.plain_text
    assert page.row("inspection_stale")[1:] == ["2", "2.0 %"]
    assert ("href", "data_quality.html") in page.attributes


def test_invented_bridges_are_announced_above_everything_and_real_ones_are_not(report: ConditionReport) -> None:
    warning = "Every bridge is invented & <b>so</b> is this."
    html = render_condition_report(replace(report, origin_warning=warning))
    assert Page(html).plain_text.partition("2025")[2].strip().startswith(warning)
    assert html.index('class="banner"') < html.index("<header>")
    assert 'class="banner"' not in render_condition_report(report)


def test_a_missing_column_is_an_error_that_names_it(report: ConditionReport) -> None:
    with pytest.raises(ValueError, match=r"outlook lacks location, rank_in_list; it has structure_key"):
        replace(report, outlook=report.outlook.drop("location", "rank_in_list"))


def test_the_trend_plot_is_a_reproducible_png(report: ConditionReport) -> None:
    image = condition_trend_png(report.condition_by_year)
    assert image.startswith(b"\x89PNG") and image == condition_trend_png(report.condition_by_year.reverse())
    assert condition_trend_png(pl.DataFrame()).startswith(b"\x89PNG")
