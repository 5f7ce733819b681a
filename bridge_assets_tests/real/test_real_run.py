"""The same job on real files: a small panel runs to the gate and is not promoted; the file of one state gives pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from support.html_page import Page

from bridge_assets.data.lake import Lake
from bridge_assets.data.origin import lake_origin

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).parent / "bridge-assets")


def run(home: Path, source: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"},
        "BRIDGE_ASSETS_DATA__SOURCE": str(source),
        "BRIDGE_ASSETS_DATA__HOME": str(home),
    }
    return subprocess.run([COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_real_panel_runs_to_the_gate_and_is_not_promoted(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "nbi" / "panel"
    lines = {int(path.stem[-4:]): len(path.read_bytes().splitlines()) - 1 for path in source.glob("*.txt")}
    ran = run(tmp_path, source, "run")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "bridge_model:beats_baselines" in ran.stdout
    assert "held-out inspections; at least 500 are required" in ran.stdout
    assert "The local endpoint was not promoted" in ran.stdout
    assert "| rating table " in ran.stdout
    assert not any((tmp_path / "endpoints").iterdir())
    page = Page((tmp_path / "reports" / "condition_report.html").read_text(encoding="utf-8"))
    assert "no model is in use" in page.plain_text and "Lowest ratings" in page.plain_text
    assert f"Report:  {tmp_path / 'reports' / 'condition_report.html'}" in ran.stdout

    lake = Lake(tmp_path / "lake")
    assert lake.available_years("raw_bridges") == sorted(lines)
    assert 1998 not in lake.available_years("bridge_features")
    for year, rows in lines.items():
        assert lake.read_year("raw_bridges", year).height + lake.read_year("rejected_records", year).height == rows
    transitions = lake.read("fct_condition_transitions")
    assert transitions.filter(pl.col("fall").is_not_null()).height > 200

    predicted = run(tmp_path, source, "predict", "01-1")
    assert predicted.returncode == 1
    assert "no model version is deployed" in predicted.stderr


def test_one_file_of_one_state_gives_the_pages_and_says_why_there_is_no_model(real_data: Path, tmp_path: Path) -> None:
    source, home = tmp_path / "my files", tmp_path / "home"
    source.mkdir()
    shutil.copyfile(real_data / "nbi" / "AK19.txt", source / "AK19.txt")
    ran = run(home, source, "run")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Done without a model" in ran.stdout
    assert "in survey year 2019, no structure was inspected twice within 48 months" in ran.stdout
    assert "add more survey years of the same states" in ran.stdout
    assert "invented" not in ran.stdout and "gating" not in ran.stdout + ran.stderr
    lake = Lake(home / "lake")
    assert lake.available_years("raw_bridges") == [2019]
    assert lake.read_year("raw_bridges", 2019).height == 1595
    assert lake.read_year("bridge_features", 2019).height > 1500
    assert not any((home / "endpoints").iterdir()) and not any((home / "models").iterdir())
    check_that_the_page_is_of_alaska(home, real_data)

    # Nothing was trained, so nothing that needs a model has run, and a second run gives the same page.
    page = (home / "reports" / "condition_report.html").read_bytes()
    again = run(home, source, "run", "--job", "inventory")
    assert again.returncode == 0, again.stdout + again.stderr
    assert (home / "reports" / "condition_report.html").read_bytes() == page

    # The sample is refused here: its invented bridges would be mixed with Alaska's.
    mixed = run(home, Path("sample"), "run")
    assert mixed.returncode == 1
    assert "the records of 2019 here are real" in mixed.stdout + mixed.stderr
    assert lake_origin(lake).real_years == (2019,) and lake_origin(lake).sample_years == ()


def check_that_the_page_is_of_alaska(home: Path, real_data: Path) -> None:
    page = Page((home / "reports" / "condition_report.html").read_text(encoding="utf-8"))
    assert "Of 1,595 structures in Alaska, 145 (9.1 %) are Poor." in page.plain_text
    assert "2019 is the only survey year, and a model learns from bridges that were inspected at least twice" in (
        page.plain_text
    )
    assert "invented" not in page.plain_text and "Inspect first" not in page.plain_text
    assert page.row("1")[3].startswith("2 Poor") and "over" in page.row("1")[1]
    assert "24 records have a flag" in page.plain_text and "No structure occurs twice" in page.plain_text
    assert (home / "reports" / "data_quality.html").is_file()
    # FHWA publishes the same two figures for Alaska's bridges on the National Highway System.
    published = pl.read_csv(real_data / "fhwa" / "nhs_bridge_condition.csv").row(
        by_predicate=(pl.col("state") == "AK") & (pl.col("survey_year") == 2019), named=True
    )
    good, poor = published["good_percent_of_deck_area"], published["poor_percent_of_deck_area"]
    assert f"{good} % Good, {poor} % Poor" in page.plain_text


def test_two_states_in_one_year_give_a_page_with_both(real_data: Path, tmp_path: Path) -> None:
    """One file per state, one of them under a name of its owner's choice."""
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    shutil.copyfile(real_data / "nbi" / "AK19.txt", source / "Bridges_AK_2019_final.txt")
    lines = (real_data / "nbi" / "panel" / "NBI_2019.txt").read_bytes().splitlines(keepends=True)
    kept = [line for line in lines[1:] if line.split(b",")[0].strip(b"'") == b"51"]
    assert len(kept) > 50
    (source / "VA19.txt").write_bytes(lines[0] + b"".join(kept))
    ran = run(home, source, "run", "--job", "inventory")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    page = Page((home / "reports" / "condition_report.html").read_text(encoding="utf-8"))
    assert "in 2 states" in page.plain_text
    assert page.row("Alaska")[1] == "1,595" and page.row("Virginia")[1] == str(len(kept))
