"""The search uses the training inspections only and reports each trial."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from bridge_assets.cli import main
from bridge_assets.data.features.normalization import Normalization
from bridge_assets.data.lake import Lake
from bridge_assets.errors import TrainingError
from bridge_assets.models.training.search import search_forest
from bridge_assets.settings import ForestSettings
from bridge_assets.storage import write_json

FEATURES = ("condition", "years_in_condition", "age", "log_adt", "culvert")
BASE = ForestSettings(trees=12, depth=6, leaf=10, seed=5)
GRID = {"leaf": (5, 700), "features": ("sqrt", 0.8)}


def test_every_combination_is_tried_and_the_best_comes_first(training):
    lines: list[str] = []
    trials = search_forest(training, FEATURES, BASE, GRID, trees=8, splits=2, years=3, progress=lines.append)
    assert len(trials) == len(lines) == 5, "the current settings are tried too"
    assert lines[0].startswith("  1 of 5: leaf 10, features 0.3: AUC 0.")
    assert lines[1].startswith("  2 of 5: leaf 5, features sqrt: AUC 0.")
    found = [trial.mean_metric("auc") or 0.0 for trial in trials]
    assert found == sorted(found, reverse=True)
    assert {trial.settings.leaf for trial in trials[-2:]} == {700}, (
        "with leaves of a third of the inspections, nothing is ranked"
    )
    assert trials[0].settings.trees == BASE.trees
    assert trials == search_forest(training, FEATURES, BASE, GRID, trees=8, splits=2, years=3)


def test_the_hold_out_is_not_used(training):
    others = pl.when(pl.col("split") != "train").then(~pl.col("fall")).otherwise(pl.col("fall"))
    grid = {"leaf": (5, 40)}
    one, two = (
        search_forest(table, FEATURES, BASE, grid, splits=1, years=3)
        for table in (training, training.with_columns(fall=others))
    )
    assert one == two


def test_too_few_years_are_rejected(training):
    few = training.filter((pl.col("split") != "train") | (pl.col("survey_year") < 2010))
    with pytest.raises(TrainingError, match=r"span 2 survey years, too few to hold out 6 of them\. What to do"):
        search_forest(few, FEATURES, BASE)


CONFIG = """\
split:
  holdout_years: 4
forest:
  trees: 4
  leaf: 600   # no more than a third of the inspections
"""


@pytest.fixture(params=["training", "changing"])
def home(request, tmp_path, monkeypatch) -> Path:
    """A platform that has only a training set, of either task."""
    table, lake = request.getfixturevalue(request.param), Lake(tmp_path / "home" / "lake")
    values = (0.0,) * len(FEATURES)
    provenance = {
        "digest": lake.write(table, "training_set"),
        "made_from": {},
        "normalization": asdict(Normalization(FEATURES, values, values, (1.0,) * len(FEATURES))),
    }
    write_json(provenance, lake.table_path("training_set").with_suffix(".json"))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "model_config.yaml").write_text(CONFIG)
    monkeypatch.setenv("BRIDGE_ASSETS_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    return tmp_path


def shell(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["search", "--splits", "2", "--years", "3", *arguments])


def test_the_search_command_prints_config_changes_and_writes_nothing(home):
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    result = shell("--try", "leaf=10", "--try", "depth=5,6")
    assert result.exit_code == 0, result.output
    assert "  3 of 3: leaf 10, depth 6: " in result.output
    table = [line for line in result.output.splitlines() if line.startswith("| ") and not line.startswith("| -")]
    assert table[0].startswith("| leaf | depth | ")
    assert [line.endswith("| now |") for line in table] == [False, False, False, True], (
        "the current settings are the worst"
    )
    config = home / "configs" / "model_config.yaml"
    assert f"  {config}, line 5: leaf: 10 (now 600)" in result.output
    assert f"  {config}, a new line below forest: depth: " in result.output
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_if_no_settings_are_better_no_change_is_suggested(home):
    result = shell("--try", "leaf=600")
    assert result.output.endswith("The current settings are the best of these: nothing to change.\n")


@pytest.mark.parametrize(
    ("argument", "message"),
    [("leaves=3", "'leaves' is not a setting of the forest: trees, depth"), ("leaf=few", "leaf=few: Input should be")],
)
def test_an_unknown_setting_is_rejected(argument, message):
    result = shell("--try", argument)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("\u2502", " ").split())
