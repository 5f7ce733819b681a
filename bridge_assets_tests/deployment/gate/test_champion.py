"""A version is held against the champion on inspections that neither learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.model_versions import FEATURES, make_version

from bridge_assets.deployment.gate.challenge import champion_decision
from bridge_assets.deployment.gate.champion import Comparison, compare_versions, unknown_champion
from bridge_assets.deployment.gate.decision import GateClosedError, require_open_gate
from bridge_assets.models.dataset.split import holdout_rows, split_at
from bridge_assets.models.metrics.bootstrap import Interval
from bridge_assets.models.metrics.probability import probability_metrics
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.settings import GateSettings, ModelSettings, SplitSettings
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
def good(tmp_path_factory) -> ModelVersion:
    return make_version(tmp_path_factory.mktemp("models"), 1)


@pytest.fixture(scope="module")
def poor(tmp_path_factory) -> ModelVersion:
    return make_version(tmp_path_factory.mktemp("models"), 1, skill=0.05)


def settings(**gate) -> ModelSettings:
    return ModelSettings(gate=GateSettings(**gate))


def with_record(version: ModelVersion, folder: Path, auc: float, brier: float, **made_from) -> ModelVersion:
    """A copy of a version with other recorded figures and provenance, as one that was trained before."""
    copy = ModelVersion(folder / version.version)
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
    copy.record_stage("bridge_model")
    # `record` strikes out nothing: the model's bytes are the same.
    assert "onnx_model" in copy.stages
    return copy


def test_a_worse_version_is_refused_with_both_figures(good, poor, holdout):
    found = compare_versions(poor, good, holdout, settings())
    assert found.evaluated
    assert (found.inspections, found.falls) == (holdout.height, int(holdout["fall"].sum()))
    auc, brier = found.problems
    assert f"{found.candidate_scores.auc:.4f} against {found.champion_scores.auc:.4f}" in auc
    assert "the most is 0.005 (champion_auc_loss)" in auc
    assert f"{found.candidate_scores.brier:.5f} against {found.champion_scores.brier:.5f}" in brier
    assert found.score_gains["auc"].high < 0
    assert "|auc|" in found.markdown()
    with pytest.raises(GateClosedError, match=r"onnx_model:not_worse_than_champion failed: AUC is 0\.\d+ worse"):
        require_open_gate(champion_decision(poor, found, "run"), None)
    assert require_open_gate(champion_decision(poor, found, "run"), "agreed with the bridge office")


def test_a_better_version_passes_and_says_by_how_much(good, poor, holdout):
    found = compare_versions(good, poor, holdout, settings())
    assert found.evaluated
    assert found.problems == ()
    assert found.score_gains["auc"].low > 0
    assert found.message.startswith(
        f"AUC {found.candidate_scores.auc:.4f} against the champion's {found.champion_scores.auc:.4f}"
    )
    assert champion_decision(good, found, "run").is_open


def test_the_margins_decide(good, poor, holdout):
    first = compare_versions(poor, good, holdout, settings())
    auc = (first.champion_scores.auc or 0) - (first.candidate_scores.auc or 0)
    brier = (first.candidate_scores.brier or 0) - (first.champion_scores.brier or 0)
    just = {"champion_auc_loss": auc + 1e-9, "champion_brier_loss": brier + 1e-9}
    assert compare_versions(poor, good, holdout, settings(**just)).problems == ()
    for name, value in just.items():
        [problem] = compare_versions(poor, good, holdout, settings(**{**just, name: value - 1e-6})).problems
        assert f"({name})" in problem


def test_the_first_version_and_the_champion_itself_pass(good, holdout):
    assert compare_versions(good, None, None, settings()) == Comparison(None, "there is no champion yet")
    found = compare_versions(good, good, holdout, settings())
    assert (found.message, found.problems) == ("this is the champion", ())


@pytest.mark.parametrize(
    "made_from",
    [{"features_digest": "0" * 12}, {"target": "poor"}, {"horizon_months": 24}],
    ids=["features", "target", "horizon"],
)
def test_a_champion_that_answers_another_question_is_not_asked(made_from, good, poor, holdout, tmp_path):
    mine = with_record(poor, tmp_path / "mine", 0.70, 0.09, target="fall", horizon_months=48)
    better = with_record(good, tmp_path / "better", 0.72, 0.09, **made_from)
    found = compare_versions(mine, better, holdout, settings())
    assert not found.evaluated
    [problem] = found.problems
    assert "cannot be asked about these inspections: it was trained on another" in problem
    assert "AUC +0.1000, the champion +0.1200" in problem
    assert "champion_not_comparable" in problem
    assert compare_versions(mine, better, holdout, settings(champion_not_comparable="accept")).problems == ()
    assert compare_versions(mine, better, holdout, settings(champion_not_comparable="refuse")).problems
    worse = with_record(good, tmp_path / "worse", 0.69, 0.091, **made_from)
    assert compare_versions(mine, worse, holdout, settings()).problems == ()


def test_without_recorded_figures_somebody_must_decide(good, poor, holdout, tmp_path):
    champion = with_record(good, tmp_path, 0.7, 0.09, features_digest="0" * 12)
    champion.file("evaluation.json").write_text(json.dumps({"other": "form"}))
    champion.record_stage("bridge_model")
    [problem] = compare_versions(poor, champion, holdout, settings()).problems
    assert "there are no recorded figures of both" in problem
    assert compare_versions(poor, champion, holdout, settings(champion_not_comparable="accept")).problems == ()
    assert unknown_champion("models:/bridge_fall/1", GateSettings()).problems
    assert unknown_champion("models:/bridge_fall/1", GateSettings(champion_not_comparable="accept")).problems == ()


def test_two_regressions_are_compared_in_points(holdout, tmp_path):
    good, poor = (make_version(tmp_path / str(skill), 1, skill=skill, task="regression") for skill in (1.0, 0.05))
    changes = holdout.with_columns(change=-pl.col("fall").cast(pl.Float32))
    found = compare_versions(poor, good, changes, settings())
    rmse, rank = found.problems
    assert rmse.startswith("RMSE is 0.")
    assert "(champion_rmse_loss)" in rmse
    assert rank.startswith("the rank correlation is 0.")
    assert "(champion_spearman_loss)" in rank
    assert "|rmse|" in found.markdown()
    better = compare_versions(good, poor, changes, settings())
    assert better.problems == ()
    assert better.message.startswith(f"RMSE {better.candidate_scores.rmse:.4f} against the champion's ")
    assert better.score_gains["rmse"].low > 0


def test_a_champion_of_another_task_is_not_asked(good, holdout, tmp_path):
    regression = make_version(tmp_path, 1, task="regression")
    found = compare_versions(regression, good, holdout.with_columns(change=0.0), settings())
    assert not found.evaluated
    [problem] = found.problems
    assert "it was trained on another task, and there are no recorded figures of both" in problem
    accepted = compare_versions(regression, good, holdout, settings(champion_not_comparable="accept"))
    assert accepted.problems == ()


def test_structures_that_the_champion_trained_on_are_left_out(good, poor, holdout, tmp_path):
    champion = with_record(good, tmp_path / "more", 0.7, 0.09, holdout_structures=0.2)
    found = compare_versions(poor, champion, holdout, settings())
    assert found.evaluated
    assert 0.5 * holdout.height < found.inspections < 0.8 * holdout.height
    champion = with_record(good, tmp_path / "all", 0.7, 0.09, holdout_structures=0.01)
    found = compare_versions(poor, champion, holdout, settings())
    assert not found.evaluated
    assert "are held out from both" in found.message


DECIDE = "(champion_not_comparable in configs/model_config.yaml: recorded, accept or refuse)"


def another_question(version: ModelVersion, folder: Path, auc: float, brier: float) -> ModelVersion:
    """A champion that cannot be asked, with these recorded figures."""
    return with_record(version, folder, auc, brier, features_digest="0" * 12)


def cannot_be_asked(champion: ModelVersion) -> str:
    return (
        f"the champion {champion.version} cannot be asked about these inspections: "
        "it was trained on another features digest"
    )


@pytest.mark.parametrize("champion_auc", [0.72, 0.65], ids=["better", "worse"])
def test_a_champion_that_cannot_be_asked_is_accepted_or_refused_whatever_it_showed(
    good, poor, holdout, tmp_path, champion_auc
):
    mine = with_record(poor, tmp_path / "mine", 0.70, 0.09)
    champion = another_question(good, tmp_path / "champion", champion_auc, 0.09)
    said = cannot_be_asked(champion)
    accepted = compare_versions(mine, champion, holdout, settings(champion_not_comparable="accept"))
    assert accepted == Comparison(champion.version, f"{said}. Accepted {DECIDE}")
    refused = compare_versions(mine, champion, holdout, settings(champion_not_comparable="refuse"))
    assert refused == Comparison(champion.version, said, (f"{said}. Refused {DECIDE}",))


def test_recorded_gains_are_written_with_their_loss_and_its_limit(good, poor, holdout, tmp_path):
    mine = with_record(poor, tmp_path / "mine", 0.70, 0.092)
    champion = another_question(good, tmp_path / "champion", 0.72, 0.09)
    compared = (
        f"{cannot_be_asked(champion)}. On its own hold-out each gains over its baselines: AUC +0.1000, the champion "
        "+0.1200; Brier score +0.00800, the champion +0.01000"
    )
    worse = (
        f"by its recorded figures AUC is 0.0200 worse than that of champion {champion.version}; "
        "the most is 0.005 (champion_auc_loss); "
        f"by its recorded figures the Brier score is 0.00200 worse than that of champion {champion.version}; "
        "the most is 0.001 (champion_brier_loss)"
    )
    assert compare_versions(mine, champion, holdout, settings()) == Comparison(
        champion.version, compared, (f"{compared}; {worse} {DECIDE}",)
    )
    lenient = settings(champion_auc_loss=1, champion_brier_loss=1)
    assert compare_versions(mine, champion, holdout, lenient) == Comparison(champion.version, compared)


def test_what_may_be_lost_at_most_may_be_lost(good, poor, holdout, tmp_path):
    mine = with_record(poor, tmp_path / "mine", 0.70, 0.09)
    champion = another_question(good, tmp_path / "champion", 0.72, 0.09)
    lost = (0.72 - 0.6) - (0.70 - 0.6)
    assert compare_versions(mine, champion, holdout, settings(champion_auc_loss=lost)).problems == ()
    assert compare_versions(mine, champion, holdout, settings(champion_auc_loss=lost - 1e-9)).problems


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
def test_without_the_recorded_figures_of_one_somebody_must_decide(good, poor, holdout, tmp_path, whose, content):
    versions = {
        "mine": with_record(poor, tmp_path / "mine", 0.70, 0.09),
        "champion": another_question(good, tmp_path / "champion", 0.65, 0.09),
    }
    assert compare_versions(versions["mine"], versions["champion"], holdout, settings()).problems == ()
    evaluation = versions[whose].file("evaluation.json")
    if content is None:
        evaluation.unlink()
    else:
        evaluation.write_text(content)
    said = cannot_be_asked(versions["champion"])
    problem = f"{said}, and there are no recorded figures of both to compare {DECIDE}"
    found = compare_versions(versions["mine"], versions["champion"], holdout, settings())
    assert found == Comparison(versions["champion"].version, said, (problem,))


def test_every_difference_in_what_is_asked_is_named(good, poor, holdout, tmp_path):
    mine = with_record(poor, tmp_path / "mine", 0.7, 0.09, target="fall", component="deck", horizon_months=48)
    champion = with_record(
        good, tmp_path / "champion", 0.7, 0.09, features_digest="0" * 12, target="poor", component="condition"
    )
    assert compare_versions(mine, champion, holdout, settings()).message.startswith(
        f"the champion {champion.version} cannot be asked about these inspections: it was trained on another "
        "features digest and another target and another component."
    )


def test_what_one_of_them_does_not_record_is_no_difference(good, poor, holdout, tmp_path):
    more = with_record(poor, tmp_path / "mine", 0.7, 0.09, target="fall", component="condition", horizon_months=48)
    assert compare_versions(more, good, holdout, settings()).evaluated
    assert compare_versions(good, more, holdout, settings()).evaluated


def test_without_a_hold_out_there_is_nothing_to_compare(good, poor):
    assert compare_versions(poor, good, None, settings()) == Comparison(None, "there is no champion yet")


def test_the_champion_itself_is_named(good, holdout):
    assert compare_versions(good, good, holdout, settings()) == Comparison(good.version, "this is the champion")


def few_problem(champion: ModelVersion, inspections: int, falls: int) -> str:
    return (
        f"the champion {champion.version} cannot be asked about these inspections: "
        f"only {inspections:,} inspections with {falls:,} falls are held out from both"
    )


def test_the_least_number_of_inspections_and_of_falls_is_enough(good, poor, holdout):
    inspections, falls = holdout.height, int(holdout["fall"].sum())
    just = settings(holdout_inspections=inspections, holdout_falls=falls)
    assert compare_versions(poor, good, holdout, just).evaluated
    for name, number in {"holdout_inspections": inspections + 1, "holdout_falls": falls + 1}.items():
        found = compare_versions(poor, good, holdout, settings(**{name: number}))
        assert not found.evaluated
        assert found.message == few_problem(good, inspections, falls)


@pytest.mark.parametrize("fell", [True, False])
def test_where_all_or_none_fell_there_is_nothing_to_rank(good, poor, holdout, fell):
    found = compare_versions(poor, good, holdout.with_columns(fall=pl.lit(fell)), settings(holdout_falls=1))
    assert found.message == few_problem(good, holdout.height, holdout.height * fell)


def test_a_hold_out_of_no_inspections_is_too_small(good, poor, holdout):
    assert compare_versions(poor, good, holdout.clear(), settings()).message == few_problem(good, 0, 0)


def test_where_few_inspections_are_shared_the_records_are_compared(good, poor, holdout, tmp_path):
    mine = with_record(poor, tmp_path / "mine", 0.70, 0.09)
    champion = with_record(good, tmp_path / "champion", 0.72, 0.09)
    few = settings(holdout_inspections=holdout.height + 1)
    found = compare_versions(mine, champion, holdout, few)
    assert found.champion == champion.version
    assert "AUC +0.1000, the champion +0.1200" in found.message
    assert len(found.problems) == 1
    assert compare_versions(champion, mine, holdout, few).problems == ()


def test_a_champion_that_does_not_say_its_hold_out_has_that_of_the_settings(good, poor, holdout):
    smaller = ModelSettings(split=SplitSettings(holdout_structures=0.2))
    shared = holdout_rows(split_at(holdout, 2018, 2020, 0.2))
    assert compare_versions(poor, good, holdout, smaller).inspections == shared.height < holdout.height


def test_what_was_compared_is_said_in_a_sentence(good, poor, holdout):
    found = compare_versions(good, poor, holdout, settings())
    mine, other = found.candidate_scores, found.champion_scores
    assert found.champion == poor.version
    assert found.message == (
        f"AUC {mine.auc:.4f} against the champion's {other.auc:.4f}, Brier score {mine.brier:.5f} against "
        f"{other.brier:.5f}, on {holdout.height:,} inspections held out from both (champion {poor.version})"
    )


def test_a_worse_figure_is_written_with_both_values_and_its_limit(good, poor, holdout):
    found = compare_versions(poor, good, holdout, settings())
    mine, other = found.candidate_scores, found.champion_scores
    assert found.problems[0] == (
        f"AUC is {other.auc - mine.auc:.4f} worse than that of champion {good.version} "
        f"({mine.auc:.4f} against {other.auc:.4f}); the most is 0.005 (champion_auc_loss)"
    )
    assert found.problems[1].startswith(f"the Brier score is {mine.brier - other.brier:.5f} worse than that of ")


def test_the_intervals_are_those_of_the_gain_over_the_champion_and_the_same_every_time(good, poor, holdout):
    found, exchanged = (
        compare_versions(poor, good, holdout, settings()),
        compare_versions(good, poor, holdout, settings()),
    )
    assert found.score_gains == compare_versions(poor, good, holdout, settings()).score_gains
    assert set(found.score_gains) >= {"auc", "brier"}
    for figure, interval in found.score_gains.items():
        assert interval.low == pytest.approx(-exchanged.score_gains[figure].high)
    auc = found.candidate_scores.auc - found.champion_scores.auc
    assert found.score_gains["auc"].low < auc < found.score_gains["auc"].high


def test_a_figure_that_cannot_be_measured_decides_nothing(holdout, tmp_path):
    good, poor = (make_version(tmp_path / str(skill), 1, skill=skill, task="regression") for skill in (1.0, 0.05))
    # One change everywhere: there is an error, but nothing to rank.
    found = compare_versions(poor, good, holdout.with_columns(change=pl.lit(0.0)), settings(champion_rmse_loss=9))
    assert found.evaluated
    assert (found.candidate_scores.spearman, found.problems) == (None, ())
    assert "rank correlation - against -, on " in found.message
    assert "|rmse|" in found.markdown()
    assert "spearman" not in found.markdown()


def test_both_are_a_table_with_the_gain_and_its_interval():
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
        "|figure|candidate|champion|gain|95 % interval|",
        "|---|---:|---:|---:|---|",
        f"|auc|{mine.auc:.4f}|{other.auc:.4f}|{mine.auc - other.auc:+.4f}|-0.1234 to +0.5679|",
        f"|average_precision|{mine.average_precision:.4f}|{other.average_precision:.4f}"
        f"|{mine.average_precision - other.average_precision:+.4f}|-|",
        f"|brier|{mine.brier:.4f}|{other.brier:.4f}|{other.brier - mine.brier:+.4f}|+0.0000 to +1.0000|",
        f"|worst_10|{mine.worst_10:.4f}|{other.worst_10:.4f}|{mine.worst_10 - other.worst_10:+.4f}|-|",
    ]


def test_a_figure_that_one_of_them_lacks_is_left_out_of_the_table():
    happened = np.array([True, False] * 50)
    whole, empty = (
        probability_metrics(happened, happened * 0.5),
        probability_metrics(~happened & happened, happened * 0.5),
    )
    assert empty.auc is None
    for mine, other in ((whole, empty), (empty, whole)):
        rows = Comparison("abc", "said", (), True, 100, 50, mine, other).markdown().splitlines()[4:]
        assert [row.split("|")[1] for row in rows] == ["brier"]


def test_where_nothing_was_asked_the_table_is_the_sentence():
    found = Comparison("abc", "there is no champion yet")
    assert found.markdown() == "there is no champion yet"
    assert (found.evaluated, found.inspections, found.falls, found.problems, found.score_gains) == (False, 0, 0, (), {})


def test_a_champion_of_which_only_its_place_is_known():
    said = "the champion models:/m/1 was not registered by this version of bridge_assets: its files are not listed"
    accepted = unknown_champion("models:/m/1", GateSettings(champion_not_comparable="accept"))
    assert accepted == Comparison("models:/m/1", f"{said}. Accepted {DECIDE}")
    for decision in ("recorded", "refuse"):
        problem = f"{said}. Set it to accept, once, or move the alias {DECIDE}"
        found = unknown_champion("models:/m/1", GateSettings(champion_not_comparable=decision))
        assert found == Comparison("models:/m/1", said, (problem,))
