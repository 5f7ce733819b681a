"""Every target checks the same gate before anything is sent, reports missing settings, and can be rolled back."""

from __future__ import annotations

import itertools
import json
import time

import dagster as dg
import pytest
from click.testing import CliRunner
from support.deployment.local_endpoint import corrupt_byte
from support.slack_receiver import slack_receiver
from support.small_platform import defs, error_messages

from bridge_assets.cli import main
from bridge_assets.deployment.gate.content import read_content
from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS, Requirement
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.extras import install_command
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.registry.model_version import ModelVersion, latest_version
from bridge_assets.settings.environment import EnvironmentSettings, TargetSettings

KEYS = [target.key for target in REMOTE_TARGETS]

#: Enough to open a target. Nothing responds at these addresses, so that a request before the gate would fail.
CONFIGURED = {
    "sagemaker": {
        "REGION": "us-east-1",
        "ROLE_ARN": "arn:aws:iam::123456789012:role/none",
        "IMAGE": "123456789012.dkr.ecr.us-east-1.amazonaws.com/none:1",
        "BUCKET": "s3://none/bridges",
    },
    "azureml": {
        "SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000",
        "RESOURCE_GROUP": "none",
        "WORKSPACE": "none",
        "IMAGE": "none.azurecr.io/none:1",
    },
    "vertexai": {
        "PROJECT": "none",
        "IMAGE": "us-central1-docker.pkg.dev/none/none/none:1",
        "BUCKET": "gs://none/bridges",
    },
    "kubernetes": {"CONTEXT": "none", "IMAGE": "none:1", "ARTIFACTS": "s3://none/bridges"},
}


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """Every target configured, none of them reachable, no credentials."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "none",
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
        "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "none", "user": {}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for key, values in CONFIGURED.items():
        for name, value in values.items():
            monkeypatch.setenv(f"BRIDGE_ASSETS_ENVIRONMENT__{key.upper()}__{name}", value)


def test_every_target_has_its_own_section_and_class() -> None:
    sections = EnvironmentSettings.model_fields.items()
    assert set(KEYS) == {key for key, field in sections if isinstance(field.default, TargetSettings)}
    environment = EnvironmentSettings.load()
    assert not any(getattr(environment, key).enabled for key in KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_a_target_that_is_not_configured_lists_the_missing_settings_in_one_line(platform, key) -> None:
    message = error_messages(platform.materialize(f"{key}_endpoint"))
    line = next(line for line in message.splitlines() if "BRIDGE_ASSETS_ENVIRONMENT__" in line)
    assert f"BRIDGE_ASSETS_ENVIRONMENT__{key.upper()}__" in line
    extra = {"sagemaker": "aws", "azureml": "azure", "vertexai": "gcp", "kubernetes": "k8s"}[key]
    assert install_command(extra) in line


def report_failure(instance: dg.DagsterInstance, candidate: ModelVersion, requirement: Requirement) -> None:
    """A failure counts wherever it was reported: also without a run."""
    about = read_content(candidate).stages[requirement.asset]
    evaluation = dg.AssetCheckEvaluation(
        dg.AssetKey(requirement.asset), requirement.check, False, Judged(about).metadata()
    )
    instance.report_runless_asset_event(evaluation)


STATES = {"failed": "failed", "other bytes": "outdated", "not finished": "missing"}


@pytest.mark.parametrize(("key", "state"), list(itertools.product(KEYS, STATES)))
def test_a_closed_gate_stops_every_target_before_anything_is_sent(platform, configured, key, state) -> None:
    """The newest evaluation of the version's bytes decides: a failed one closes the gate; evaluations of other bytes do
    not count.
    """
    candidate = latest_version(platform.home / "models")
    requirement = REQUIRED_CHECKS[-1]
    if state == "failed":
        time.sleep(0.01)  # newer than what the first run recorded
        with dg.DagsterInstance.get() as instance:
            report_failure(instance, candidate, requirement)
    elif state == "other bytes":
        corrupt_byte(candidate.file("model.onnx"))
    else:
        manifest = candidate.manifest
        del manifest["stages"][requirement.asset]
        candidate.file("manifest.json").write_text(json.dumps(manifest))
    message = error_messages(platform.materialize(f"{key}_endpoint"))
    assert "the gate is closed" in message
    assert f"{requirement} {STATES[state]}" in message


@pytest.mark.parametrize("key", KEYS)
def test_an_open_gate_lets_the_version_through_to_the_target(platform, configured, key, monkeypatch) -> None:
    """Nothing responds there: sending the request fails, with a readable error."""
    monkeypatch.setenv(f"BRIDGE_ASSETS_ENVIRONMENT__{key.upper()}__WAIT_MINUTES", "0.001")
    result = platform.materialize(f"{key}_endpoint")
    assert not result.success
    message = error_messages(result)
    assert "the gate is" not in message
    assert "What to do:" in message


def test_the_smoke_checks_run_only_for_enabled_endpoints() -> None:
    smoke_graph = defs.resolve_job_def("smoke_checks").asset_layer.asset_graph
    selected = {key.to_user_string() for key in smoke_graph.asset_check_keys if key.name == "canary_passes"}
    assert "local_endpoint:canary_passes" in selected
    pipeline_assets = defs.resolve_job_def("full_pipeline").asset_layer.selected_asset_keys
    assert not any(dg.AssetKey(target.asset) in pipeline_assets for target in REMOTE_TARGETS)


def test_an_override_is_sent_to_slack(platform, monkeypatch) -> None:
    candidate = latest_version(platform.home / "models")
    manifest = candidate.manifest
    manifest["stages"]["training_set"] = "0" * 64
    candidate.file("manifest.json").write_text(json.dumps(manifest))
    reason = "Agreed with the bridge office on Monday"
    with slack_receiver() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        result = platform.materialize("local_endpoint", config={"override_reason": reason})
        assert result.success, error_messages(result)
        [text] = slack.messages
    assert reason in text
    assert "training_set:no_leakage outdated" in text
    assert result.run_id in text


def roll_back(**config: str) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.get() as instance:
        return defs.resolve_job_def("rollback_local").execute_in_process(
            instance=instance,
            run_config={
                "ops": {"rollback_local_endpoint": {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )


def test_the_rollback_job_rolls_back_and_records_a_materialization(platform, monkeypatch) -> None:
    endpoint = LocalEndpoint(platform.home / "endpoints" / "local")
    first = endpoint.current()
    assert "no previous version" in error_messages(roll_back())
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__SEED", "7")
    trained = platform.materialize("bridge_model", "quantized_model", "onnx_model", "registered_model")
    assert trained.success, error_messages(trained)
    assert platform.materialize("local_endpoint").success
    second = endpoint.current()
    assert second != first
    assert roll_back().success
    assert endpoint.current() == first
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("local_endpoint"))
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.metadata["model_version"].value == first
    assert event.asset_materialization.metadata["rollback"].value is True


def test_only_a_version_that_was_deployed_can_be_rolled_back_to(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__SEED", "7")
    assert platform.materialize("bridge_model", "quantized_model", "onnx_model", checks=False).success
    untried = latest_version(platform.home / "models").version
    assert f"cannot roll back to version {untried!r}" in error_messages(roll_back(model_version=untried))


def test_the_rollback_command_reports_missing_settings_and_missing_versions(platform) -> None:
    refused = CliRunner().invoke(main, ["rollback", "sagemaker"])
    assert refused.exit_code == 1
    assert "BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__" in refused.output
    local = CliRunner().invoke(main, ["rollback"])
    assert "no previous version" in local.output
