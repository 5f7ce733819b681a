"""A champion that cannot be evaluated on the hold-out is compared by its recorded metrics, or by a setting."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from support.champion import gate_settings, with_recorded_metrics
from support.model_versions import make_version

from bridge_assets.deployment.gate.champion import Comparison, compare_versions, unknown_champion
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.settings import GateSettings

DECIDE = "(champion_not_comparable in configs/model_config.yaml: recorded, accept or refuse)"


@pytest.mark.parametrize(
    "made_from",
    [{"features_digest": "0" * 12}, {"target": "poor"}, {"horizon_months": 24}],
    ids=["features", "target", "horizon"],
)
def test_a_champion_with_another_target_is_not_evaluated(made_from, good, poor, holdout, tmp_path):
    mine = with_recorded_metrics(poor, tmp_path / "mine", 0.70, 0.09, target="fall", horizon_months=48)
    better = with_recorded_metrics(good, tmp_path / "better", 0.72, 0.09, **made_from)
    found = compare_versions(mine, better, holdout, gate_settings())
    assert not found.evaluated
    [problem] = found.problems
    assert "cannot be evaluated on these inspections: it was trained with another" in problem
    assert "AUC +0.1000 (champion +0.1200)" in problem
    assert "champion_not_comparable" in problem
    assert compare_versions(mine, better, holdout, gate_settings(champion_not_comparable="accept")).problems == ()
    assert compare_versions(mine, better, holdout, gate_settings(champion_not_comparable="refuse")).problems
    worse = with_recorded_metrics(good, tmp_path / "worse", 0.69, 0.091, **made_from)
    assert compare_versions(mine, worse, holdout, gate_settings()).problems == ()


def test_without_recorded_metrics_somebody_must_decide(good, poor, holdout, tmp_path):
    champion = with_recorded_metrics(good, tmp_path, 0.7, 0.09, features_digest="0" * 12)
    champion.file("evaluation.json").write_text(json.dumps({"other": "form"}))
    champion.record_stage("bridge_model")
    [problem] = compare_versions(poor, champion, holdout, gate_settings()).problems
    assert "recorded metrics are not available for both" in problem
    assert compare_versions(poor, champion, holdout, gate_settings(champion_not_comparable="accept")).problems == ()
    assert unknown_champion("models:/bridge_fall/1", GateSettings()).problems
    assert unknown_champion("models:/bridge_fall/1", GateSettings(champion_not_comparable="accept")).problems == ()


def test_a_champion_of_another_task_is_not_evaluated(good, holdout, tmp_path):
    regression = make_version(tmp_path, 1, task="regression")
    found = compare_versions(regression, good, holdout.with_columns(change=0.0), gate_settings())
    assert not found.evaluated
    [problem] = found.problems
    assert "it was trained with another task, and recorded metrics are not available for both" in problem
    accepted = compare_versions(regression, good, holdout, gate_settings(champion_not_comparable="accept"))
    assert accepted.problems == ()


def not_comparable(version: ModelVersion, folder: Path, auc: float, brier: float) -> ModelVersion:
    """A champion with other feature definitions and these recorded metrics."""
    return with_recorded_metrics(version, folder, auc, brier, features_digest="0" * 12)


def cannot_be_evaluated(champion: ModelVersion) -> str:
    return (
        f"the champion {champion.version} cannot be evaluated on these inspections: "
        "it was trained with another features digest"
    )


@pytest.mark.parametrize("champion_auc", [0.72, 0.65], ids=["better", "worse"])
def test_a_champion_that_cannot_be_evaluated_is_accepted_or_refused_whatever_its_metrics(
    good, poor, holdout, tmp_path, champion_auc
):
    mine = with_recorded_metrics(poor, tmp_path / "mine", 0.70, 0.09)
    champion = not_comparable(good, tmp_path / "champion", champion_auc, 0.09)
    summary = cannot_be_evaluated(champion)
    accepted = compare_versions(mine, champion, holdout, gate_settings(champion_not_comparable="accept"))
    assert accepted == Comparison(champion.version, f"{summary}. Accepted {DECIDE}")
    refused = compare_versions(mine, champion, holdout, gate_settings(champion_not_comparable="refuse"))
    assert refused == Comparison(champion.version, summary, (f"{summary}. Refused {DECIDE}",))


def test_recorded_gains_are_reported_with_the_loss_and_the_limit(good, poor, holdout, tmp_path):
    mine = with_recorded_metrics(poor, tmp_path / "mine", 0.70, 0.092)
    champion = not_comparable(good, tmp_path / "champion", 0.72, 0.09)
    compared = (
        f"{cannot_be_evaluated(champion)}. Recorded gains over the baselines, each on its own hold-out: "
        "AUC +0.1000 (champion +0.1200); Brier score +0.00800 (champion +0.01000)"
    )
    worse = (
        f"by recorded metrics, AUC is 0.0200 worse than for champion {champion.version}; "
        "at most 0.005 is allowed (champion_auc_loss); "
        f"by recorded metrics, the Brier score is 0.00200 worse than for champion {champion.version}; "
        "at most 0.001 is allowed (champion_brier_loss)"
    )
    assert compare_versions(mine, champion, holdout, gate_settings()) == Comparison(
        champion.version, compared, (f"{compared}; {worse} {DECIDE}",)
    )
    lenient = gate_settings(champion_auc_loss=1, champion_brier_loss=1)
    assert compare_versions(mine, champion, holdout, lenient) == Comparison(champion.version, compared)


def test_a_loss_equal_to_the_limit_is_allowed(good, poor, holdout, tmp_path):
    mine = with_recorded_metrics(poor, tmp_path / "mine", 0.70, 0.09)
    champion = not_comparable(good, tmp_path / "champion", 0.72, 0.09)
    lost = (0.72 - 0.6) - (0.70 - 0.6)
    assert compare_versions(mine, champion, holdout, gate_settings(champion_auc_loss=lost)).problems == ()
    assert compare_versions(mine, champion, holdout, gate_settings(champion_auc_loss=lost - 1e-9)).problems


@pytest.mark.parametrize("whose", ["mine", "champion"])
@pytest.mark.parametrize(
    "content",
    [
        None,
        "no JSON",
        "[]",
        json.dumps({"scores": {"model": {"auc": 0.9, "brier": 0.01}}}),
        json.dumps({"scores": {key: {"auc": 0.9, "brier": None} for key in ("model", "rating_table", "base_rate")}}),
    ],
    ids=["gone", "broken", "a list", "without baselines", "not measured"],
)
def test_without_the_recorded_metrics_of_one_somebody_must_decide(good, poor, holdout, tmp_path, whose, content):
    versions = {
        "mine": with_recorded_metrics(poor, tmp_path / "mine", 0.70, 0.09),
        "champion": not_comparable(good, tmp_path / "champion", 0.65, 0.09),
    }
    assert compare_versions(versions["mine"], versions["champion"], holdout, gate_settings()).problems == ()
    evaluation = versions[whose].file("evaluation.json")
    if content is None:
        evaluation.unlink()
    else:
        evaluation.write_text(content)
    summary = cannot_be_evaluated(versions["champion"])
    problem = f"{summary}, and recorded metrics are not available for both {DECIDE}"
    found = compare_versions(versions["mine"], versions["champion"], holdout, gate_settings())
    assert found == Comparison(versions["champion"].version, summary, (problem,))


def test_every_differing_definition_is_reported(good, poor, holdout, tmp_path):
    mine = with_recorded_metrics(poor, tmp_path / "mine", 0.7, 0.09, target="fall", component="deck", horizon_months=48)
    champion = with_recorded_metrics(
        good, tmp_path / "champion", 0.7, 0.09, features_digest="0" * 12, target="poor", component="condition"
    )
    assert compare_versions(mine, champion, holdout, gate_settings()).message.startswith(
        f"the champion {champion.version} cannot be evaluated on these inspections: it was trained with another "
        "features digest and another target and another component."
    )


def too_few(champion: ModelVersion, inspections: int, falls: int) -> str:
    return (
        f"the champion {champion.version} cannot be evaluated on these inspections: "
        f"only {inspections:,} inspections with {falls:,} falls are held out from both"
    )


def test_exactly_the_required_number_of_inspections_and_falls_is_enough(good, poor, holdout):
    inspections, falls = holdout.height, int(holdout["fall"].sum())
    just = gate_settings(holdout_inspections=inspections, holdout_falls=falls)
    assert compare_versions(poor, good, holdout, just).evaluated
    for name, number in {"holdout_inspections": inspections + 1, "holdout_falls": falls + 1}.items():
        found = compare_versions(poor, good, holdout, gate_settings(**{name: number}))
        assert not found.evaluated
        assert found.message == too_few(good, inspections, falls)


@pytest.mark.parametrize("fell", [True, False])
def test_if_all_or_none_fell_nothing_can_be_ranked(good, poor, holdout, fell):
    found = compare_versions(poor, good, holdout.with_columns(fall=pl.lit(fell)), gate_settings(holdout_falls=1))
    assert found.message == too_few(good, holdout.height, holdout.height * fell)


def test_an_empty_hold_out_is_too_small(good, poor, holdout):
    assert compare_versions(poor, good, holdout.clear(), gate_settings()).message == too_few(good, 0, 0)


def test_with_few_shared_inspections_the_recorded_metrics_are_compared(good, poor, holdout, tmp_path):
    mine = with_recorded_metrics(poor, tmp_path / "mine", 0.70, 0.09)
    champion = with_recorded_metrics(good, tmp_path / "champion", 0.72, 0.09)
    few = gate_settings(holdout_inspections=holdout.height + 1)
    found = compare_versions(mine, champion, holdout, few)
    assert found.champion == champion.version
    assert "AUC +0.1000 (champion +0.1200)" in found.message
    assert len(found.problems) == 1
    assert compare_versions(champion, mine, holdout, few).problems == ()


def test_a_champion_of_which_only_the_address_is_known():
    summary = "the champion models:/m/1 was not registered by this version of bridge_assets: its files are not listed"
    accepted = unknown_champion("models:/m/1", GateSettings(champion_not_comparable="accept"))
    assert accepted == Comparison("models:/m/1", f"{summary}. Accepted {DECIDE}")
    for decision in ("recorded", "refuse"):
        problem = f"{summary}. Set champion_not_comparable to accept for one run, or move the champion alias {DECIDE}"
        found = unknown_champion("models:/m/1", GateSettings(champion_not_comparable=decision))
        assert found == Comparison("models:/m/1", summary, (problem,))
