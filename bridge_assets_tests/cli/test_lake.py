"""A survey year that the source no longer has is named, and dropped from every table at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from support.nbi_files import nbi_text, write_nbi

from bridge_assets.cli import main
from bridge_assets.cli.run_lock import only_run
from bridge_assets.data.lake import Lake
from bridge_assets.data.withdrawn import withdrawn_messages, withdrawn_years
from bridge_assets.errors import RunInProgressError
from bridge_assets.orchestration.checks.sources import source_has_every_year
from bridge_assets.orchestration.resources import Platform
from bridge_assets.settings import DataSettings

TABLES = ("raw_bridges", "rejected_records", "bridge_features", "published_scores")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake of 2016 to 2018, and a folder that has lost 2016."""
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(tmp_path / "nbi"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    for year in (2017, 2018):
        write_nbi(tmp_path / "nbi", year, [{}])
    fill(Lake(tmp_path / "home" / "lake"))
    return tmp_path / "home"


def fill(lake: Lake) -> None:
    for year in (2016, 2017, 2018):
        lake.write_provenance("nbi_files", year, {})
        for name in TABLES:
            lake.write_year(pl.DataFrame({"survey_year": [year]}), name, year, {})


def drop(year: str):
    return CliRunner().invoke(main, ["lake", "drop-year", year])


def names_of(lake: Path, year: int) -> list[str]:
    return [path.name for path in lake.rglob(f"*{year}*")]


def test_a_year_that_the_source_has_lost_is_named(home: Path) -> None:
    data, lake = DataSettings.load(), Lake(home / "lake")
    assert withdrawn_years(data, lake) == [2016]
    check = source_has_every_year(Platform())
    assert isinstance(check, dg.AssetCheckResult)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == withdrawn_messages(data, lake)[0]
    assert f"2016: {data.source_folder} has no file" in (check.description or "")
    assert "`bridge-assets lake drop-year 2016`" in (check.description or "")
    write_nbi(data.source_folder, 2016, [{}])
    assert source_has_every_year(Platform()).passed  # type: ignore[union-attr]


def test_a_source_that_cannot_be_listed_is_no_pass(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(home / "none"))
    check = source_has_every_year(Platform())
    assert isinstance(check, dg.AssetCheckResult)
    assert not check.passed
    assert "the source folder does not exist" in (check.description or "")


def test_one_address_says_nothing_about_other_years_and_a_bucket_is_listed(
    home: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    lake, bucket = Lake(home / "lake"), s3fs.S3FileSystem()
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "https://host.invalid/NBI_2017.zip")
    assert withdrawn_years(DataSettings.load(), lake) == []
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", "s3://withdrawn/nbi")
    bucket.mkdir("withdrawn")
    bucket.pipe("withdrawn/nbi/NBI_2017.txt", nbi_text(2017, [{}]).encode())
    assert withdrawn_years(DataSettings.load(), lake) == [2016, 2018]


def test_a_year_is_dropped_from_every_table(home: Path) -> None:
    pages = home / "reports"
    pages.mkdir()
    for name in ("drift_2016.html", "drift_2017.html", "condition_report.html"):
        (pages / name).write_text("")
    done = drop("2016")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in pages.iterdir()) == ["condition_report.html", "drift_2017.html"]
    assert names_of(home / "lake", 2016) == []
    assert Lake(home / "lake").available_years("raw_bridges") == [2017, 2018]
    assert "9 files of bridge_features, nbi_files, published_scores, raw_bridges, rejected_records." in done.output
    assert "run --job inventory --years 2017-2018\n" in done.output  # there is no model, so nothing to score again
    assert "still has a file" not in done.output
    again = drop("2016")
    assert again.exit_code == 1
    assert "there is no survey year 2016. The lake has 2017 to 2018; nothing was changed" in again.output
    Lake(home / "lake").write_year(pl.DataFrame({"survey_year": [2017]}), "bridge_predictions", 2017, {})
    last = drop("2018")
    assert "The source still has a file of 2018" in last.output
    assert "run --job latest_year --years 2017 " in last.output
    assert "also trains: the served model may have learned from the year" in last.output
    assert "The lake has no survey year left" in drop("2017").output
    assert "The lake has no survey year; nothing was changed" in drop("2017").output


def test_nothing_is_dropped_beside_a_run(home: Path) -> None:
    with only_run(DataSettings.load()):
        refused = drop("2016")
    assert "another run has been in progress" in refused.output
    with Lake(home / "lake").writing(), pytest.raises(RunInProgressError, match="Another process is writing"):
        Lake(home / "lake").drop_year(2016)
    assert drop("1990").exit_code == 1  # makes the instance
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(dg.GraphDefinition("latest_year").to_job())
        instance.report_run_canceling(run)
        refused = drop("2016")
        assert f"run {run.run_id[:8]} of latest_year is in progress" in refused.output
        instance.report_run_canceled(run)
    assert len(names_of(home / "lake", 2016)) == 9
    assert drop("2016").exit_code == 0


_KILLED = """
import os, pathlib, sys
from bridge_assets.data.lake import Lake
unlink, left = pathlib.Path.unlink, int(sys.argv[2])
def killing(path, **more):
    global left
    if left == 0: os._exit(9)
    left -= 1
    unlink(path, **more)
pathlib.Path.unlink = killing
Lake(pathlib.Path(sys.argv[1])).drop_year(2016)
"""


@pytest.mark.parametrize("removals", [0, 1, 4, 9])
def test_what_a_killed_call_left_goes_with_the_next_run(tmp_path: Path, removals: int) -> None:
    lake = Lake(tmp_path / "lake")
    fill(lake)
    # atomic_write removes its temporary file, which has been renamed already: one call more.
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(lake.folder), str(removals + 1)], env=dict(os.environ), check=False
    )
    assert killed.returncode == 9
    assert len(lake.files_of_year(2016)) == 9 - removals
    assert len(lake.remove_leftovers()) == 9  # every run calls it first (`Platform.setup_for_execution`)
    assert names_of(lake.folder, 2016) == []
    assert lake.available_years("raw_bridges") == [2017, 2018]
