"""The same job on real files: it runs to the gate, explains why a small panel is not enough, and promotes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bridge_assets.data.lake import Lake

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
    assert "| rating table |" in ran.stdout
    assert not (tmp_path / "endpoints").exists()

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


def test_a_single_real_year_fails_because_nothing_can_be_learned(real_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copyfile(real_data / "nbi" / "AK19.txt", source / "AK19.txt")
    ran = run(tmp_path / "home", source, "run")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "failed  training_set:enough_training_data: no inspection has a known outcome" in ran.stdout
    assert "The local endpoint was not promoted" in ran.stdout
    assert "add more survey years" in ran.stdout
    lake = Lake(tmp_path / "home" / "lake")
    assert lake.available_years("raw_bridges") == [2019]
    assert lake.read_year("raw_bridges", 2019).height == 1595
    assert lake.read_year("bridge_features", 2019).height > 1500
