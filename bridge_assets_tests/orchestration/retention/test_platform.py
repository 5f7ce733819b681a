"""Retention on a real platform: after every run that may go has gone, the gate says the same, and deployments work."""

from __future__ import annotations

import time
from types import SimpleNamespace

import dagster as dg
import pytest
from support.small_platform import SmallPlatform, defs, error_messages

from bridge_assets.deployment.gate.content import read_content
from bridge_assets.orchestration.gate.check_history import gate_decision
from bridge_assets.orchestration.jobs import retention as retention_module
from bridge_assets.registry.model_version import latest_version
from bridge_assets.settings import ModelSettings


def decision(platform: SmallPlatform) -> str:
    content = read_content(latest_version(platform.home / "models"))
    with dg.DagsterInstance.get() as instance:
        return gate_decision(instance, content, content.version, ModelSettings.load().gate).explain()


def run_retention(**config: object) -> dict[str, object]:
    """Run the job; returns what it says."""
    with dg.DagsterInstance.get() as instance:
        done = defs.resolve_job_def("retention").execute_in_process(
            instance=instance, run_config={"ops": {"remove_old_runs": {"config": config}}}
        )
        assert done.success
        [output] = [event for event in done.all_events if event.event_type_value == "STEP_OUTPUT"]
        return {name: value.value for name, value in output.step_output_data.metadata.items()}


def test_the_gate_says_the_same_and_deployments_go_on(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):  # what nobody needs: the last one stays, as the latest of its assets
        assert platform.materialize("data_quality_report").success
    before = decision(platform)
    assert before.startswith("the gate is open")
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(retention_module, "time", SimpleNamespace(time=lambda: now + 401 * 86400))
        listed = run_retention()
        assert (listed["dry_run"], listed["days"], listed["runs"]) == (True, 400, 1)
        assert run_retention(dry_run=False)["runs"] == 1
    assert decision(platform) == before
    deployed = platform.materialize("local_endpoint")
    assert deployed.success, error_messages(deployed)
