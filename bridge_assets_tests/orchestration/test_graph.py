"""Properties of the whole asset graph that loading does not check."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import CronFreshnessPolicy

from bridge_assets.data.sources.lateness import FHWA_PAGE
from bridge_assets.definitions import defs
from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.jobs.pipelines import JOBS

PROJECT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("graph_snapshot.json")

NODES = [defs.resolve_asset_graph().get(key) for key in sorted(defs.resolve_asset_graph().get_all_asset_keys())]


#: What others publish and we read.
EXTERNAL_ASSETS = ["fhwa_nbi"]


def test_every_dependency_is_an_asset_of_ours_or_a_known_external_one() -> None:
    """A typo in `deps` silently becomes an external asset."""
    assert [node.key.to_user_string() for node in NODES if not node.is_materializable] == EXTERNAL_ASSETS


def test_the_external_asset_heads_the_graph_and_links_to_its_publisher() -> None:
    [head] = [node for node in NODES if not node.parent_keys and node.group_name != groups.OPERATIONS]
    assert head.key.to_user_string() == "fhwa_nbi"
    assert head.metadata["page"].value == FHWA_PAGE


def test_sources_scores_endpoint_and_reports_have_a_yearly_deadline() -> None:
    """The deadlines are after the middle of June, when FHWA publishes; the windows begin on 1 June."""
    policies = {
        node.key.to_user_string(): node.freshness_policy
        for node in NODES
        if isinstance(node.freshness_policy, CronFreshnessPolicy)
    }
    results = ["bridge_predictions", "condition_report", "data_quality_report", "inventory_report", "local_endpoint"]
    results += ["drift_report", "looker_sheet", "bridge_map_layer", "realised_quality"]
    assert {asset: policy.deadline_cron for asset, policy in policies.items()} == {
        "nbi_files": "0 0 1 7 *",
        **dict.fromkeys(results, "0 0 1 8 *"),
    }
    for asset, policy in policies.items():
        month = int(policy.deadline_cron.split()[3])
        assert datetime.date(2026, month, 1) - policy.lower_bound_delta == datetime.date(2026, 6, 1)
        assert "Stale from 1 " in (defs.resolve_asset_graph().get(dg.AssetKey(asset)).description or "")


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.key.to_user_string())
def test_every_asset_has_a_group_owners_kinds_and_a_description(node) -> None:
    assert node.group_name in groups.ALL_GROUPS
    assert node.owners
    assert node.kinds
    assert len(node.description or "") > 40


def test_every_check_is_of_an_asset_of_ours() -> None:
    graph = defs.resolve_asset_graph()
    assert {key.asset_key for key in graph.asset_check_keys} <= graph.materializable_asset_keys


def test_the_checks_that_the_gate_requires_exist_and_block() -> None:
    graph = defs.resolve_asset_graph()
    for requirement in REQUIRED_CHECKS:
        key = dg.AssetCheckKey(dg.AssetKey(requirement.asset), requirement.check)
        assert graph.get_check_spec(key).blocking


@pytest.mark.parametrize("job", [job.name for job in JOBS])
def test_every_job_selects_something_and_runs_with_defaults(job: str) -> None:
    """A config field without a default breaks scheduled and automated runs."""
    resolved = defs.resolve_job_def(job)
    assert resolved.nodes  # checks count too
    assert dg.validate_run_config(resolved, {}) is not None


def test_schedules_and_sensor_are_stopped_until_someone_starts_them() -> None:
    schedules = ["weekly_scoring", "smoke_checks", "daily_metrics", "hourly_health", "weekly_retention"]
    statuses = {defs.resolve_schedule_def(name).default_status for name in schedules}
    assert statuses == {dg.DefaultScheduleStatus.STOPPED}
    assert defs.resolve_sensor_def("new_survey_file").default_status is dg.DefaultSensorStatus.STOPPED


def test_the_graph_equals_the_reviewed_snapshot() -> None:
    """`BRIDGE_ASSETS_UPDATE_SNAPSHOT=1` rewrites the snapshot, so that the change appears in the review."""
    graph = defs.resolve_asset_graph()
    now = {
        node.key.to_user_string(): {
            "group": node.group_name,
            "depends_on": sorted(key.to_user_string() for key in node.parent_keys),
            "partitioned": node.is_partitioned,
            "checks": {
                key.name: "blocking" if graph.get_check_spec(key).blocking else "warns"
                for key in sorted(node.check_keys, key=lambda key: key.name)
            },
        }
        for node in NODES
    }
    if os.environ.get("BRIDGE_ASSETS_UPDATE_SNAPSHOT") == "1":
        SNAPSHOT.write_text(json.dumps(now, indent=2) + "\n")
    assert now == json.loads(SNAPSHOT.read_text())


@pytest.mark.parametrize("arguments", [["-w", "workspace.yaml"], []], ids=["workspace.yaml", "pyproject.toml"])
def test_the_code_location_loads(arguments: list[str]) -> None:
    dagster = Path(sys.executable).parent / "dagster"
    loaded = subprocess.run(
        [dagster, "definitions", "validate", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    assert "Validation successful" in loaded.stderr + loaded.stdout


def test_the_core_needs_no_cloud_sdk_and_loading_imports_nothing_heavy() -> None:
    heavy = [
        "pandas",
        "polars",
        "numpy",
        "sklearn",
        "numba",
        "fsspec",
        "mlflow",
        "onnx",
        "onnxruntime",
        "matplotlib",
        "skops",
        "shap",
        "boto3",
        "azure",
        "kubernetes",
    ]
    code = f"import sys, bridge_assets.definitions; print([name for name in {heavy!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


TRAINING = {
    "training_set",
    "bridge_model",
    "quantized_model",
    "onnx_model",
    "registered_model",
    "deterioration_model",
}
REMOTE_ENDPOINTS = {"sagemaker_endpoint", "azureml_endpoint", "vertexai_endpoint", "kubernetes_endpoint"}
SCORES_AND_REPORTS = {
    "bridge_predictions",
    "years_until_poor",
    "drift_report",
    "realised_quality",
    "mart_condition_by_year",
    "mart_bridge_outlook",
    "condition_report",
    "looker_sheet",
    "bridge_map_layer",
}
#: A person's act: no job does it.
APPROVAL = {"approved_model"}
FEATURES_AND_LATER = APPROVAL | {"bridge_features", "local_endpoint"} | TRAINING | REMOTE_ENDPOINTS | SCORES_AND_REPORTS
#: Of the pipeline; what watches the platform has jobs of its own.
ALL_ASSETS = {
    node.key.to_user_string() for node in NODES if node.is_materializable and node.group_name != groups.OPERATIONS
}


@pytest.mark.parametrize(
    ("job", "assets"),
    [
        ("full_pipeline", ALL_ASSETS - REMOTE_ENDPOINTS - APPROVAL),
        ("inventory", ALL_ASSETS - FEATURES_AND_LATER),
        ("latest_year", ALL_ASSETS - TRAINING - APPROVAL - REMOTE_ENDPOINTS - {"local_endpoint"}),
        ("scoring", SCORES_AND_REPORTS),
        ("retraining", TRAINING),
        ("promotion", {"local_endpoint"}),
        ("smoke_checks", set()),
    ],
)
def test_jobs_select_by_tag_what_their_descriptions_promise(job: str, assets: set[str]) -> None:
    selected = defs.resolve_job_def(job).asset_layer.executable_asset_keys
    assert {key.to_user_string() for key in selected} == assets
