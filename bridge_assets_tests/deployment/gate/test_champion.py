"""A candidate and the champion are compared on inspections that neither was trained on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from support.champion import gate_settings, with_recorded_metrics
from support.model_versions import make_version

from bridge_assets.deployment.gate.challenge import champion_decision
from bridge_assets.deployment.gate.champion import Comparison, compare_versions
from bridge_assets.deployment.gate.content import read_content
from bridge_assets.deployment.gate.decision import Decision, GateClosedError, require_open_gate
from bridge_assets.models.dataset.split import holdout_rows, split_at
from bridge_assets.models.metrics.bootstrap import Interval
from bridge_assets.models.metrics.probability import probability_metrics
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.settings import GateSettings, ModelSettings, SplitSettings


def decision_of(candidate: ModelVersion, comparison: Comparison) -> Decision:
    return champion_decision(read_content(candidate), comparison, "run", GateSettings())


def test_a_worse_version_is_refused_with_both_scores(good, poor, holdout):
    found = compare_versions(poor, good, holdout, gate_settings())
    assert found.evaluated
    assert (found.inspections, found.falls) == (holdout.height, int(holdout["fall"].sum()))
    auc, brier = found.problems
    assert f"{found.candidate_scores.auc:.4f} against {found.champion_scores.auc:.4f}" in auc
    assert "at most 0.005 is allowed (champion_auc_loss)" in auc
    assert f"{found.candidate_scores.brier:.5f} against {found.champion_scores.brier:.5f}" in brier
    assert found.score_gains["auc"].high < 0
    assert "| auc |" in found.markdown()
    with pytest.raises(GateClosedError, match=r"onnx_model:not_worse_than_champion failed: AUC is 0\.\d+ worse"):
        require_open_gate(decision_of(poor, found), None)
    assert require_open_gate(decision_of(poor, found), "agreed with the bridge office")


def test_a_better_version_passes_and_reports_its_gain(good, poor, holdout):
    found = compare_versions(good, poor, holdout, gate_settings())
    assert found.evaluated
    assert found.problems == ()
    assert found.score_gains["auc"].low > 0
    assert found.message.startswith(
        f"AUC {found.candidate_scores.auc:.4f} against the champion's {found.champion_scores.auc:.4f}"
    )
    assert decision_of(good, found).is_open


def test_the_margins_decide(good, poor, holdout):
    first = compare_versions(poor, good, holdout, gate_settings())
    auc = (first.champion_scores.auc or 0) - (first.candidate_scores.auc or 0)
    brier = (first.candidate_scores.brier or 0) - (first.champion_scores.brier or 0)
    just = {"champion_auc_loss": auc + 1e-9, "champion_brier_loss": brier + 1e-9}
    assert compare_versions(poor, good, holdout, gate_settings(**just)).problems == ()
    exact = {"champion_auc_loss": auc, "champion_brier_loss": brier}  # a loss equal to the limit is allowed
    assert compare_versions(poor, good, holdout, gate_settings(**exact)).problems == ()
    for name, value in just.items():
        [problem] = compare_versions(poor, good, holdout, gate_settings(**{**just, name: value - 1e-6})).problems
        assert f"({name})" in problem


def test_the_least_hold_out_is_enough_and_one_less_is_not(good, poor, holdout):
    inspections, falls = holdout.height, int(holdout["fall"].sum())
    enough = {"holdout_inspections": inspections, "holdout_falls": falls}
    assert compare_versions(poor, good, holdout, gate_settings(**enough)).evaluated
    for name, value in enough.items():
        found = compare_versions(poor, good, holdout, gate_settings(**{**enough, name: value + 1}))
        assert not found.evaluated
        assert f"only {inspections:,} inspections with {falls:,} falls are held out from both" in found.message


@pytest.mark.parametrize("kept", [pl.lit(False), pl.col("fall")], ids=["empty", "only falls"])
def test_a_hold_out_without_both_outcomes_is_not_evaluated(good, poor, holdout, kept):
    assert not compare_versions(poor, good, holdout.filter(kept), gate_settings()).evaluated


def test_the_first_version_and_the_champion_itself_pass(good, holdout):
    assert compare_versions(good, None, None, gate_settings()) == Comparison(None, "there is no champion yet")
    found = compare_versions(good, good, holdout, gate_settings())
    assert (found.message, found.problems) == ("this is the champion", ())


def test_two_regressions_are_compared_in_points(holdout, tmp_path):
    good, poor = (make_version(tmp_path / str(skill), 1, skill=skill, task="regression") for skill in (1.0, 0.05))
    changes = holdout.with_columns(change=-pl.col("fall").cast(pl.Float32))
    found = compare_versions(poor, good, changes, gate_settings())
    rmse, rank = found.problems
    assert rmse.startswith("RMSE is 0.")
    assert "(champion_rmse_loss)" in rmse
    assert rank.startswith("the rank correlation is 0.")
    assert "(champion_spearman_loss)" in rank
    assert "| rmse |" in found.markdown()
    better = compare_versions(good, poor, changes, gate_settings())
    assert better.problems == ()
    assert better.message.startswith(f"RMSE {better.candidate_scores.rmse:.4f} against the champion's ")
    assert better.score_gains["rmse"].low > 0


def test_structures_that_the_champion_trained_on_are_left_out(good, poor, holdout, tmp_path):
    champion = with_recorded_metrics(good, tmp_path / "more", 0.7, 0.09, holdout_structures=0.2)
    found = compare_versions(poor, champion, holdout, gate_settings())
    assert found.evaluated
    assert 0.5 * holdout.height < found.inspections < 0.8 * holdout.height
    champion = with_recorded_metrics(good, tmp_path / "all", 0.7, 0.09, holdout_structures=0.01)
    found = compare_versions(poor, champion, holdout, gate_settings())
    assert not found.evaluated
    assert "are held out from both" in found.message


def test_a_definition_recorded_by_only_one_of_them_does_not_differ(good, poor, holdout, tmp_path):
    more = with_recorded_metrics(
        poor, tmp_path / "mine", 0.7, 0.09, target="fall", component="condition", horizon_months=48
    )
    assert compare_versions(more, good, holdout, gate_settings()).evaluated
    assert compare_versions(good, more, holdout, gate_settings()).evaluated


def test_without_a_hold_out_there_is_nothing_to_compare(good, poor):
    assert compare_versions(poor, good, None, gate_settings()) == Comparison(None, "there is no champion yet")


def test_the_champion_itself_is_reported(good, holdout):
    assert compare_versions(good, good, holdout, gate_settings()) == Comparison(good.version, "this is the champion")


def test_a_champion_without_a_recorded_hold_out_share_uses_the_gate_settings(good, poor, holdout):
    smaller = ModelSettings(split=SplitSettings(holdout_structures=0.2))
    shared = holdout_rows(split_at(holdout, 2018, 2020, 0.2))
    assert compare_versions(poor, good, holdout, smaller).inspections == shared.height < holdout.height


def test_the_message_names_both_scores_and_the_inspections(good, poor, holdout):
    found = compare_versions(good, poor, holdout, gate_settings())
    mine, other = found.candidate_scores, found.champion_scores
    assert found.champion == poor.version
    assert found.message == (
        f"AUC {mine.auc:.4f} against the champion's {other.auc:.4f}, Brier score {mine.brier:.5f} against "
        f"{other.brier:.5f}, on {holdout.height:,} inspections held out from both (champion {poor.version})"
    )


def test_a_worse_score_is_reported_with_both_values_and_the_limit(good, poor, holdout):
    found = compare_versions(poor, good, holdout, gate_settings())
    mine, other = found.candidate_scores, found.champion_scores
    assert found.problems[0] == (
        f"AUC is {other.auc - mine.auc:.4f} worse than for champion {good.version} "
        f"({mine.auc:.4f} against {other.auc:.4f}); at most 0.005 is allowed (champion_auc_loss)"
    )
    assert found.problems[1].startswith(f"the Brier score is {mine.brier - other.brier:.5f} worse than for ")


def test_the_intervals_are_those_of_the_gain_over_the_champion_and_the_same_every_time(good, poor, holdout):
    found, exchanged = (
        compare_versions(poor, good, holdout, gate_settings()),
        compare_versions(good, poor, holdout, gate_settings()),
    )
    assert found.score_gains == compare_versions(poor, good, holdout, gate_settings()).score_gains
    assert set(found.score_gains) >= {"auc", "brier"}
    for figure, interval in found.score_gains.items():
        assert interval.low == pytest.approx(-exchanged.score_gains[figure].high)
    auc = found.candidate_scores.auc - found.champion_scores.auc
    assert found.score_gains["auc"].low < auc < found.score_gains["auc"].high


def test_a_metric_that_cannot_be_computed_is_not_compared(holdout, tmp_path):
    good, poor = (make_version(tmp_path / str(skill), 1, skill=skill, task="regression") for skill in (1.0, 0.05))
    # One change everywhere: there is an error, but nothing to rank.
    found = compare_versions(poor, good, holdout.with_columns(change=pl.lit(0.0)), gate_settings(champion_rmse_loss=9))
    assert found.evaluated
    assert (found.candidate_scores.spearman, found.problems) == (None, ())
    assert "rank correlation - against -, on " in found.message
    assert "| rmse |" in found.markdown()
    assert "spearman" not in found.markdown()


def test_the_table_shows_both_with_the_gain_and_its_interval():
    happened = np.array([True, False, False, True] * 25)
    mine = probability_metrics(happened, happened * 0.5 + 0.25)
    other = probability_metrics(happened, np.linspace(0, 1, 100))
    assert mine is not None and mine.auc is not None and mine.average_precision is not None
    assert other is not None and other.auc is not None and other.average_precision is not None
    assert mine.worst_10 is not None and other.worst_10 is not None and mine.brier and other.brier
    found = Comparison(
        "abc", "said", (), True, 1100, 1050, mine, other, {"auc": Interval(-0.12344, 0.56789), "brier": Interval(0, 1)}
    )
    assert found.markdown().splitlines() == [
        "1,100 held-out inspections, 1,050 falls.",
        "",
        "| metric | candidate | champion | gain | 95 % interval |",
        "|---|---:|---:|---:|---|",
        f"| auc | {mine.auc:.4f} | {other.auc:.4f} | {mine.auc - other.auc:+.4f} | -0.1234 to +0.5679 |",
        f"| average_precision | {mine.average_precision:.4f} | {other.average_precision:.4f} "
        f"| {mine.average_precision - other.average_precision:+.4f} | - |",
        f"| brier | {mine.brier:.4f} | {other.brier:.4f} | {other.brier - mine.brier:+.4f} | +0.0000 to +1.0000 |",
        f"| worst_10 | {mine.worst_10:.4f} | {other.worst_10:.4f} | {mine.worst_10 - other.worst_10:+.4f} | - |",
    ]


def test_a_metric_that_one_version_lacks_is_left_out_of_the_table():
    happened = np.array([True, False] * 50)
    whole, empty = (
        probability_metrics(happened, happened * 0.5),
        probability_metrics(~happened & happened, happened * 0.5),
    )
    assert empty.auc is None
    for mine, other in ((whole, empty), (empty, whole)):
        rows = Comparison("abc", "said", (), True, 100, 50, mine, other).markdown().splitlines()[4:]
        assert [row.split("|")[1].strip() for row in rows] == ["brier"]


def test_without_an_evaluation_the_markdown_is_the_message():
    found = Comparison("abc", "there is no champion yet")
    assert found.markdown() == "there is no champion yet"
    assert (found.evaluated, found.inspections, found.falls, found.problems, found.score_gains) == (False, 0, 0, (), {})
