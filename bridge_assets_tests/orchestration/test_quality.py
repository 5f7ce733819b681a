"""Data quality in the orchestration: assets, check and page, and the effect of a changed file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from support.html_page import Page
from support.small_platform import YEARS, error_messages

from bridge_assets.nbi.coding_guide.layouts import layout_of_year
from bridge_assets.nbi.flags import flag_counts
from bridge_assets.orchestration.runs.summary import run_summary
from bridge_assets.settings import DataSettings

OF_A_YEAR = ("nbi_files", "raw_bridges", "rejected_records", "data_quality")


def blank(path: Path, item: str, year: int) -> None:
    """Blank an item in every row of a file; broken rows stay unchanged."""
    columns = layout_of_year(year).columns
    place, lines = columns.index(item), path.read_text(encoding="latin-1").split("\n")
    for number, line in enumerate(lines[1:], 1):
        fields = line.split(",")
        if len(fields) == len(columns):
            lines[number] = ",".join([*fields[:place], "", *fields[place + 1 :]])
    path.write_text("\n".join(lines), encoding="latin-1")


def shown(instance: dg.DagsterInstance, year: int) -> dict[str, Any]:
    """Metadata of a survey year of data_quality in the UI."""
    records = dg.AssetRecordsFilter(dg.AssetKey("data_quality"), asset_partitions=[str(year)])
    [event] = instance.fetch_materializations(records, limit=1).records
    assert event.asset_materialization is not None
    return {key: each.value for key, each in event.asset_materialization.metadata.items()}


def test_every_year_has_counts_as_numbers_that_the_ui_can_plot(platform) -> None:
    assert platform.lake.available_years("data_quality") == list(range(YEARS[0], YEARS[1] + 1))
    with dg.DagsterInstance.get() as instance:
        for year in (YEARS[0], YEARS[1]):
            metadata, report_provenance = shown(instance, year), platform.lake.provenance("raw_bridges", year)
            flags = platform.lake.read_year("raw_bridges", year)["flags"]
            for name in ("rows_read", "loaded", "rejected"):
                assert metadata[name] == report_provenance[name]
            assert metadata["flagged"] == flags.count()
            assert metadata["share_flagged"] == flags.count() / report_provenance["loaded"]
            for flag, records in flag_counts(flags).items():
                assert f"| {flag} | {records} |" in metadata["top_flags"]


def test_the_sample_has_no_jumps_and_the_summary_names_the_page(platform) -> None:
    assert platform.first_run.checks["data_quality:quality_is_stable"][:2] == (True, "WARN")
    page = platform.home / "reports" / "data_quality.html"
    assert f"Quality: {page}" in run_summary(platform.first_run, DataSettings.load())
    report = platform.first_run.materializations["data_quality_report"]
    assert (report["page"], report["file"]) == ("http://127.0.0.1:3001/data_quality.html", str(page))
    read = Page(page.read_text(encoding="utf-8"))
    assert f"Survey years {YEARS[0]} to {YEARS[1]}" in read.plain_text
    linked = {value for name, value in read.attributes if name == "href" and value.endswith(".csv")}
    assert linked == {path.name for path in page.parent.glob("flagged_*.csv")}
    assert len(linked) == YEARS[1] - YEARS[0] + 1
    assert not read.open


def test_an_item_that_is_no_longer_submitted_warns_by_name_and_is_on_the_page(platform) -> None:
    blank(platform.home / "sample" / "NBI_2018.txt", "YEAR_BUILT_027", 2018)
    result = platform.materialize(*OF_A_YEAR, partition="2018")
    assert result.success, error_messages(result)
    [check] = [each for each in result.get_asset_check_evaluations() if each.check_name == "quality_is_stable"]
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert (check.description or "").startswith("2018: missing YEAR_BUILT_027 100.0%, 0.0% before")
    report = platform.materialize("data_quality_report")
    assert report.success, error_messages(report)
    page = Page((platform.home / "reports" / "data_quality.html").read_text(encoding="utf-8"))
    assert page.row("missing YEAR_BUILT_027")[1:4] == ["All states", "0", "100.0 %"]


def test_records_of_an_earlier_version_have_a_remedy(platform) -> None:
    lake = platform.lake
    lake.write(lake.read_year("raw_bridges", 2018).drop("flags"), "raw_bridges", 2018)
    failed = platform.materialize("data_quality", partition="2018", checks=False)
    assert not failed.success
    assert "ingest the survey files of 2018 again. Materialise raw_bridges" in error_messages(failed)


def test_the_rejects_of_all_years_are_in_the_warehouse(platform) -> None:
    import duckdb

    rejected = platform.lake.read_years("rejected_records")
    with duckdb.connect(str(DataSettings.load().warehouse), read_only=True) as connection:
        rejects = connection.sql("from rejects").pl()
    order = ["survey_year", "file", "line_number"]
    assert rejects.sort(order).equals(rejected.select(rejects.columns).sort(order).cast(dict(rejects.schema.items())))
    assert rejects.filter(pl.col("line") == "").is_empty()
