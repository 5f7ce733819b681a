"""The data quality page: its contents, escaping, and messages for missing data."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from support.html_page import Page
from support.pages.quality import EVIL, counted, lake_with_flags, rendered

from bridge_assets.data.lake import Lake
from bridge_assets.data.quality.flagged import FLAGGED_SCHEMA
from bridge_assets.errors import SourceError
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.reporting.html.pages import table_script
from bridge_assets.reporting.quality.page import QualityReport, data_quality_html, render_quality_page
from bridge_assets.reporting.quality.plots import flags_by_year_png
from bridge_assets.settings import DataSettings


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lake_with_flags(tmp_path_factory.mktemp("quality"))


@pytest.fixture(scope="module")
def html(lake: Lake) -> str:
    return rendered(lake)


@pytest.fixture
def page(html: str) -> Page:
    return Page(html)


def test_is_one_page_without_network_requests(html: str, page: Page) -> None:
    assert html.startswith("<!doctype html>") and not page.open
    assert not {"link", "img", "iframe", "object"} & set(page.elements)
    assert html.count("<script") == 1 and f"<script>{table_script()}</script>" in html
    assert not [value for name, value in page.attributes if name in ("src", "srcset", "action", "xlink:href")]
    assert not [value for name, value in page.attributes if name == "href" and not value.startswith("#")]
    assert "url(" not in html and "@import" not in html
    assert html.count("://") == html.count("src=http://example.org")


def test_invented_bridges_are_announced_above_everything(lake: Lake, html: str) -> None:
    parts = QualityReport(
        lake.read_years("data_quality"), lake.read_years("rejected_records"), origin_warning="Every bridge is invented."
    )
    warned = render_quality_page(parts)
    assert warned.index("Every bridge is invented.") < warned.index("<header>")
    assert 'class="banner"' not in html


def test_rejected_lines_are_escaped(html: str, page: Page) -> None:
    assert html.count("<script") == 1 and "<img" not in html
    assert EVIL in page.text and f"{EVIL} files" in page.text
    assert "{{ 7 * 6 }}" in page.text
    assert "<b>2018.txt, line 552" in page.plain_text
    assert "characters more" in page.plain_text  # of the long line
    assert "137 fields expected" in page.plain_text


def test_every_link_has_a_target_and_ids_are_unique(page: Page) -> None:
    ids = [value for name, value in page.attributes if name == "id"]
    links = {value[1:] for name, value in page.attributes if name == "href"}
    assert len(ids) == len(set(ids))
    assert links <= set(ids)
    assert {"from-data_quality", "from-raw_bridges", "from-rejected_records", "from-rejects"} <= links


def test_every_flag_is_defined_with_its_items(page: Page) -> None:
    for name, flag in FLAGS.items():
        assert f"flag-{name}" in [value for attribute, value in page.attributes if attribute == "id"]
        assert f"{flag.meaning}. {flag.rationale}." in page.plain_text
    assert "YEAR_BUILT_027 (item 27)" in page.plain_text


def test_the_rows_of_each_year_reconcile_on_the_page(page: Page) -> None:
    assert "Of 552 rows read for 2018, 550 were loaded and 2 rejected." in page.plain_text
    assert page.row("2018")[:4] == ["2018", "552", "550", "2"]
    assert page.row("2017")[:4] == ["2017", "550", "550", "0"]
    assert "Rows read do not equal" not in page.plain_text


def test_a_year_that_does_not_reconcile_gives_an_alert(lake: Lake) -> None:
    summary = lake.read_years("data_quality")
    lost = (pl.col("name") == "read") & (pl.col("survey_year") == 2016)
    summary = summary.with_columns(pl.when(lost).then(pl.col("records") + 1).otherwise("records").alias("records"))
    page = Page(render_quality_page(QualityReport(summary, lake.read_years("rejected_records"))))
    assert "Rows read do not equal loaded + rejected in 2016." in page.plain_text


def test_jumps_are_listed_with_state_and_previous_share(page: Page) -> None:
    jumped = page.row("missing ADT_029")
    assert "Item 29. Average daily traffic" in jumped[0]
    assert jumped[1:4] == ["All states", "0", "10.9 %"]
    [of_alaska] = [row for row in page.rows if "Alaska" in row and "missing" in row[0]]
    assert of_alaska[3].split() == ["40.0", "%"]


def test_flags_are_listed_with_share_records_and_worst_state(page: Page) -> None:
    built = page.row("built_after_survey Item 27")
    assert built[2:4] == ["0.7 %", "4"]
    assert built[-1].startswith("Alabama 1.0")


def test_states_are_listed_worst_first(page: Page) -> None:
    states = [row[0] for row in page.rows if row and row[0] in ("Alabama", "Alaska")]
    # In this test, the bridges of Alaska have positions in Alabama.
    assert states == ["Alaska", "Alabama"]
    assert "coordinate_out_of_state 100.0 %" in page.row("Alaska")[3]
    assert "ADT_029 40.0 %" in page.row("Alaska")[4]
    assert page.row("Alabama")[4] == ""


def test_the_order_of_the_tables_does_not_matter(lake: Lake, html: str) -> None:
    summary, rejected = lake.read_years("data_quality"), lake.read_years("rejected_records")
    backwards = QualityReport(summary.reverse(), rejected.reverse(), {"Source": f"{EVIL} files"})
    assert render_quality_page(backwards) == html


def test_a_single_year_without_rejections_has_messages(lake: Lake) -> None:
    page = Page(rendered(lake, 2015))
    assert "Survey year 2015" in page.plain_text
    assert "No row was rejected." in page.plain_text
    assert "The comparison needs 3 earlier survey years; there are 0." in page.plain_text
    assert "No structure occurs twice in the survey year" in page.plain_text


def test_without_survey_years_the_page_says_what_to_build(lake: Lake) -> None:
    page = Page(
        render_quality_page(
            QualityReport(lake.read_year("data_quality", 2015).clear(), lake.read_year("rejected_records", 2015))
        )
    )
    assert "What to do: build data_quality" in page.plain_text
    assert not page.open


def test_a_missing_column_is_an_error_that_names_it(lake: Lake) -> None:
    with pytest.raises(ValueError, match="summary lacks share"):
        QualityReport(lake.read_year("data_quality", 2015).drop("share"), lake.read_year("rejected_records", 2015))


def test_the_page_of_a_lake_names_source_and_layouts(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    page = Page(data_quality_html(lake, DataSettings.load()))
    # The setting says sample, but these records are not: nothing may call them invented.
    assert "Source survey files of an earlier source" in page.plain_text
    assert "invented" not in page.plain_text and "sample" not in page.plain_text
    assert "1992 (2014 to 2015), 2016 (2016), 2017 (2017 to 2018)" in page.plain_text
    with pytest.raises(SourceError, match="run the pipeline up to data_quality first"):
        data_quality_html(Lake(tmp_path / "empty"), DataSettings.load())


def test_the_plot_is_a_reproducible_png(lake: Lake) -> None:
    summary = lake.read_years("data_quality")
    assert flags_by_year_png(summary).startswith(b"\x89PNG")
    assert flags_by_year_png(summary) == flags_by_year_png(summary)
    assert flags_by_year_png(summary.filter(pl.col("measure") != "flag")).startswith(b"\x89PNG")


def test_real_files_give_a_page(real_data: Path, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for path in sorted((real_data / "nbi" / "panel").glob("*.txt"))[-6:]:
        counted(lake, int(path.stem[-4:]), path)
    counted(lake, 2023, real_data / "nbi" / "AK19.txt")
    page = Page(rendered(lake))
    assert not page.open
    assert "Of 1,595 rows read for 2023, 1,595 were loaded and 0 rejected." in page.plain_text


def test_a_flag_that_the_files_cannot_have_is_said_to_be_unchecked(tmp_path: Path) -> None:
    (tmp_path / "NBI_2019.csv").write_text(
        "STATE_CODE_001,STRUCTURE_NUMBER_008,RECORD_TYPE_005A,STRUCTURE_LEN_MT_049\n02,1,1,\n"
    )
    lake = Lake(tmp_path / "lake")
    counted(lake, 2019, tmp_path / "NBI_2019.csv")
    text = " ".join(Page(rendered(lake)).text.split())
    unchecked = len(lake.provenance("raw_bridges", 2019)["unchecked_flags"])
    assert f"Not checked in 2019: the files have no column for an item ({unchecked} flags)" in text
    assert "no_inspection_date needs Item 90. Inspection date" in text
    assert "length_missing needs" not in text
    checked_and_found = {"length_missing"}
    assert f"{len(FLAGS) - unchecked - len(checked_and_found)} other flags were checked and not found" in text


def test_the_flagged_bridges_are_listed_escaped_and_their_files_are_linked(lake: Lake) -> None:
    flagged = pl.DataFrame(
        [("02", EVIL, line, "no_condition", f"DECK_COND_058={EVIL}") for line in range(2, 30)]
        + [("01", "7", 5, "unknown_code:OWNER_022", "OWNER_022=99")],
        schema=FLAGGED_SCHEMA,
        orient="row",
    )
    summary, rejected = lake.read_years("data_quality"), lake.read_years("rejected_records")
    html = render_quality_page(QualityReport(summary, rejected, flagged=flagged, flagged_files={2017: 0, 2018: 29}))
    page = Page(html)
    assert page.elements.count("script") == 1, "the script of search and sort"
    bridges = [row for row in page.rows if len(row) == 5 and row[0] in ("no_condition", "unknown_code:OWNER_022")]
    assert bridges == [
        *(["no_condition", "Alaska", EVIL, str(line), f"DECK_COND_058={EVIL}"] for line in range(2, 12)),
        ["unknown_code:OWNER_022", "Alabama", "7", "5", "OWNER_022=99"],
    ]
    links = [value for name, value in page.attributes if name == "href" and not value.startswith("#")]
    assert links == ["flagged_2018.csv", "flagged_2017.csv"]


def test_years_are_drawn_to_scale(tmp_path: Path, real_data: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for year in (1997, 1999, 2000):
        counted(lake, year, real_data / "nbi" / "panel" / f"NBI_{year}.txt")
    html = rendered(lake)
    assert ">1998<" in html  # the place of the year without a file
    assert "1998:" not in html
    assert flags_by_year_png(lake.read_years("data_quality")).startswith(b"\x89PNG")
