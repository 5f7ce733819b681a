"""The search looks at training inspections alone and says what it tries."""

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
    said: list[str] = []
    trials = search_forest(training, FEATURES, BASE, GRID, trees=8, splits=2, years=3, progress=said.append)
    assert len(trials) == len(said) == 5, "the present settings are tried too"
    assert said[0].startswith("  1 of 5: leaf 10, features 0.3: AUC 0.")
    assert said[1].startswith("  2 of 5: leaf 5, features sqrt: AUC 0.")
    found = [trial.mean_metric("auc") or 0.0 for trial in trials]
    assert found == sorted(found, reverse=True)
    assert {trial.settings.leaf for trial in trials[-2:]} == {700}, "leaves of a third of the inspections rank nothing"
    assert trials[0].settings.trees == BASE.trees
    assert trials == search_forest(training, FEATURES, BASE, GRID, trees=8, splits=2, years=3)


def test_the_hold_out_is_not_looked_at(training):
    others = pl.when(pl.col("split") != "train").then(~pl.col("fall")).otherwise(pl.col("fall"))
    grid = {"leaf": (5, 40)}
    one, two = (
        search_forest(table, FEATURES, BASE, grid, splits=1, years=3)
        for table in (training, training.with_columns(fall=others))
    )
    assert one == two


def test_too_few_years_are_said(training):
    few = training.filter((pl.col("split") != "train") | (pl.col("survey_year") < 2010))
    with pytest.raises(TrainingError, match=r"are of 2 survey years, too few to hold 6 of them out\. What to do"):
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
    """A platform that has made a training set, of either task, and nothing else."""
    table, lake = request.getfixturevalue(request.param), Lake(tmp_path / "home" / "lake")
    values = (0.0,) * len(FEATURES)
    note = {
        "digest": lake.write(table, "training_set"),
        "made_from": {},
        "normalization": asdict(Normalization(FEATURES, values, values, (1.0,) * len(FEATURES))),
    }
    write_json(note, lake.table_path("training_set").with_suffix(".json"))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "model_config.yaml").write_text(CONFIG)
    monkeypatch.setenv("BRIDGE_ASSETS_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    return tmp_path


def shell(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["search", "--splits", "2", "--years", "3", *arguments])


def test_a_search_from_a_shell_says_which_lines_to_change_and_changes_nothing(home):
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    said = shell("--try", "leaf=10", "--try", "depth=5,6")
    assert said.exit_code == 0, said.output
    assert "  3 of 3: leaf 10, depth 6: " in said.output
    table = [line for line in said.output.splitlines() if line.startswith("| ")]
    assert table[0].startswith("| leaf | depth | ")
    assert [line.endswith("| now |") for line in table] == [False, False, False, True], "the worst are the present ones"
    config = home / "configs" / "model_config.yaml"
    assert f"  {config}, line 5: leaf: 10 (now 600)" in said.output
    assert f"  {config}, a new line below forest: depth: " in said.output
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_where_nothing_is_better_nothing_is_to_be_changed(home):
    said = shell("--try", "leaf=600")
    assert said.output.endswith("The current settings are the best of these: nothing to change.\n")


@pytest.mark.parametrize(
    ("tried", "says"),
    [("leaves=3", "'leaves' is not a setting of the forest: trees, depth"), ("leaf=few", "leaf=few: Input should be")],
)
def test_a_setting_that_is_none_is_refused(tried, says):
    said = shell("--try", tried)
    assert said.exit_code == 2
    assert says in " ".join(said.output.replace("\u2502", " ").split())
