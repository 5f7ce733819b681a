"""Old runs go, with their files; nothing that the gate, a rollback or an alarm reads does: the decisions stay."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus
from support.alerting.instigators import Instigator

from bridge_assets.deployment.gate.content import VersionContent
from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS
from bridge_assets.deployment.gate.limits import limits_of
from bridge_assets.orchestration.gate.alarms import acknowledgement, alarm_objections, open_alarms
from bridge_assets.orchestration.gate.check_history import data_problems, gate_decision
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.gate.overrides import OVERRIDE_TAG
from bridge_assets.orchestration.gate.rollbacks import left_versions
from bridge_assets.orchestration.retention.evidence import digests_in, digests_in_json, evidence
from bridge_assets.orchestration.retention.removal import remove_old_runs
from bridge_assets.settings import GateSettings

SETTINGS, ERROR = GateSettings(), dg.AssetCheckSeverity.ERROR
STAGES = {
    "training_set": "a" * 64,
    "bridge_model": "b" * 64,
    "quantized_model": "c" * 64,
    "onnx_model": "d" * 64,
}
CONTENT = VersionContent("v1", {}, STAGES)
RAW = {"2019": "e" * 64, "2020": "f" * 64}
DBT_TEST = dg.AssetCheckKey(dg.AssetKey("dim_structures"), "unique_structure_key")


@pytest.fixture(params=["memory"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    if request.param == "memory":
        with dg.DagsterInstance.ephemeral() as ephemeral:
            yield ephemeral
        return
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(folder)) as on_disk:
        yield on_disk


on_sqlite = pytest.mark.parametrize("instance", ["sqlite"], indirect=True)


def run(
    instance: dg.DagsterInstance,
    asset: str,
    *results: dg.AssetCheckResult,
    metadata: dict[str, Any] | None = None,
    materialize: bool = True,
    fails: bool = False,
    observe: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> str:
    """A run of one step that materializes an asset and reports results; returns its id."""
    names = [result.check_name for result in results if result.check_name]
    specs = [dg.AssetCheckSpec(name, asset=asset) for name in names]

    @dg.multi_asset(
        name=f"step_{asset}", specs=[dg.AssetSpec(asset, skippable=True)], check_specs=specs, can_subset=False
    )
    def step(context):
        if observe:
            context.log_event(dg.AssetObservation(asset, metadata=observe))
        if materialize:
            yield dg.MaterializeResult(asset_key=asset, metadata=metadata or {})
        yield from results
        if fails:
            raise RuntimeError("something else")

    return dg.materialize([step], instance=instance, raise_on_error=False, tags=tags).run_id


def result(
    check: str, passed: bool, about: str | dict[str, str] | None = None, failed_years: tuple[str, ...] = ()
) -> dg.AssetCheckResult:
    judged = Judged(about, limits_of(check, SETTINGS), failed_years=failed_years) if about else None
    metadata = {} if judged is None else judged.metadata()
    if check == "not_worse_than_champion" and judged:
        metadata = dataclasses.replace(judged, champion="").metadata()
    return dg.AssetCheckResult(passed=passed, check_name=check, severity=ERROR, metadata=metadata)


def train(instance: dg.DagsterInstance, version: str, stages: dict[str, str], passed: bool = True) -> list[str]:
    """The runs that train and check a version."""
    return [
        run(
            instance,
            asset,
            *[result(each.check, passed, stages[asset]) for each in REQUIRED_CHECKS if each.asset == asset],
            metadata={"model_version": version} if asset != "training_set" else {"digest": stages[asset]},
        )
        for asset in stages
    ]


def state(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Everything that is decided from the event log."""
    return {
        "gate": gate_decision(instance, CONTENT, "", SETTINGS).explain(),
        "data": data_problems(instance, RAW, ["rows_reconcile"], [DBT_TEST]),
        "left": left_versions(instance, "local_endpoint"),
        "alarms": open_alarms(instance),
        "objections": {version: alarm_objections(instance, version) for version in ("v1", "v2")},
    }


def clean(instance: dg.DagsterInstance, keep: dict[str, str] | None = None, dry_run: bool = False):
    """Remove all runs that may go, as if they were very old."""
    if keep is None:
        keep = evidence(instance, {"v1"}, {*STAGES.values(), *RAW.values()}).runs
    return remove_old_runs(instance, time.time() + 60, keep, dry_run)


def history(instance: dg.DagsterInstance) -> list[str]:
    """A year of a platform: returns the runs that nobody needs."""
    useless = train(instance, "v0", {stage: digest[::-1].replace(digest[0], "0") for stage, digest in STAGES.items()})
    useless += [run(instance, "raw_bridges", result("rows_reconcile", True, {"2019": "9" * 64}))]
    run(instance, "raw_bridges", result("rows_reconcile", True, RAW))
    run(instance, "dim_structures", result("unique_structure_key", False), result("not_null", True))
    run(instance, "dim_structures", result("unique_structure_key", True))
    # A later step that failed: its pass does not count, so the one before still decides.
    run(instance, "dim_structures", result("unique_structure_key", True), materialize=False, fails=True)
    train(instance, "v1", STAGES)
    useless += [run(instance, "local_endpoint", result("canary_passes", True), materialize=False) for _ in range(3)]
    run(instance, "local_endpoint", metadata={"model_version": "v1"}, tags={OVERRIDE_TAG: "because"})
    run(
        instance,
        "local_endpoint",
        metadata={"rollback": True, "model_version": "v1", "left_version": "v2", "reason": "complaints"},
    )
    return useless


def test_the_decisions_are_the_same_before_and_after(instance):
    useless = history(instance)
    # An alarm that ended by a pass, one that was acknowledged, and one that is open.
    for passed in (False, True):
        run(instance, "drift_report", result("predictions_within_limits", passed, {"2019": "v1"}))
    run(instance, "realised_quality", result("as_expected", False, {"2018": "v1"}))
    run(
        instance,
        "realised_quality",
        observe=acknowledgement("realised_quality", "as_expected", "the outcomes were entered late", "r"),
        materialize=False,
    )
    useless += [run(instance, "drift_report", result("predictions_within_limits", True, {"2017": "v1"}))]
    run(instance, "drift_report", result("predictions_within_limits", False, {"2020": "v1"}, ("2020",)))
    run(instance, "local_endpoint", result("canary_passes", True), materialize=False)
    useless += [run(instance, "bridge_features") for _ in range(2)]
    run(instance, "bridge_features")

    before = state(instance)
    assert before["gate"].startswith("the gate is open")
    assert before["data"] == []
    assert list(before["left"]) == ["v2"]
    assert [(alarm.asset, alarm.survey_year) for alarm in before["alarms"]] == [("drift_report", "2020")]
    assert before["objections"]["v1"]

    listed = clean(instance, dry_run=True)
    assert state(instance) == before
    assert all(instance.has_run(run_id) for run_id in useless)
    removal = clean(instance)
    assert (removal.removed, removal.kept) == (listed.removed, listed.kept)
    assert [run_id for run_id in useless if instance.has_run(run_id)] == []
    assert state(instance) == before
    assert clean(instance).removed == 0


def test_without_the_evidence_the_decisions_would_change(instance):
    """What this module prevents: the results of checks stay behind, without their runs."""
    history(instance)
    run(instance, "bridge_features")
    assert state(instance)["gate"].startswith("the gate is open")
    clean(instance, keep={})
    after = state(instance)
    assert after["gate"].startswith("the gate is closed")
    assert after["data"] != []
    assert after["left"] == {}


def test_an_alarm_that_ended_does_not_open_again(instance):
    for passed in (False, True):
        run(instance, "drift_report", result("predictions_within_limits", passed, {"2019": "v1"}))
    run(instance, "drift_report", result("predictions_within_limits", True, {"2020": "v1"}))
    assert open_alarms(instance) == []
    clean(instance)
    assert open_alarms(instance) == []
    run(instance, "bridge_features")
    clean(instance, keep={})
    assert len(open_alarms(instance)) == 1


def test_the_latest_of_each_asset_partition_and_check_stays(instance):
    years = dg.StaticPartitionsDefinition(["2018", "2019"])

    @dg.asset(partitions_def=years)
    def yearly() -> None:
        pass

    runs = [
        dg.materialize([yearly], instance=instance, partition_key=year).run_id
        for year in ("2018", "2019", "2019", "2018")
    ]
    clean(instance)
    assert [instance.has_run(run_id) for run_id in runs] == [False, False, True, True]
    assert instance.get_materialized_partitions(dg.AssetKey("yearly")) == {"2018", "2019"}


@on_sqlite
def test_files_of_removed_runs_go_too_and_those_that_stay_are_whole(instance, tmp_path):
    runs = [run(instance, "bridge_features") for _ in range(2)]
    folder = tmp_path / "dagster"
    assert len(list(folder.rglob(f"*{runs[0]}*"))) >= 1
    clean(instance)
    assert list(folder.rglob(f"*{runs[0]}*")) == []
    assert len(instance.all_logs(runs[1])) > 5
    assert not instance.has_run(runs[0])


def test_runs_in_progress_and_young_runs_stay(instance):
    young = [run(instance, "bridge_features") for _ in range(2)]

    @dg.job
    def empty() -> None:
        pass

    in_progress = instance.create_run_for_job(empty).run_id
    assert remove_old_runs(instance, time.time() - 3600, {}, False).removed == 0
    clean(instance)
    assert instance.has_run(in_progress)
    assert [instance.has_run(run_id) for run_id in young] == [False, True]


def test_more_runs_than_one_page_are_removed(instance, monkeypatch):
    monkeypatch.setattr("bridge_assets.orchestration.retention.removal._PAGE", 2)
    monkeypatch.setattr("bridge_assets.orchestration.event_log.PAGE", 2)
    for _ in range(7):
        run(instance, "bridge_features", result("canary_passes", True))
    assert clean(instance).removed == 6


def test_a_kill_in_the_middle_is_finished_the_next_time(instance, monkeypatch):
    runs = [run(instance, "bridge_features") for _ in range(3)]
    monkeypatch.setattr(type(instance), "delete_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        clean(instance)
    monkeypatch.undo()
    assert clean(instance).removed == 2
    assert [instance.has_run(run_id) for run_id in runs] == [False, False, True]


def test_the_latest_run_of_each_job_and_outcome_stays(instance):
    @dg.op(config_schema={"fails": dg.Field(bool, default_value=False)})
    def step(context) -> None:
        if context.op_config["fails"]:
            raise RuntimeError("no")

    @dg.job
    def weekly() -> None:
        step()

    failing = {"ops": {"step": {"config": {"fails": True}}}}
    runs = [
        weekly.execute_in_process(instance=instance, run_config=config, raise_on_error=False).run_id
        for config in (None, failing, None, failing)
    ]
    clean(instance)
    assert [instance.has_run(run_id) for run_id in runs] == [False, False, True, True]


@on_sqlite
def test_old_ticks_go(instance):
    schedule = Instigator(instance, "weekly_scoring", InstigatorType.SCHEDULE)
    schedule.tick(TickStatus.SUCCESS)
    tick = (schedule.state.instigator_origin_id, schedule.state.selector_id)
    assert remove_old_runs(instance, 1_790_000_000.0, {}, False).ticks == 0
    assert remove_old_runs(instance, 1_790_000_100.0, {}, True).ticks == 1
    assert len(instance.get_ticks(*tick)) == 1
    remove_old_runs(instance, 1_790_000_100.0, {}, False)
    assert len(instance.get_ticks(*tick)) == 0


def test_digests_are_found_wherever_they_stand():
    value = {"files": {"x": "a" * 64, "y": ["b" * 64, "not one", 5, None]}, "z": "C" * 64}
    assert set(digests_in(value)) == {"a" * 64, "b" * 64}
    assert digests_in_json("{") == set()
