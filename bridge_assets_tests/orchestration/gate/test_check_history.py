"""Reading check evaluations from the event log, with small runs on an ephemeral instance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.webserver import DagsterWebserver

from bridge_assets.deployment.gate.content import VersionContent
from bridge_assets.deployment.gate.decision import (
    CHAMPION_REQUIREMENT,
    REQUIRED_CHECKS,
    CheckEvaluation,
    Decision,
    Requirement,
)
from bridge_assets.deployment.gate.limits import limits_of
from bridge_assets.orchestration.gate.check_history import (
    check_evaluations,
    data_problems,
    gate_decision,
)
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.settings import GateSettings

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN

#: A test on a dbt model; one step reports both.
DBT_TEST = dg.AssetCheckKey(dg.AssetKey("dim_structures"), "unique_structure_key")

SETTINGS = GateSettings()

STAGES = {
    "training_set": "a" * 64,
    "bridge_model": "b" * 64,
    "quantized_model": "c" * 64,
    "onnx_model": "d" * 64,
}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run(
    instance: dg.DagsterInstance,
    asset: str,
    *results: dg.AssetCheckResult,
    planned: tuple[str, ...] = (),
    check_first: bool = False,
) -> str:
    """Materialize an asset in one step that reports these check results; returns the run's id.

    Checks in `planned` are part of the step too, but it does not report them.
    """
    names = [result.check_name for result in results if result.check_name] + list(planned)
    specs = [dg.AssetCheckSpec(name, asset=asset) for name in names]

    @dg.multi_asset(name=f"step_{asset}", specs=[dg.AssetSpec(asset)], check_specs=specs)
    def step():
        if check_first:
            yield from results
        yield dg.MaterializeResult(asset_key=asset)
        if planned:
            raise RuntimeError("the check raised")
        if not check_first:
            yield from results

    return dg.materialize([step], instance=instance, raise_on_error=False).run_id


def run_dbt_test(instance: dg.DagsterInstance) -> None:
    """Evaluate the dbt test in a run of its own, without its table."""

    @dg.asset_check(asset=DBT_TEST.asset_key, name=DBT_TEST.name)
    def test():
        return dg.AssetCheckResult(passed=True)

    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(asset_checks=[test], jobs=[job])
    assert definitions.resolve_job_def("checks").execute_in_process(instance=instance).success


def result(
    check: str,
    passed: bool,
    about: str | dict[str, str] | None = None,
    severity: dg.AssetCheckSeverity = ERROR,
    text: str | None = None,
    asset: str | None = None,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=asset,
        check_name=check,
        severity=severity,
        metadata={} if about is None else Judged(about, limits_of(check, SETTINGS)).metadata(),
        description=text,
    )


def test_an_evaluation_is_read_completely(instance):
    run_id = run(instance, "onnx_model", result("onnx_parity", False, "d" * 64, text="0.1 apart"))
    [found] = check_evaluations(instance, "onnx_model", "onnx_parity")
    assert found == CheckEvaluation(
        "onnx_model",
        "onnx_parity",
        False,
        "d" * 64,
        found.timestamp,
        run_id,
        "0.1 apart",
        limits={"onnx_difference": SETTINGS.onnx_difference},
    )
    stats = instance.get_run_stats(run_id)
    assert stats.start_time <= found.timestamp <= stats.end_time


def test_an_evaluation_without_a_description_has_an_empty_message(instance):
    run(instance, "onnx_model", result("onnx_parity", True, "d" * 64))
    [found] = check_evaluations(instance, "onnx_model", "onnx_parity")
    assert (found.passed, found.message) == (True, "")


def test_an_evaluation_of_several_survey_years_is_one_per_year(instance):
    run(instance, "raw_bridges", result("rows_reconcile", True, {"2019": "x", "2020": "y"}))
    found = list(check_evaluations(instance, "raw_bridges", "rows_reconcile"))
    assert sorted(each.digest for each in found) == ["x", "y"]
    assert all(each.passed for each in found)


def test_an_evaluation_without_a_digest_matches_no_version(instance):
    run(instance, "onnx_model", result("onnx_parity", True))
    assert [each.digest for each in check_evaluations(instance, "onnx_model", "onnx_parity")] == ["None"]


def test_evaluations_of_other_checks_and_assets_are_excluded(instance):
    run(instance, "onnx_model", result("onnx_parity", True, "1"), result("other", True, "2"))
    run(instance, "bridge_model", result("onnx_parity", True, "3"))
    assert [each.digest for each in check_evaluations(instance, "onnx_model", "onnx_parity")] == ["1"]


def test_a_check_that_raised_an_error_left_no_evaluation(instance):
    run(instance, "onnx_model", planned=("onnx_parity",))
    assert instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("onnx_model"), "onnx_parity"), limit=2
    )
    assert list(check_evaluations(instance, "onnx_model", "onnx_parity")) == []
    run(instance, "onnx_model", result("onnx_parity", True, "1"))
    assert [each.digest for each in check_evaluations(instance, "onnx_model", "onnx_parity")] == ["1"]


def forge(instance: dg.DagsterInstance, key: dg.AssetCheckKey, passed: bool, about: str) -> None:
    """Report an evaluation as `POST /report_asset_check` does: without a run."""
    metadata = Judged(about).metadata()
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(key.asset_key, key.name, passed, metadata))


PARITY = dg.AssetCheckKey(dg.AssetKey("onnx_model"), "onnx_parity")


def test_a_history_of_several_pages_is_read_completely_and_once(instance):
    run(instance, "onnx_model", result("onnx_parity", True, "first"))
    for number in range(102):
        forge(instance, PARITY, False, f"{number}")
    run(instance, "onnx_model", result("onnx_parity", True, "last"))
    found = [each.digest for each in check_evaluations(instance, "onnx_model", "onnx_parity")]
    assert sorted(found) == sorted(["first", "last", *map(str, range(102))])


NOBODY = "a pass was reported, but no step of a run that still exists has succeeded with it"


def refused(instance: dg.DagsterInstance) -> dict[str, str]:
    """Digest -> why the evaluation does not count."""
    return {each.digest: each.refused for each in check_evaluations(instance, "onnx_model", "onnx_parity")}


def test_a_pass_that_no_run_reported_is_refused_and_a_failure_is_not(instance):
    forge(instance, PARITY, True, "1")
    forge(instance, PARITY, False, "2")
    assert refused(instance) == {"1": NOBODY, "2": ""}


def test_a_pass_of_a_step_that_failed_afterwards_is_refused(instance):
    run(instance, "onnx_model", result("onnx_parity", True, "1"), planned=("other",), check_first=True)
    run(instance, "onnx_model", result("onnx_parity", False, "2"), planned=("other",), check_first=True)
    run(instance, "onnx_model", result("onnx_parity", True, "3"))
    assert refused(instance) == {"1": NOBODY, "2": "", "3": ""}


def test_a_pass_of_a_run_that_was_deleted_is_refused(instance):
    instance.delete_run(run(instance, "onnx_model", result("onnx_parity", True, "1")))
    assert set(refused(instance).values()) <= {NOBODY}


async def post_passes(app: Any) -> list[int]:
    """What an attacker who reaches the port of the Dagster UI sends; returns the status codes."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        codes = []
        for requirement in REQUIRED_CHECKS:
            metadata = {"about": STAGES[requirement.asset], "limits": limits_of(requirement.check, SETTINGS)}
            posted = {"check_name": requirement.check, "passed": True, "metadata": metadata}
            codes.append((await client.post(f"/report_asset_check/{requirement.asset}", json=posted)).status_code)
        return codes


def test_passes_posted_to_the_webserver_do_not_open_the_gate():
    with dg.instance_for_test() as instance:
        with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
            app = DagsterWebserver(workspace).create_asgi_app()
            assert asyncio.run(post_passes(app)) == [200] * len(REQUIRED_CHECKS)
        recorded = instance.event_log_storage.get_asset_check_execution_history(PARITY, limit=2)
        assert [each.evaluation and each.evaluation.passed for each in recorded] == [True]
        posted = decision(instance)
        assert {finding.state for finding in posted.findings} == {"untrusted"}
        assert f"onnx_model:onnx_parity untrusted: {NOBODY}" in posted.explain()
        run_required(instance)
        assert decision(instance).is_open


CONTENT = VersionContent("v1", {"model.onnx": "0" * 64}, STAGES)


def decision(instance: dg.DagsterInstance, champion: str = "", settings: GateSettings = SETTINGS) -> Decision:
    return gate_decision(instance, CONTENT, champion, settings)


def run_required(instance: dg.DagsterInstance, passed: Mapping[Requirement, bool] | None = None) -> None:
    """One run that materializes every stage and evaluates every required check for it."""
    specs = [dg.AssetCheckSpec(each.check, asset=each.asset) for each in REQUIRED_CHECKS]

    @dg.multi_asset(specs=[dg.AssetSpec(asset) for asset in STAGES], check_specs=specs)
    def stages():
        yield from (dg.MaterializeResult(asset_key=asset) for asset in STAGES)
        for each in REQUIRED_CHECKS:
            yield result(each.check, (passed or {}).get(each, True), STAGES[each.asset], asset=each.asset)

    assert dg.materialize([stages], instance=instance).success


def test_the_gate_opens_when_every_required_check_has_passed_for_the_version(instance):
    nothing = decision(instance)
    assert (nothing.version, nothing.is_open, nothing.files) == ("v1", False, CONTENT.files)
    assert {finding.state for finding in nothing.findings} == {"missing"}
    run_required(instance)
    assert decision(instance).is_open, decision(instance).explain()
    assert [finding.requirement for finding in decision(instance).findings] == list(REQUIRED_CHECKS)


def test_the_gate_closes_when_the_newest_evaluation_of_one_check_failed(instance):
    run_required(instance)
    last = REQUIRED_CHECKS[-1]
    run_required(instance, {last: False})
    assert not decision(instance).is_open
    assert {f.requirement: f.state for f in decision(instance).findings} == {
        each: "failed" if each == last else "passed" for each in REQUIRED_CHECKS
    }


def test_limits_that_were_loosened_for_one_run_close_the_gate(instance):
    run_required(instance)
    strict = decision(instance, settings=GateSettings(auc_gain=0.01, onnx_difference=0))
    assert {str(f.requirement) for f in strict.findings if f.state == "loosened"} == {
        "bridge_model:beats_baselines",
        "onnx_model:onnx_parity",
    }
    assert "auc_gain 0.0 (the configuration says 0.01)" in strict.explain()


def test_a_comparison_with_another_champion_than_todays_is_outdated(instance):
    run_required(instance)  # there was no champion
    assert decision(instance).is_open
    changed = decision(instance, "9f8e7d6c5b4a")
    assert not changed.is_open
    assert "compared with no champion, but now the champion is 9f8e7d6c5b4a" in changed.explain()
    run(instance, "onnx_model", compared_with("9f8e7d6c5b4a"))
    assert decision(instance, "9f8e7d6c5b4a").is_open
    assert not decision(instance).is_open
    assert decision(instance, CONTENT.version).is_open  # it became the champion itself


def compared_with(champion: str) -> dg.AssetCheckResult:
    check = CHAMPION_REQUIREMENT.check
    metadata = Judged(STAGES["onnx_model"], limits_of(check, SETTINGS), champion).metadata()
    return dg.AssetCheckResult(passed=True, check_name=check, metadata=metadata)


def raw_problems(instance: dg.DagsterInstance) -> list[str]:
    return data_problems(instance, {"2019": "x", "2020": "y"}, ["rows_reconcile"], [])


def test_records_whose_checks_passed_are_trusted(instance):
    run(instance, "raw_bridges", result("rows_reconcile", True, {"2019": "x", "2020": "y"}))
    assert raw_problems(instance) == []


def test_each_survey_year_whose_check_failed_or_is_missing_is_reported(instance):
    run(instance, "raw_bridges", result("rows_reconcile", False, {"2019": "x"}))
    assert raw_problems(instance) == [
        "raw_bridges:rows_reconcile[2019] failed",
        "raw_bridges:rows_reconcile[2020] was not evaluated on the records in use",
    ]
    run(instance, "raw_bridges", result("rows_reconcile", True, {"2019": "x", "2020": "of other records"}))
    assert raw_problems(instance) == ["raw_bridges:rows_reconcile[2020] was not evaluated on the records in use"]


@pytest.mark.parametrize("last", [True, False])
def test_the_newest_evaluation_of_the_same_records_decides(instance, last):
    run(instance, "raw_bridges", result("rows_reconcile", not last, {"2019": "x", "2020": "y"}))
    run(instance, "raw_bridges", result("rows_reconcile", last, {"2019": "x", "2020": "y"}))
    assert (raw_problems(instance) == []) is last


def test_every_required_check_on_the_records_counts(instance):
    run(instance, "raw_bridges", result("rows_reconcile", True, {"2019": "x"}))
    assert data_problems(instance, {"2019": "x"}, ["rows_reconcile", "contract"], []) == [
        "raw_bridges:contract[2019] was not evaluated on the records in use"
    ]


def dbt_problems(instance: dg.DagsterInstance) -> list[str]:
    return data_problems(instance, {}, [], [DBT_TEST])


def dbt_result(passed: bool, severity: dg.AssetCheckSeverity = ERROR) -> dg.AssetCheckResult:
    return result(DBT_TEST.name, passed, severity=severity)


def test_a_dbt_test_that_passed_is_not_a_problem(instance):
    run(instance, "dim_structures", dbt_result(True))
    assert dbt_problems(instance) == []


def test_a_dbt_test_that_was_never_evaluated_is_reported(instance):
    run(instance, "dim_structures")
    assert dbt_problems(instance) == ["dim_structures:unique_structure_key was never evaluated"]


def test_a_dbt_test_that_failed_is_reported(instance):
    run(instance, "dim_structures", dbt_result(False))
    assert dbt_problems(instance) == ["dim_structures:unique_structure_key failed"]


@pytest.mark.parametrize(("passed", "severity"), [(True, ERROR), (False, WARN)])
def test_what_anyone_can_post_does_not_hide_a_dbt_test_that_failed(instance, passed, severity):
    run(instance, "dim_structures", dbt_result(False))
    posted = dg.AssetCheckEvaluation(DBT_TEST.asset_key, DBT_TEST.name, passed, {}, severity=severity)
    instance.report_runless_asset_event(posted)
    assert dbt_problems(instance) == ["dim_structures:unique_structure_key failed"]


def test_a_dbt_test_that_only_warns_is_not_a_problem(instance):
    run(instance, "dim_structures", dbt_result(False, WARN))
    assert dbt_problems(instance) == []


@pytest.mark.parametrize(("passed", "problems"), [(True, 0), (False, 1)])
def test_the_newest_evaluation_of_a_dbt_test_decides(instance, passed, problems):
    run(instance, "dim_structures", dbt_result(not passed))
    run(instance, "dim_structures", dbt_result(passed))
    assert len(dbt_problems(instance)) == problems


def test_the_last_evaluation_decides_not_the_last_planned_one(instance):
    specs = [dg.AssetCheckSpec(DBT_TEST.name, asset=DBT_TEST.asset_key)]

    @dg.multi_asset(specs=[dg.AssetSpec(DBT_TEST.asset_key)], check_specs=specs)
    def slow():
        run(instance, "dim_structures", dbt_result(False))  # planned and evaluated meanwhile
        yield dg.MaterializeResult()
        yield dbt_result(True)

    assert dg.materialize([slow], instance=instance).success
    assert dbt_problems(instance) == []


def test_a_table_that_was_rebuilt_without_its_test_is_reported(instance):
    run(instance, "dim_structures", dbt_result(True))
    run(instance, "dim_structures")
    assert dbt_problems(instance) == ["dim_structures:unique_structure_key was evaluated before the table was rebuilt"]
    run(instance, "dim_structures", dbt_result(True))
    assert dbt_problems(instance) == []


def test_a_table_that_is_reported_after_its_test_in_the_same_run_counts_as_tested(instance):
    run(instance, "dim_structures", dbt_result(True), check_first=True)
    assert dbt_problems(instance) == []


def test_a_test_that_was_evaluated_separately_after_the_table_was_built_counts(instance):
    run(instance, "dim_structures")
    run_dbt_test(instance)
    assert dbt_problems(instance) == []


def test_a_test_on_a_table_without_a_materialization_counts(instance):
    run_dbt_test(instance)
    assert dbt_problems(instance) == []


def test_a_forged_dbt_test_does_not_count(instance):
    forge(instance, DBT_TEST, True, "")
    assert dbt_problems(instance) == ["dim_structures:unique_structure_key was never evaluated"]


def test_every_problem_is_reported_in_the_order_of_the_checks(instance):
    other = dg.AssetCheckKey(dg.AssetKey(["marts", "fct"]), "not_null")
    run(instance, "dim_structures", dbt_result(False))
    assert data_problems(instance, {"2019": "x"}, ["rows_reconcile"], [DBT_TEST, other]) == [
        "raw_bridges:rows_reconcile[2019] was not evaluated on the records in use",
        "dim_structures:unique_structure_key failed",
        "marts/fct:not_null was never evaluated",
    ]
