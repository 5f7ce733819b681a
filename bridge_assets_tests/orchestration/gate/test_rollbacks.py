"""Rollbacks of the local endpoint: recorded, with the alias, and the version that was left asks for a reason."""

from __future__ import annotations

import dagster as dg
import pytest
from click.testing import CliRunner
from support.small_platform import SmallPlatform, defs, error_messages

from bridge_assets.cli import main
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.orchestration.gate.rollbacks import left_versions
from bridge_assets.registry.model_version import latest_version
from bridge_assets.registry.register import configured_registry
from bridge_assets.settings import MlflowSettings

#: No other test registers this version.
SEED = "1907"


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


def local(platform: SmallPlatform) -> LocalEndpoint:
    return LocalEndpoint(platform.home / "endpoints" / "local")


def champion(platform: SmallPlatform) -> str:
    return configured_registry(MlflowSettings(), platform.home, "bridge_fall").aliases()["champion"].version


def deploy_another(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Deploy another version; returns the first one and this one."""
    first = local(platform).current()
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__FOREST__SEED", SEED)
    trained = platform.materialize("bridge_model", "quantized_model", "onnx_model", "registered_model")
    assert trained.success, error_messages(trained)
    deployed = platform.materialize("local_endpoint")
    assert deployed.success, error_messages(deployed)
    second = local(platform).current()
    assert first is not None and second is not None and first != second
    return first, second


def test_a_rollback_is_recorded_moves_the_alias_and_marks_the_version_that_was_left(platform, monkeypatch) -> None:
    assert "no previous version" in error_messages(roll_back())
    first, second = deploy_another(platform, monkeypatch)
    assert champion(platform) == second
    rolled_back = roll_back(reason="complaints from district 4")
    assert rolled_back.success, error_messages(rolled_back)
    assert (local(platform).current(), champion(platform)) == (first, first)
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("local_endpoint"))
        assert list(left_versions(instance, "local_endpoint")) == [second]
    assert event is not None and event.asset_materialization is not None
    recorded = {key: value.value for key, value in event.asset_materialization.metadata.items()}
    assert recorded["rollback"] is True
    assert (recorded["model_version"], recorded["left_version"]) == (first, second)

    refused = error_messages(platform.materialize("local_endpoint", config={"model_version": second}))
    assert f"the gate is closed for model version {second}: every check passed; see below" in refused
    assert f"(run {rolled_back.run_id[:8]}): complaints from district 4. What to do: give a reason" in refused
    with dg.DagsterInstance.get() as instance:  # what anyone can post to the web server lifts no mark
        for posted in ({"model_version": second}, {"model_version": second, "rollback": True, "left_version": "other"}):
            instance.report_runless_asset_event(dg.AssetMaterialization("local_endpoint", metadata=posted))
        assert second in left_versions(instance, "local_endpoint")
    assert f"was itself rolled back from version {second}" in error_messages(roll_back(model_version=second))
    assert local(platform).current() == first

    back = {"model_version": second, "override_reason": "the complaints were about another year"}
    returned = platform.materialize("local_endpoint", config=back)
    assert returned.success, error_messages(returned)
    [made] = returned.get_asset_materialization_events()
    assert made.materialization.metadata["gate"].value == "overridden"
    assert (local(platform).current(), champion(platform)) == (second, second)
    with dg.DagsterInstance.get() as instance:
        assert list(left_versions(instance, "local_endpoint")) == ["other"]


def test_the_command_records_the_rollback_too(platform, monkeypatch) -> None:
    first, second = deploy_another(platform, monkeypatch)
    done = CliRunner().invoke(main, ["rollback", "local", "--reason", "complaints from district 4"])
    assert done.exit_code == 0, done.output
    assert f"serves model {first} again, in place of {second}. Recorded in run " in done.output
    with dg.DagsterInstance.get() as instance:
        assert "complaints from district 4" in left_versions(instance, "local_endpoint")[second]
    assert champion(platform) == first
    again = CliRunner().invoke(main, ["rollback", "local", "--to", second])
    assert again.exit_code == 1
    assert "give a reason of at least 10 characters" in again.output
    reason = ["--reason", "the complaints were about another year"]
    assert CliRunner().invoke(main, ["rollback", "local", "--to", second, *reason]).exit_code == 0
    assert local(platform).current() == second


def test_a_rollback_that_the_registry_refuses_moves_no_traffic(platform, monkeypatch) -> None:
    _, second = deploy_another(platform, monkeypatch)
    monkeypatch.setenv("BRIDGE_ASSETS_MLFLOW__TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    refused = roll_back()
    assert not refused.success
    assert local(platform).current() == second
    with dg.DagsterInstance.get() as instance:
        assert left_versions(instance, "local_endpoint") == {}


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
