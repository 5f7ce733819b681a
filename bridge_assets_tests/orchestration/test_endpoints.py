"""Every target checks the same gate before anything is sent, reports missing settings, and can be rolled back."""

from __future__ import annotations

import itertools
import json
import time

import dagster as dg
import pytest
from support.alerting.slack_receiver import slack_receiver
from support.deployment.local_endpoint import corrupt_byte
from support.deployment.unreachable_targets import configure_unreachable_targets
from support.small_platform import defs, error_messages

from bridge_assets.deployment.gate.content import read_content
from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS, Requirement
from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.extras import install_command
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.registry.model_version import ModelVersion, latest_version
from bridge_assets.settings.environment import EnvironmentSettings, TargetSettings

KEYS = [target.key for target in REMOTE_TARGETS]


@pytest.fixture
def configured(monkeypatch, tmp_path):
    configure_unreachable_targets(monkeypatch, tmp_path)


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
def test_an_open_gate_lets_the_version_through_to_the_target(platform, configured, key) -> None:
    """Nothing responds there: sending the request fails, with a readable error."""
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
