"""What a check judged: in its metadata, and signed where the environment holds a key."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from bridge_assets.deployment.gate.decision import CheckEvaluation
from bridge_assets.deployment.gate.signature import KEY_VARIABLE
from bridge_assets.orchestration.checks.results import judged_result
from bridge_assets.orchestration.gate.check_history import check_evaluations
from bridge_assets.orchestration.gate.judged import Judged, judged_of

PARITY = dg.AssetCheckKey(dg.AssetKey("onnx_model"), "onnx_parity")
KEY, OTHER_KEY = "k" * 32, "o" * 32


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run_check(instance: dg.DagsterInstance, judged: Judged, *problems: str) -> str:
    """Evaluate the check in a run as the platform's checks do; returns the run's id."""

    @dg.asset_check(asset=PARITY.asset_key, name=PARITY.name)
    def parity(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return judged_result(context, judged, problems, "as good", rows=3)

    return run_definition(instance, parity)


def run_definition(instance: dg.DagsterInstance, check: dg.AssetChecksDefinition) -> str:
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    done = dg.Definitions(asset_checks=[check], jobs=[job]).resolve_job_def("checks")
    return done.execute_in_process(instance=instance).run_id


def evaluations(instance: dg.DagsterInstance) -> list[CheckEvaluation]:
    return sorted(check_evaluations(instance, "onnx_model", "onnx_parity"), key=lambda each: each.timestamp)


@pytest.mark.parametrize(
    "judged",
    [
        Judged("a" * 64),
        Judged({"2020": "x", "2021": "y"}),
        Judged("a" * 64, {"auc_gain": -0.5, "champion_not_comparable": "refuse"}, ""),
        Judged("a" * 64, {"holdout_falls": 50}, "9f8e7d6c5b4a"),
    ],
)
@pytest.mark.parametrize("key", [None, KEY])
def test_what_was_judged_is_read_back(instance, monkeypatch, judged, key):
    if key:
        monkeypatch.setenv(KEY_VARIABLE, key)
    run_check(instance, judged)
    [record] = instance.event_log_storage.get_asset_check_execution_history(PARITY, limit=2)
    assert record.evaluation is not None
    assert judged_of(record.evaluation) == judged
    assert record.evaluation.metadata["rows"].value == 3
    assert [each.refused for each in evaluations(instance)] == [""] * len(judged.verdicts(True))


def test_a_pass_without_a_signature_is_refused_where_a_key_is_set(instance, monkeypatch):
    run_check(instance, Judged("a"))
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert evaluations(instance)[0].refused == f"a pass was reported without a signature, but {KEY_VARIABLE} is set"
    run_check(instance, Judged("a"))
    assert evaluations(instance)[1].refused == ""
    monkeypatch.setenv(KEY_VARIABLE, OTHER_KEY)
    assert "its signature was not made with" in evaluations(instance)[1].refused


def test_a_failure_counts_without_a_signature(instance, monkeypatch):
    run_check(instance, Judged("a"), "0.1 apart")
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    [found] = evaluations(instance)
    assert (found.passed, found.refused) == (False, "")


def signed(instance: dg.DagsterInstance, judged: Judged, *problems: str) -> dict[str, Any]:
    """The metadata of a signed evaluation."""
    run_check(instance, judged, *problems)
    [record] = instance.event_log_storage.get_asset_check_execution_history(PARITY, limit=1)
    assert record.evaluation is not None
    return dict(record.evaluation.metadata)


def forge(instance: dg.DagsterInstance, metadata: dict[str, Any], name: str = PARITY.name) -> CheckEvaluation:
    """Who can run steps, but has no key: a pass in a run of their own, with this metadata."""

    @dg.asset_check(asset=PARITY.asset_key, name=name)
    def forged():
        return dg.AssetCheckResult(passed=True, metadata=metadata)

    run_definition(instance, forged)
    return max(check_evaluations(instance, "onnx_model", name), key=lambda each: each.timestamp)


def test_a_signature_fits_nothing_else(instance, monkeypatch):
    """Copied to another run, to another check, to other bytes, to looser limits, or from a failure."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    passed, failed = signed(instance, Judged("a")), signed(instance, Judged("b"), "0.1 apart")
    monkeypatch.delenv(KEY_VARIABLE)
    attempts = {
        "another run": (passed, PARITY.name),
        "another check": (passed, "not_worse_than_champion"),
        "other bytes": (passed | {"about": "c"}, PARITY.name),
        "other limits": (passed | {"limits": {"onnx_difference": 1.0}}, PARITY.name),
        "another champion": (passed | {"champion": "9f8e7d6c5b4a"}, PARITY.name),
        "a failure": (failed, PARITY.name),
        "a later time": (passed | {"judged_at": 9e9}, PARITY.name),
    }
    for metadata, name in attempts.values():
        forge(instance, metadata, name)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    for attempt, (_, name) in attempts.items():
        counted = [each for each in check_evaluations(instance, "onnx_model", name) if each.passed and not each.refused]
        assert [each.digest for each in counted] == (["a"] if name == PARITY.name else []), attempt


def test_a_signed_evaluation_keeps_the_time_at_which_it_was_made(instance, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    metadata = signed(instance, Judged("a"))
    [found] = evaluations(instance)
    assert found.timestamp == metadata["judged_at"].value
