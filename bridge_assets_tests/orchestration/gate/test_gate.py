"""Only a version that passed the gate is served: also by hand, in a later run, or without its checks."""

from __future__ import annotations

import json

import dagster as dg
import pytest
from support.small_platform import error_messages

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.orchestration.gate.overrides import OVERRIDE_TAG
from bridge_assets.registry.base import Registry
from bridge_assets.registry.model_version import latest_version
from bridge_assets.registry.register import configured_registry
from bridge_assets.settings import MlflowSettings

MODEL = ("bridge_model", "quantized_model", "onnx_model", "registered_model")


def served(platform) -> str | None:
    return LocalEndpoint(platform.home / "endpoints" / "local").current()


def registry(platform) -> Registry:
    """The platform's MLflow registry."""
    return configured_registry(MlflowSettings(), platform.home, "bridge_fall")


def train_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another seed gives another model version."""
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__SEED", "7")


def test_in_a_later_run_by_hand_the_checks_of_the_first_run_count(platform) -> None:
    before = served(platform)
    assert platform.materialize("local_endpoint").success
    assert served(platform) == before == latest_version(platform.home / "models").version


def test_a_model_whose_check_failed_is_refused_by_hand(platform, monkeypatch) -> None:
    before = served(platform)
    train_otherwise(monkeypatch)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__AUC_GAIN", "0.9")
    assert not platform.materialize("bridge_model").success
    failed = latest_version(platform.home / "models").version
    by_hand = platform.materialize("local_endpoint", config={"model_version": failed})
    assert not by_hand.success
    assert "bridge_model:beats_baselines failed" in error_messages(by_hand)
    assert "(auc_gain)" in error_messages(by_hand)
    assert served(platform) == before
    # It was never registered, so an endpoint still takes the previous version by default: one that passed under looser
    # limits than these.
    refused = platform.materialize("local_endpoint")
    assert "beats_baselines loosened" in error_messages(refused)
    assert "auc_gain -0.5 (the configuration says 0.9)" in error_messages(refused)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__AUC_GAIN", "-0.5")
    assert platform.materialize("local_endpoint").success
    assert served(platform) == before != failed


def test_a_model_whose_checks_were_left_out_is_refused_by_hand(platform, monkeypatch) -> None:
    before = served(platform)
    train_otherwise(monkeypatch)
    assert platform.materialize(*MODEL, checks=False).success
    by_hand = platform.materialize("local_endpoint")
    message = error_messages(by_hand)
    for check in ("bridge_model:beats_baselines", "quantized_model:quantization_parity", "onnx_model:onnx_parity"):
        assert f"{check} outdated" in message
    assert "training_set:no_leakage passed" in message
    assert served(platform) == before


def test_the_same_model_with_its_checks_is_deployed(platform, monkeypatch) -> None:
    before = served(platform)
    train_otherwise(monkeypatch)
    assert platform.materialize(*MODEL, checks=False).success
    assert platform.materialize(*MODEL).success
    assert platform.materialize("local_endpoint").success
    assert served(platform) == latest_version(platform.home / "models").version != before
    assert LocalEndpoint(platform.home / "endpoints" / "local").previous() == before


@pytest.mark.parametrize("registry_is", ["without the version", "unreachable"])
def test_what_the_registry_refuses_does_not_move_the_traffic(platform, monkeypatch, registry_is) -> None:
    before = served(platform)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__SEED", "11")  # no other test registers this version
    assert platform.materialize("bridge_model", "quantized_model", "onnx_model").success
    candidate = latest_version(platform.home / "models").version
    if registry_is == "unreachable":
        monkeypatch.setenv("BRIDGE_ASSETS_MLFLOW__TRACKING_URI", "http://127.0.0.1:9")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    by_hand = platform.materialize("local_endpoint", config={"model_version": candidate})
    assert not by_hand.success
    assert ("is not registered as" if registry_is == "without the version" else "127.0.0.1:9") in error_messages(
        by_hand
    )
    assert served(platform) == before != candidate


def test_an_artifact_that_was_changed_after_its_checks_is_refused(platform) -> None:
    path = latest_version(platform.home / "models").file("model.onnx")
    path.write_bytes(path.read_bytes() + b"\0")
    by_hand = platform.materialize("local_endpoint")
    assert "a file of the version, or the code that serves it, has changed since" in error_messages(by_hand)


def test_checks_of_another_training_set_do_not_count(platform) -> None:
    candidate = latest_version(platform.home / "models")
    manifest = candidate.manifest
    manifest["stages"]["training_set"] = "0" * 64
    candidate.file("manifest.json").write_text(json.dumps(manifest))
    message = error_messages(platform.materialize("local_endpoint"))
    assert "training_set:input_checks_passed outdated" in message
    assert "training_set:no_leakage outdated" in message


def test_records_whose_checks_were_left_out_close_the_gate(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SAMPLE__SEED", "5")
    source = next((platform.home / "sample").glob("NBI_2015.txt"))
    source.write_bytes(source.read_bytes().rsplit(b"\n", 5)[0] + b"\n")
    assert platform.materialize("nbi_files", partition="2015").success
    assert platform.materialize("raw_bridges", "rejected_records", partition="2015", checks=False).success
    assert platform.materialize("bridge_features", partition="2015").success
    training = platform.materialize("training_set")
    checked = {evaluation.check_name: evaluation for evaluation in training.get_asset_check_evaluations()}
    assert not checked["input_checks_passed"].passed
    message = checked["input_checks_passed"].description or ""
    assert "raw_bridges:rows_reconcile[2015] was not evaluated on the records in use" in message
    assert "[2014]" not in message


def test_records_that_changed_on_disk_after_their_checks_close_the_gate(platform) -> None:
    """As after a run that was killed between the records and their checks."""
    platform.lake.write(platform.lake.read_year("raw_bridges", 2015).head(-5), "raw_bridges", 2015)
    assert platform.materialize("bridge_features", partition="2015").success
    training = platform.materialize("training_set")
    checked = {evaluation.check_name: evaluation for evaluation in training.get_asset_check_evaluations()}
    message = checked["input_checks_passed"].description or ""
    assert "raw_bridges:rows_reconcile[2015] was not evaluated on the records in use" in message


def test_an_override_needs_a_reason_that_is_recorded(platform, monkeypatch) -> None:
    train_otherwise(monkeypatch)
    assert platform.materialize(*MODEL, checks=False).success
    short = platform.materialize("local_endpoint", config={"override_reason": "x"})
    assert "too short (at least 10 characters)" in error_messages(short)
    reason = "Agreed with the bridge office on Monday"
    overridden = platform.materialize("local_endpoint", config={"override_reason": reason})
    assert overridden.success, error_messages(overridden)
    [made] = overridden.get_asset_materialization_events()
    assert made.materialization.metadata["gate"].value == "overridden"
    assert made.materialization.metadata["override_reason"].value == reason
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(overridden.run_id)
    assert run is not None
    assert run.tags[OVERRIDE_TAG] == reason


def test_an_earlier_version_can_be_deployed_by_name_through_the_gate(platform, monkeypatch) -> None:
    first = served(platform)
    train_otherwise(monkeypatch)
    assert platform.materialize(*MODEL).success
    assert platform.materialize("local_endpoint").success
    assert served(platform) != first
    assert platform.materialize("local_endpoint", config={"model_version": first}).success
    assert served(platform) == first
    unknown = platform.materialize("local_endpoint", config={"model_version": "abc"})
    assert "there is no model version 'abc'" in error_messages(unknown)


def test_without_any_model_the_error_has_a_remedy(platform, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # an event log without any run
    message = error_messages(platform.materialize("local_endpoint"))
    assert "No registered_model yet" in message
    assert "materialise bridge_model" in message


def test_a_version_worse_than_the_champion_is_neither_registered_nor_served(platform, monkeypatch) -> None:
    before, champion = served(platform), registry(platform).aliases()["champion"]
    for limit in ("CHAMPION_AUC_LOSS", "CHAMPION_BRIER_LOSS"):
        monkeypatch.setenv(f"BRIDGE_ASSETS_MODEL__GATE__{limit}", "0")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__DEPTH", "1")
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__TREES", "1")
    trained = platform.materialize(*MODEL)
    checked = {evaluation.check_name: evaluation for evaluation in trained.get_asset_check_evaluations()}
    assert not checked["not_worse_than_champion"].passed
    assert "worse than for champion" in (checked["not_worse_than_champion"].description or "")
    assert not trained.success  # registered_model was never reached
    by_hand = platform.materialize("registered_model")
    assert "onnx_model:not_worse_than_champion failed" in error_messages(by_hand)
    reason = "The champion learned from records that were wrong"
    assert platform.materialize("registered_model", config={"override_reason": reason}).success
    [challenger] = [each for each in registry(platform).versions() if "override_reason" in each.tags]
    assert challenger.tags["override_reason"] == reason
    assert challenger.tags["gate.onnx_model.not_worse_than_champion"].startswith("failed")
    assert registry(platform).aliases()["challenger"] == challenger
    assert "onnx_model:not_worse_than_champion failed" in error_messages(platform.materialize("local_endpoint"))
    assert served(platform) == before
    assert registry(platform).aliases()["champion"] == champion


def test_a_damaged_champion_fails_the_check(platform, monkeypatch) -> None:
    whole = {path: path.read_bytes() for path in (platform.home / "mlartifacts").rglob("model.onnx")}
    train_otherwise(monkeypatch)
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__DEPTH", "5")
    try:
        for path, content in whole.items():
            path.write_bytes(content[:-1] + b"x")
        trained = platform.materialize(*MODEL)
        checked = {evaluation.check_name: evaluation for evaluation in trained.get_asset_check_evaluations()}
        assert "model.onnx of model version" in (checked["not_worse_than_champion"].description or "")
        assert "is damaged" in error_messages(platform.materialize("registered_model"))
    finally:  # the registry is not restored after a test
        for path, content in whole.items():
            path.write_bytes(content)
