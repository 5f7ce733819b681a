"""Selection strings, which people type into the UI, `dg launch` and `dagster asset materialize`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from bridge_assets.definitions import defs

PROJECT = Path(__file__).parents[2]


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # raised by Dagster's own parser
@pytest.mark.parametrize(
    ("selection", "some"),
    [
        ("looker_sheet", {"looker_sheet"}),
        ('+key:"bridge_model"', {"bridge_model", "training_set", "bridge_features", "raw_bridges", "nbi_files"}),
        ('key:"training_set"+1', {"training_set", "bridge_model"}),
        ('group:"7_reporting" and not key:"looker_sheet"', {"condition_report"}),
        ('tag:"bridge_assets/stage"="training"', {"bridge_model", "onnx_model"}),
        ('kind:"dbt"', {"stg_bridges", "fct_condition_transitions"}),
    ],
)
def test_a_selection_string_selects(selection: str, some: set[str]) -> None:
    keys = dg.AssetSelection.from_string(selection).resolve(defs.resolve_asset_graph())
    assert some <= {key.to_user_string() for key in keys}


@pytest.mark.parametrize(
    "command",
    [
        ["dg", "launch", "--assets", "looker_sheet"],
        ["dagster", "asset", "materialize", "-m", "bridge_assets.definitions", "--select", "looker_sheet"],
    ],
    ids=["dg", "dagster"],
)
def test_an_asset_is_launched_from_the_shell(platform, command: list[str]) -> None:
    sheet = platform.home / "reports" / "bridge_outlook.csv"
    before = sheet.read_bytes()
    sheet.unlink()
    program = Path(sys.executable).parent / command[0]
    finished = subprocess.run([program, *command[1:]], cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert sheet.read_bytes() == before
