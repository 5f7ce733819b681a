"""The gate opens only for a version whose required checks all passed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import pytest

from bridge_assets.deployment.gate.content import VersionContent
from bridge_assets.deployment.gate.decision import (
    CHAMPION_REQUIREMENT,
    REQUIRED_CHECKS,
    CheckEvaluation,
    Decision,
    Finding,
    GateClosedError,
    Override,
    Requirement,
    decide,
    require_open_gate,
)
from bridge_assets.deployment.gate.limits import limits_of
from bridge_assets.settings import GateSettings

STAGES = {
    "training_set": "a" * 64,
    "bridge_model": "b" * 64,
    "quantized_model": "c" * 64,
    "onnx_model": "d" * 64,
}
OTHER = "e" * 64
CONTENT = VersionContent("v1", {"model.onnx": "0" * 64}, STAGES)

# Evaluations of one check as (passed, of this version?, when), and the state that the gate must report.
HISTORIES = {
    "never evaluated": ([], "missing"),
    "passed": ([(True, True, 1)], "passed"),
    "failed": ([(False, True, 1)], "failed"),
    "passed about another version": ([(True, False, 1)], "outdated"),
    "failed, then passed": ([(False, True, 1), (True, True, 2)], "passed"),
    "passed, then failed": ([(True, True, 1), (False, True, 2)], "failed"),
    "failed here, passed later about another": ([(False, True, 1), (True, False, 2)], "failed"),
    "passed here, failed later about another": ([(True, True, 1), (False, False, 2)], "passed"),
    "failed and passed at one moment": ([(False, True, 1), (True, True, 1)], "failed"),
}


def evaluations(requirement: Requirement, history: list[tuple[bool, bool, int]]) -> list[CheckEvaluation]:
    return [
        CheckEvaluation(
            requirement.asset,
            requirement.check,
            passed,
            STAGES[requirement.asset] if here else OTHER,
            float(when),
            f"run-{when}-of-{requirement.check}",
            f"said at {when}",
        )
        for passed, here, when in history
    ]


def all_passed() -> list[CheckEvaluation]:
    return [recorded for requirement in REQUIRED_CHECKS for recorded in evaluations(requirement, [(True, True, 1)])]


def test_truth_table_of_every_history_of_every_check():
    prepared = {
        (requirement, name): (evaluations(requirement, history), state)
        for requirement in REQUIRED_CHECKS
        for name, (history, state) in HISTORIES.items()
    }
    # Every three checks with every history of each; all of them at once would be half a million cases.
    for three in combinations(REQUIRED_CHECKS, 3):
        opened = 0
        for names in product(HISTORIES, repeat=3):
            cases = [prepared[requirement, name] for requirement, name in zip(three, names, strict=True)]
            recorded = [evaluation for case, _ in cases for evaluation in case]
            decision = decide(CONTENT, recorded, required=three)
            assert [finding.state for finding in decision.findings] == [state for _, state in cases]
            assert decision.is_open == all(state == "passed" for _, state in cases)
            opened += decision.is_open
        assert opened == 3**3  # three of the histories end in a pass about this version


@pytest.mark.parametrize("name", HISTORIES)
def test_the_order_in_which_evaluations_are_given_does_not_matter(name):
    history, state = HISTORIES[name]
    for requirement in REQUIRED_CHECKS:
        others = [recorded for recorded in all_passed() if recorded.check != requirement.check]
        recorded = evaluations(requirement, history)
        for given in (recorded + others, others + recorded[::-1]):
            finding = next(f for f in decide(CONTENT, given).findings if f.requirement == requirement)
            assert finding.state == state


def test_a_check_of_a_missing_stage_is_missing_whatever_was_recorded():
    for count in range(1, len(STAGES) + 1):
        for gone in combinations(STAGES, count):
            stages = {stage: digest for stage, digest in STAGES.items() if stage not in gone}
            decision = decide(VersionContent("v1", {}, stages), all_passed())
            assert not decision.is_open
            for finding in decision.findings:
                assert finding.state == ("missing" if finding.requirement.asset in gone else "passed")


def test_an_evaluation_without_a_digest_does_not_count():
    blank = [
        CheckEvaluation(recorded.asset, recorded.check, True, about, 9.0, "run")
        for recorded in all_passed()
        for about in ("", "None")
    ]
    assert {finding.state for finding in decide(CONTENT, blank).findings} == {"outdated"}
    assert {
        finding.state for finding in decide(VersionContent("v1", {}, dict.fromkeys(STAGES, "")), blank).findings
    } == {"missing"}


def test_a_check_of_the_same_name_on_another_asset_does_not_count():
    moved = [
        CheckEvaluation("elsewhere", each.check, True, each.digest, each.timestamp, each.run_id)
        for each in all_passed()
    ]
    assert {finding.state for finding in decide(CONTENT, moved).findings} == {"missing"}


def test_a_gate_without_requirements_is_closed():
    assert not decide(CONTENT, all_passed(), required=()).is_open


def closed() -> Decision:
    return decide(
        CONTENT,
        [
            *evaluations(REQUIRED_CHECKS[0], [(True, True, 1)]),
            *evaluations(REQUIRED_CHECKS[2], [(False, True, 3)]),
            *evaluations(REQUIRED_CHECKS[3], [(True, False, 4)]),
        ],
    )


def test_a_closed_gate_names_each_check_its_state_its_result_and_the_next_step():
    with pytest.raises(GateClosedError) as caught:
        require_open_gate(closed(), None)
    assert caught.value.decision == closed()
    message = str(caught.value)
    assert (
        f"gate is closed for model version v1: {len(REQUIRED_CHECKS) - 1} of {len(REQUIRED_CHECKS)} required checks "
        f"have not passed" in message
    )
    lines = {line.split()[0]: line for line in message.splitlines()[1:]}
    passed = "training_set:input_checks_passed"
    assert list(lines) == [*(str(each) for each in REQUIRED_CHECKS if str(each) != passed), passed]
    assert "missing" in lines["training_set:no_leakage"]
    assert "failed: said at 3 (run run-3-of)" in lines["bridge_model:beats_baselines"]
    assert (
        "evaluated for quantized_model eeeeeeeeeeee, but this version's quantized_model is cccccccccccc"
        in lines["quantized_model:quantization_parity"]
    )
    assert all("What to do: " in line for check, line in lines.items() if not check.endswith("input_checks_passed"))


def test_a_missing_stage_is_reported():
    decision = decide(VersionContent("v1", {}, {"training_set": STAGES["training_set"]}), all_passed())
    assert (
        "onnx_model:onnx_parity missing: this version has no onnx_model. What to do: run onnx_model again"
        in decision.explain()
    )


def test_the_table_of_findings_escapes_text_from_a_check():
    recorded = [
        CheckEvaluation("onnx_model", "onnx_parity", False, STAGES["onnx_model"], 1.0, "run", "0.1 | 0.2\nworse")
    ]
    rows = decide(CONTENT, recorded, required=[Requirement("onnx_model", "onnx_parity")]).markdown().splitlines()
    assert len(rows) == 3
    assert "0.1 &#124; 0.2 worse" in rows[2]


def test_an_open_gate_needs_no_reason_and_records_no_override():
    decision = decide(CONTENT, all_passed())
    assert require_open_gate(decision, None) is None
    assert require_open_gate(decision, "a reason that was not needed") is None


@pytest.mark.parametrize("reason", [None, "", " ", "\n\t ", "x", "because", " " * 40, "  short   \n\n\n"])
def test_a_closed_gate_stays_closed_without_a_reason(reason):
    with pytest.raises(GateClosedError):
        require_open_gate(closed(), reason)


def test_a_short_reason_is_rejected_with_the_required_length():
    with pytest.raises(GateClosedError, match="the override reason 'urgent' is too short"):
        require_open_gate(closed(), "urgent")


def test_a_reason_overrides_a_closed_gate_and_is_recorded():
    override = require_open_gate(closed(), "  bridge 12 closed, old model cannot score it ")
    assert override is not None
    assert override.reason == "bridge 12 closed, old model cannot score it"


@pytest.mark.parametrize("length", [9, 10, 11])
def test_a_reason_needs_at_least_ten_characters(length):
    reason = "crack in 72"[:length]
    if length < 10:
        with pytest.raises(GateClosedError) as caught:
            require_open_gate(closed(), reason)
        assert str(caught.value) == (
            f"the override reason 'crack in ' is too short (at least 10 characters); {closed().explain()}"
        )
    else:
        assert require_open_gate(closed(), f" {reason}\n") == Override(reason)


@pytest.mark.parametrize("reason", [None, ""])
def test_without_a_reason_only_the_findings_are_reported(reason):
    with pytest.raises(GateClosedError) as caught:
        require_open_gate(closed(), reason)
    assert str(caught.value) == closed().explain()


def test_the_required_checks_are_those_of_the_assets():
    assert [str(each) for each in REQUIRED_CHECKS] == [
        "training_set:input_checks_passed",
        "training_set:no_leakage",
        "bridge_model:beats_baselines",
        "quantized_model:quantization_parity",
        "onnx_model:onnx_parity",
        "bridge_model:is_calibrated",
        "onnx_model:not_worse_than_champion",
    ]
    assert REQUIRED_CHECKS[-1] == CHAMPION_REQUIREMENT


PARITY = Requirement("onnx_model", "onnx_parity")


def found(*history: tuple[bool, bool, int], stages=None, detail: str = "said") -> Finding:
    """The gate's finding for one check with these evaluations."""
    digest = STAGES["onnx_model"]
    recorded = [
        CheckEvaluation(
            "onnx_model", "onnx_parity", passed, digest if here else OTHER, float(when), f"{when}" * 12, detail
        )
        for passed, here, when in history
    ]
    [finding] = decide(
        VersionContent("v1", {}, STAGES if stages is None else stages), recorded, required=[PARITY]
    ).findings
    return finding


def test_each_state_has_its_reason_and_next_step():
    passed, failed = found((True, True, 1)), found((False, True, 1))
    assert (passed.reason, passed.next_step) == ("", "")
    assert (failed.reason, failed.next_step) == (
        "",
        "fix the cause, then run onnx_model again with everything downstream and all checks",
    )
    run = "run onnx_model again together with its checks"
    assert (found().reason, found().next_step) == ("never evaluated", run)
    outdated = found((True, False, 1))
    assert (outdated.reason, outdated.next_step) == (
        "evaluated for onnx_model eeeeeeeeeeee, but this version's onnx_model is dddddddddddd: a file of the version, "
        "or the code that serves it, has changed since",
        run,
    )
    for made in ({}, {"onnx_model": ""}):
        never = found((True, True, 1), stages=made)
        assert (never.reason, never.next_step) == ("this version has no onnx_model", run)
        assert (never.expected_digest, never.evaluation, never.message) == (None, None, "")


def test_the_newest_evaluation_of_this_version_is_shown():
    assert found().expected_digest == STAGES["onnx_model"]
    assert found().message == ""
    shown = found((True, True, 1), (False, True, 3), (True, True, 2), (True, False, 4))
    assert shown.message == "said (run 33333333)"
    assert shown.expected_digest == STAGES["onnx_model"]
    outdated = found((True, False, 1), (False, False, 3), (True, False, 2))
    assert (outdated.message, outdated.expected_digest) == ("said (run 33333333)", STAGES["onnx_model"])


def test_the_result_of_a_check_is_written_on_one_line():
    assert found((True, True, 1), detail=" two\n lines ").message == "two lines (run 11111111)"
    assert found((True, True, 1), detail="").message == "no detail (run 11111111)"


def test_an_outdated_check_of_an_earlier_stage_does_not_blame_the_serving_code():
    requirement = Requirement("bridge_model", "is_calibrated")
    [finding] = decide(CONTENT, evaluations(requirement, [(True, False, 1)]), required=[requirement]).findings
    assert finding.reason.endswith("bridge_model is bbbbbbbbbbbb: a file of the version has changed since")


@pytest.mark.parametrize("counted", [None, True, False])
def test_a_refused_pass_never_decides(counted):
    """Neither alone nor next to an evaluation that counts, although it is newer."""
    refused = replace(evaluations(PARITY, [(True, True, 9)])[0], refused="nobody stands behind it", run_id="")
    others = [] if counted is None else evaluations(PARITY, [(counted, True, 1)])
    [finding] = decide(CONTENT, [refused, *others], required=[PARITY]).findings
    assert finding.state == {None: "untrusted", True: "passed", False: "failed"}[counted]
    if counted is None:
        assert (finding.reason, finding.message) == ("nobody stands behind it", "said at 9 (no run)")
        assert finding.next_step == "run onnx_model again together with its checks"


def test_a_pass_under_looser_limits_than_todays_is_not_enough_without_a_reason():
    requirement = Requirement("bridge_model", "beats_baselines")
    today = GateSettings(auc_gain=0.01)
    [passed] = evaluations(requirement, [(True, True, 1)])

    def state(**limits: object) -> Finding:
        recorded = replace(passed, limits=limits_of("beats_baselines", today) | limits)
        return decide(CONTENT, [recorded], required=[requirement], settings=today).findings[0]

    assert state().state == state(auc_gain=0.02).state == "passed"
    loosened = state(auc_gain=0.0)
    assert loosened.state == "loosened"
    assert loosened.reason == (
        "passed under looser limits than those configured: auc_gain 0.0 (the configuration says 0.01)"
    )
    assert loosened.next_step == "run the checks of bridge_model again under the configured limits"
    with pytest.raises(GateClosedError, match=r"beats_baselines loosened: .*auc_gain 0\.0"):
        require_open_gate(Decision("v1", (loosened,)), None)
    assert decide(CONTENT, [passed], required=[requirement]).is_open  # nobody asked for the limits
    assert decide(CONTENT, [passed], required=[requirement], settings=today).findings[0].state == "loosened"
    failed = replace(passed, passed=False)
    assert decide(CONTENT, [failed], required=[requirement], settings=today).findings[0].state == "failed"


def test_an_evaluation_needs_no_detail():
    assert CheckEvaluation("onnx_model", "onnx_parity", True, OTHER, 1.0, "run").message == ""


def decision_of(*histories: tuple[bool, bool, int]) -> Decision:
    """A decision of two checks, the first with these evaluations, the second never evaluated."""
    return Decision("v1", (found(*histories), Finding(CHAMPION_REQUIREMENT, "missing", STAGES["onnx_model"])))


RUN = "run onnx_model again together with its checks"


def test_the_findings_are_explained_line_by_line():
    assert decision_of((True, True, 1)).explain().splitlines() == [
        "the gate is closed for model version v1: 1 of 2 required checks have not passed",
        f"  onnx_model:not_worse_than_champion missing: never evaluated. What to do: {RUN}",
        "  onnx_model:onnx_parity passed: said (run 11111111)",
    ]
    assert Decision("v1", (found((True, True, 1)),)).explain().splitlines() == [
        "the gate is open for model version v1: every check passed",
        "  onnx_model:onnx_parity passed: said (run 11111111)",
    ]


def test_the_findings_are_a_table():
    next_step = "fix the cause, then run onnx_model again with everything downstream and all checks"
    assert decision_of((False, True, 1)).markdown().splitlines() == [
        "| check | state | result and next step |",
        "|---|---|---|",
        f"| onnx_model:onnx_parity | failed | said (run 11111111). {next_step} |",
        f"| onnx_model:not_worse_than_champion | missing | never evaluated. {RUN} |",
    ]


def test_a_message_cannot_add_a_column_a_link_or_html_to_the_table():
    finding = found((False, True, 1))
    assert finding.evaluation is not None
    evaluation = replace(finding.evaluation, message="1 | 2 <b>[here](https://example.org)</b>")
    row = Decision("v1", (replace(finding, evaluation=evaluation),)).markdown().splitlines()[2]
    assert row.count("|") == 4
    assert "<b>" not in row and "[here](" not in row


def test_the_error_of_a_closed_gate_has_the_decision_and_its_introduction():
    raised = GateClosedError(decision_of(), "by hand; ")
    assert raised.decision == decision_of()
    assert str(raised) == f"by hand; {decision_of().explain()}"


@pytest.mark.parametrize(
    ("compared_with", "today", "state"),
    [
        ("", "", "passed"),
        ("", None, "passed"),
        ("a", None, "passed"),
        ("a", "a", "passed"),
        ("", "a", "outdated"),
        ("a", "", "outdated"),
        ("a", "b", "outdated"),
        ("a", "v1", "passed"),  # this version is the champion
    ],
)
def test_a_comparison_counts_only_with_todays_champion(compared_with, today, state):
    [passed] = evaluations(CHAMPION_REQUIREMENT, [(True, True, 1)])
    others = [each for each in all_passed() if each.check != CHAMPION_REQUIREMENT.check]
    recorded = [*others, replace(passed, champion=compared_with)]
    decision = decide(CONTENT, recorded, champion=today)
    assert [finding.state for finding in decision.findings] == ["passed"] * (len(REQUIRED_CHECKS) - 1) + [state]
    failed = decide(CONTENT, [*others, replace(passed, champion=compared_with, passed=False)], champion=today)
    assert failed.findings[-1].state == "failed"


def test_the_message_names_both_champions():
    [passed] = evaluations(CHAMPION_REQUIREMENT, [(True, True, 1)])
    for compared_with, today, reason in (
        ("", "b", "compared with no champion, but now the champion is b"),
        ("a", "b", "compared with champion a, but now the champion is b"),
        ("a", "", "compared with champion a, but now the champion is none"),
    ):
        recorded = [replace(passed, champion=compared_with)]
        [finding] = decide(CONTENT, recorded, required=[CHAMPION_REQUIREMENT], champion=today).findings
        assert finding.reason == reason
        assert finding.next_step == "run onnx_model again together with its checks"
