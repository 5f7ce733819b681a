"""A version is held against the champion on inspections that neither learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from registered_versions import FEATURES, make_version

from bridge_assets.deployment.challenge import judged_against
from bridge_assets.deployment.champion import Comparison, compare, unknown
from bridge_assets.deployment.gate import GateClosed, let_through
from bridge_assets.models.candidate import Candidate
from bridge_assets.models.split import holdout_rows, split_at
from bridge_assets.settings import GateSettings, ModelSettings
from bridge_assets.storage import write_json


@pytest.fixture(scope="module")
def holdout() -> pl.DataFrame:
    """Held-out inspections whose condition decides, in part, whether they fall."""
    draw = np.random.default_rng(5)
    rows = draw.normal(size=(6000, len(FEATURES)))
    table = pl.DataFrame(
        {
            "structure_key": [f"01-{number // 2:06d}" for number in range(len(rows))],
            "survey_year": np.tile(np.array([2018, 2020], dtype=np.int16), len(rows) // 2),
            "next_survey_year": np.tile(np.array([2020, 2022], dtype=np.int16), len(rows) // 2),
            "fall": rows[:, 0] + draw.normal(size=len(rows)) > 0.5,
        }
    ).with_columns(pl.Series(name, rows[:, place]) for place, name in enumerate(FEATURES))
    return holdout_rows(split_at(table, 2018, 2020, 0.3)).drop("split")


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Candidate:
    return make_version(tmp_path_factory.mktemp("models"), 1)


@pytest.fixture(scope="module")
def poor(tmp_path_factory) -> Candidate:
    return make_version(tmp_path_factory.mktemp("models"), 1, skill=0.05)


def settings(**gate) -> ModelSettings:
    return ModelSettings(gate=GateSettings(**gate))


def with_record(version: Candidate, folder: Path, auc: float, brier: float, **made_from) -> Candidate:
    """A copy of a version with other recorded figures and provenance, as one that was trained before."""
    copy = Candidate(folder / version.version)
    copy.folder.mkdir(parents=True)
    for path in version.folder.iterdir():
        copy.file(path.name).write_bytes(path.read_bytes())
    figures = {
        "model": {"auc": auc, "brier": brier},
        "rating_table": {"auc": 0.6, "brier": 0.1},
        "base_rate": {"auc": 0.5, "brier": 0.1},
    }
    write_json({"scores": figures}, copy.file("evaluation.json"))
    manifest = copy.manifest
    write_json({**manifest, "made_from": {**manifest["made_from"], **made_from}}, copy.file("manifest.json"))
    copy.record("bridge_model")
    # `record` strikes out nothing: the model's bytes are the same.
    assert "onnx_model" in copy.stages
    return copy


def test_a_worse_version_is_refused_with_both_figures(good, poor, holdout):
    found = compare(poor, good, holdout, settings())
    assert found.asked
    assert (found.inspections, found.falls) == (holdout.height, int(holdout["fall"].sum()))
    auc, brier = found.problems
    assert f"{found.of_candidate.auc:.4f} against {found.of_champion.auc:.4f}" in auc
    assert "the most is 0.005 (champion_auc_loss)" in auc
    assert f"{found.of_candidate.brier:.5f} against {found.of_champion.brier:.5f}" in brier
    assert found.gains["auc"].high < 0
    assert "|auc|" in found.markdown()
    with pytest.raises(GateClosed, match=r"onnx_model:not_worse_than_champion failed: AUC is 0\.\d+ worse"):
        let_through(judged_against(poor, found, "run"), None)
    assert let_through(judged_against(poor, found, "run"), "agreed with the bridge office")


def test_a_better_version_passes_and_says_by_how_much(good, poor, holdout):
    found = compare(good, poor, holdout, settings())
    assert found.asked
    assert found.problems == ()
    assert found.gains["auc"].low > 0
    assert found.said.startswith(f"AUC {found.of_candidate.auc:.4f} against the champion's {found.of_champion.auc:.4f}")
    assert judged_against(good, found, "run").open


def test_the_margins_decide(good, poor, holdout):
    first = compare(poor, good, holdout, settings())
    auc = (first.of_champion.auc or 0) - (first.of_candidate.auc or 0)
    brier = (first.of_candidate.brier or 0) - (first.of_champion.brier or 0)
    just = {"champion_auc_loss": auc + 1e-9, "champion_brier_loss": brier + 1e-9}
    assert compare(poor, good, holdout, settings(**just)).problems == ()
    for name, value in just.items():
        [problem] = compare(poor, good, holdout, settings(**{**just, name: value - 1e-6})).problems
        assert f"({name})" in problem


def test_the_first_version_and_the_champion_itself_pass(good, holdout):
    assert compare(good, None, None, settings()) == Comparison(None, "there is no champion yet")
    found = compare(good, good, holdout, settings())
    assert (found.said, found.problems) == ("this is the champion", ())


@pytest.mark.parametrize(
    "made_from",
    [{"features_digest": "0" * 12}, {"target": "poor"}, {"horizon_months": 24}],
    ids=["features", "target", "horizon"],
)
def test_a_champion_that_answers_another_question_is_not_asked(made_from, good, poor, holdout, tmp_path):
    mine = with_record(poor, tmp_path / "mine", 0.70, 0.09, target="fall", horizon_months=48)
    better = with_record(good, tmp_path / "better", 0.72, 0.09, **made_from)
    found = compare(mine, better, holdout, settings())
    assert not found.asked
    [problem] = found.problems
    assert "cannot be asked about these inspections: it was trained on another" in problem
    assert "AUC +0.1000, the champion +0.1200" in problem
    assert "champion_cannot_be_asked" in problem
    assert compare(mine, better, holdout, settings(champion_cannot_be_asked="accept")).problems == ()
    assert compare(mine, better, holdout, settings(champion_cannot_be_asked="refuse")).problems
    worse = with_record(good, tmp_path / "worse", 0.69, 0.091, **made_from)
    assert compare(mine, worse, holdout, settings()).problems == ()


def test_without_recorded_figures_somebody_must_decide(good, poor, holdout, tmp_path):
    champion = with_record(good, tmp_path, 0.7, 0.09, features_digest="0" * 12)
    champion.file("evaluation.json").write_text(json.dumps({"other": "form"}))
    champion.record("bridge_model")
    [problem] = compare(poor, champion, holdout, settings()).problems
    assert "there are no recorded figures of both" in problem
    assert compare(poor, champion, holdout, settings(champion_cannot_be_asked="accept")).problems == ()
    assert unknown("models:/bridge_fall/1", GateSettings()).problems
    assert unknown("models:/bridge_fall/1", GateSettings(champion_cannot_be_asked="accept")).problems == ()


def test_two_regressions_are_compared_in_points(holdout, tmp_path):
    good, poor = (make_version(tmp_path / str(skill), 1, skill=skill, task="regression") for skill in (1.0, 0.05))
    changes = holdout.with_columns(change=-pl.col("fall").cast(pl.Float32))
    found = compare(poor, good, changes, settings())
    rmse, rank = found.problems
    assert rmse.startswith("RMSE is 0.")
    assert "(champion_rmse_loss)" in rmse
    assert rank.startswith("the rank correlation is 0.")
    assert "(champion_spearman_loss)" in rank
    assert "|rmse|" in found.markdown()
    better = compare(good, poor, changes, settings())
    assert better.problems == ()
    assert better.said.startswith(f"RMSE {better.of_candidate.rmse:.4f} against the champion's ")
    assert better.gains["rmse"].low > 0


def test_a_champion_of_another_task_is_not_asked(good, holdout, tmp_path):
    regression = make_version(tmp_path, 1, task="regression")
    found = compare(regression, good, holdout.with_columns(change=0.0), settings())
    assert not found.asked
    [problem] = found.problems
    assert "it was trained on another task, and there are no recorded figures of both" in problem
    accepted = compare(regression, good, holdout, settings(champion_cannot_be_asked="accept"))
    assert accepted.problems == ()


def test_structures_that_the_champion_trained_on_are_left_out(good, poor, holdout, tmp_path):
    champion = with_record(good, tmp_path / "more", 0.7, 0.09, holdout_structures=0.2)
    found = compare(poor, champion, holdout, settings())
    assert found.asked
    assert 0.5 * holdout.height < found.inspections < 0.8 * holdout.height
    champion = with_record(good, tmp_path / "all", 0.7, 0.09, holdout_structures=0.01)
    found = compare(poor, champion, holdout, settings())
    assert not found.asked
    assert "are held out from both" in found.said
