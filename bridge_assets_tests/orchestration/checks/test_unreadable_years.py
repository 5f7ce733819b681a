"""A survey year that cannot be read is reported red, and does not keep the others from their pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.nbi_files import write_nbi
from support.small_platform import error_messages

from bridge_assets.data.ingest.unreadable import unreadable_years
from bridge_assets.data.lake import Lake
from bridge_assets.orchestration.assets.inventory import load_records, nbi_files
from bridge_assets.orchestration.assets.quality import data_quality, data_quality_report
from bridge_assets.orchestration.checks.inventory import rows_reconcile, schema_matches, structures_present
from bridge_assets.orchestration.checks.sources import every_year_readable
from bridge_assets.orchestration.partitions import RANGE_END, RANGE_START
from bridge_assets.orchestration.resources import Platform

ASSETS = (nbi_files, load_records, data_quality, data_quality_report)
ROWS = [{"STRUCTURE_NUMBER_008": str(number)} for number in range(5)]
CHECKS = (rows_reconcile, schema_matches, structures_present, every_year_readable)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three years in a folder."""
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(tmp_path / "nbi"))
    for year in (2016, 2017, 2018):
        write_nbi(tmp_path / "nbi", year, ROWS)
    return tmp_path / "nbi"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "home" / "lake")


def run(first: int, last: int, *assets: Any) -> tuple[dg.ExecuteInProcessResult, dict[str, dg.AssetCheckEvaluation]]:
    result = dg.materialize(
        [*(assets or ASSETS), *CHECKS],
        tags={RANGE_START: str(first), RANGE_END: str(last)},
        resources={"platform": Platform()},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    return result, {check.check_name: check for check in result.get_asset_check_evaluations()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<html>moved</html>", "web page"),
        ("a,b,c\n1,2,3\n", "the header row (3 columns)"),
        (None, "2 files for survey year 2017"),
    ],
)
def test_the_other_years_get_their_page(source: Path, lake: Lake, content: str | None, message: str) -> None:
    if content is None:
        (source / "2017_again.txt").write_text("")
    else:
        (source / "NBI_2017.txt").write_text(content)
    result, checks = run(2016, 2018)
    assert result.success, error_messages(result)
    assert lake.available_years("raw_bridges") == lake.available_years("data_quality") == [2016, 2018]
    assert (source.parent / "home" / "reports" / "data_quality.html").is_file()
    red = checks["every_year_readable"]
    assert (red.passed, red.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert (red.description or "").startswith("survey year 2017 could not be read, it is in no result: ")
    assert message in (red.description or "")
    assert [name for name, check in checks.items() if not check.passed] == ["every_year_readable"]
    shown = {
        event.partition: event.metadata["cannot_be_read"].value
        for node in ("nbi_files", "load_records")
        for event in result.asset_materializations_for_node(node)
        if "cannot_be_read" in event.metadata
    }
    assert list(shown) == ["2017"]

    (source / "2017_again.txt").unlink(missing_ok=True)
    write_nbi(source, 2017, ROWS)
    result, checks = run(2016, 2018)
    assert result.success
    assert all(check.passed for check in checks.values())
    assert unreadable_years(lake) == []
    assert lake.available_years("data_quality") == [2016, 2017, 2018]


def test_earlier_records_of_a_year_that_cannot_be_read_stay(source: Path, lake: Lake) -> None:
    run(2016, 2018)
    before = lake.digest("raw_bridges", 2017)
    (source / "NBI_2017.txt").write_text("<html>moved</html>")
    result, checks = run(2016, 2018)
    assert result.success, error_messages(result)
    assert "2017 could not be read, the records of its earlier file stay in use" in (
        checks["every_year_readable"].description or ""
    )
    assert [name for name, check in checks.items() if not check.passed] == ["every_year_readable"]
    assert lake.digest("raw_bridges", 2017) == before


def test_a_run_of_which_no_year_can_be_read_fails(source: Path, lake: Lake) -> None:
    for year in (2017, 2018):
        (source / f"NBI_{year}.txt").write_text("<html>moved</html>")
    for first in (2017, 2018):
        result, _ = run(first, 2018)
        assert not result.success
        assert f"NBI_{first}.txt" in error_messages(result)
        assert "web page" in error_messages(result)
    assert lake.available_years("data_quality") == []


def test_a_year_without_a_file_is_a_warning(source: Path, lake: Lake) -> None:
    result, checks = run(2017, 2020)
    assert result.success, error_messages(result)
    missing = checks["every_year_readable"]
    assert (missing.passed, missing.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no file for survey year 2019" in (missing.description or "")
    assert missing.metadata["missing"].value == 2
    assert lake.available_years("data_quality") == [2017, 2018]


def test_a_server_that_is_down_is_not_asked_for_every_year(
    source: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "unknown://host/nbi")
    result, _ = run(1992, 2025, nbi_files)
    assert not result.success
    assert unreadable_years(lake) == [1992, 1993, 1994]
