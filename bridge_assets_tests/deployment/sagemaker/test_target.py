"""The endpoint on SageMaker: the real boto3 with `providers.sagemaker_server`, which runs the real app."""

from __future__ import annotations

import pytest
from providers.sagemaker_server import BUCKET, REGION
from support.deployment.kept_bundles import opener
from support.deployment.local_endpoint import exchange
from support.deployment.sagemaker_endpoint import (
    FOLDER,
    SETTINGS,
    assert_only_deployed,
    is_serving,
    resource_name,
    resource_names,
)

from bridge_assets.deployment.core.bundle import bundle_of
from bridge_assets.deployment.core.tags import OWNER_TAG
from bridge_assets.deployment.core.target import TargetState, deploy, rollback
from bridge_assets.deployment.endpoints import RemoteEndpoint
from bridge_assets.deployment.gate.content import read_content
from bridge_assets.deployment.sagemaker.target import SageMakerEndpoint, deploy_model_sagemaker
from bridge_assets.errors import CanaryMismatch, DeploymentError, NotConfiguredError
from bridge_assets.extras import install_command
from bridge_assets.settings.environment import EnvironmentSettings, SageMakerSettings

# Deploying


def test_a_version_is_provisioned_tested_and_given_the_traffic(aws, target, bundles):
    assert target.state() == TargetState()
    first = deploy(target, bundles[0])
    assert (first.target, first.version, first.previous, first.removed) == ("sagemaker", bundles[0].version, None, ())
    assert first.address == f"{aws.address}/endpoints/bridge-fall/invocations"
    assert first.canary.rows == 32
    assert aws.changes == [
        "s3:PUT",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",  # for the canary
        "DeleteEndpoint",
        "CreateEndpoint",
    ]
    assert_only_deployed(aws, bundles[0])
    assert is_serving(target, bundles[0])
    state = aws.state()
    assert all(
        created[-1][OWNER_TAG] == "bridge-assets"
        for kind in ("endpoints", "configs", "models")
        for created in state[kind].values()
    )
    assert state["models"][resource_name(bundles[0])][0] == {
        "Image": SETTINGS["image"],
        "ModelDataUrl": f"s3://{BUCKET}/{FOLDER}/{bundles[0].slot}.tar.gz",
        "Environment": {"BRIDGE_ASSETS_SLOT": bundles[0].slot},
    }
    assert state["objects"][f"{FOLDER}/{bundles[0].slot}.tar.gz"][0] == bundles[0].digest
    variant = {"InitialInstanceCount": 2, "InstanceType": "ml.m5.large", "ModelName": resource_name(bundles[0])}
    assert state["configs"][resource_name(bundles[0])][0] == [{"VariantName": "AllTraffic", **variant}]


def test_the_next_version_takes_over_blue_green_and_the_previous_one_is_kept_for_a_rollback(aws, target, bundles):
    deploy(target, bundles[0])
    aws.changes.clear()
    second = deploy(target, bundles[1])
    assert aws.changes[3:] == ["CreateEndpoint", "DeleteEndpoint", "UpdateEndpoint", "AddTags"]
    assert (second.previous, second.removed) == (bundles[0].version, ())
    assert_only_deployed(aws, bundles[0], bundles[1])
    assert is_serving(target, bundles[1])
    assert aws.endpoint_states["bridge-fall"].update["DeploymentConfig"] == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": 1800,
        }
    }


def test_deploying_the_current_slot_sends_the_canary_and_changes_nothing(aws, target, bundles):
    first = deploy(target, bundles[0])
    aws.changes.clear()
    aws.operations.clear()
    assert deploy(target, bundles[0]) == first
    assert not aws.changes
    assert aws.operations.count("InvokeEndpoint") == 1


def test_a_rollback_provisions_the_previous_version_and_removes_later_ones(aws, make_endpoint, bundles):
    target = make_endpoint(rollback_alarms=("errors",))
    for bundle in bundles[:3]:
        deploy(target, bundle)
    back = rollback(target, opener(bundles))
    assert (back.version, back.previous) == (bundles[1].version, bundles[0].version)
    assert back.removed == resource_names(bundles[2])
    assert_only_deployed(aws, bundles[0], bundles[1])
    assert is_serving(target, bundles[1])
    # Alarms that a bad version has set off must not restore it.
    assert "AutoRollbackConfiguration" not in aws.endpoint_states["bridge-fall"].update["DeploymentConfig"]


def test_after_an_upgrade_a_rollback_restores_exactly_the_old_slot(aws, target, model_versions, request):
    remote = RemoteEndpoint(target, model_versions[0].folder.parent)
    remote.deploy(model_versions[0])
    slot = target.state().current_slot
    archive = aws.state()["objects"][f"{FOLDER}/{slot}.tar.gz"][0]
    request.getfixturevalue("code_of_a_newer_release")
    remote.deploy(model_versions[1])
    target.retire(slot)  # as if it had left the history
    assert remote.rollback().version == model_versions[0].version
    assert target.state().current_slot == slot
    assert aws.state()["objects"][f"{FOLDER}/{slot}.tar.gz"][0] == archive
    assert bundle_of(model_versions[0]).with_runtime_config(target.runtime_config).slot != slot


def test_a_slot_with_other_settings_is_created_again(aws, make_endpoint, bundles):
    make_endpoint().provision(bundles[0])
    aws.changes.clear()
    target = make_endpoint(instances=3)
    target.provision(bundles[0])
    assert aws.changes == [
        "DeleteEndpoint",
        *("DeleteModel", "CreateModel"),
        *("DeleteEndpointConfig", "CreateEndpointConfig"),
        "CreateEndpoint",
    ]
    assert aws.state()["configs"][resource_name(bundles[0])][0][0]["InitialInstanceCount"] == 3
    aws.changes.clear()
    target.provision(bundles[0])
    assert not aws.changes


def test_a_serverless_endpoint(aws, make_endpoint, bundles):
    target = make_endpoint(mode="serverless")
    bundles = [bundle.with_runtime_config(target.runtime_config) for bundle in bundles]
    deploy(target, bundles[0])
    aws.inject_fault("InvokeEndpoint", "retry at once")  # it is still starting
    deploy(target, bundles[1])
    assert_only_deployed(aws, bundles[0], bundles[1])
    [variant] = aws.state()["configs"][resource_name(bundles[1])][0]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "DeploymentConfig" not in aws.endpoint_states["bridge-fall"].update
    assert target.cost == "2048 MB serverless, billed per millisecond of prediction, free while idle"


def test_an_asynchronous_endpoint_responds_through_the_bucket_and_leaves_nothing_there(aws, make_endpoint, bundles):
    target = make_endpoint(mode="async")
    bundles = [bundle.with_runtime_config(target.runtime_config) for bundle in bundles]
    assert deploy(target, bundles[0]).address.endswith("/endpoints/bridge-fall/async-invocations")
    assert is_serving(target, bundles[0])
    with pytest.raises(DeploymentError, match=r"did not respond.*colour"):
        target.invoke([{"colour": 1.0}])
    assert_only_deployed(aws, bundles[0])
    aws.pending_async_outputs = Lost()
    with pytest.raises(DeploymentError, match=r"did not respond\. After 0.006 s there is no response at s3://"):
        make_endpoint(mode="async", wait_minutes=0.0001).invoke([{"age": 1.0}])
    assert_only_deployed(aws, bundles[0])
    question = f"s3://{BUCKET}/{FOLDER}/asked/of-a-killed-one.json"
    target._endpoints.objects.put(question, b"{}")
    assert target.delete()[-1] == question
    assert_only_deployed(aws)


class Lost(dict):
    """Responses that never arrive."""

    def __setitem__(self, key, value):
        pass


def test_requests_are_captured_if_configured(aws, make_endpoint, bundles):
    target = make_endpoint(capture_percent=20)
    deploy(target, bundles[0])
    assert aws.state()["configs"][resource_name(bundles[0].with_runtime_config(target.runtime_config))][1] == {
        "EnableCapture": True,
        "InitialSamplingPercentage": 20,
        "DestinationS3Uri": f"s3://{BUCKET}/{FOLDER}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }


def test_alarms_roll_an_update_back_and_the_old_version_keeps_serving(aws, make_endpoint, bundles):
    target = make_endpoint(rollback_alarms=("errors", "latency"))
    deploy(target, bundles[0])
    aws.alarms_firing = True
    with pytest.raises(DeploymentError, match=r"rolled back the update of .*\. It serves .* again: One or more alarms"):
        deploy(target, bundles[1])
    assert_only_deployed(aws, bundles[0])
    assert is_serving(target, bundles[0])
    aws.alarms_firing = False
    deploy(target, bundles[1])
    how = aws.endpoint_states["bridge-fall"].update["DeploymentConfig"]
    assert how["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "latency"}]}
    assert how["BlueGreenUpdatePolicy"] == {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
            "WaitIntervalInSeconds": 300,
        },
        "TerminationWaitInSeconds": 300,
        "MaximumExecutionTimeoutInSeconds": 1800,
    }


def test_everything_of_ours_is_deleted_and_listed(aws, target, make_endpoint, bundles):
    other = make_endpoint(name="bridge-fall-2")
    deploy(other, bundles[0])
    before = aws.state()
    for bundle in bundles[:2]:
        deploy(target, bundle)
    target.provision(bundles[2])
    slots = sorted(bundles[:3], key=lambda bundle: bundle.slot)
    assert target.delete() == (
        "endpoint bridge-fall",
        *(
            removed
            for bundle in slots
            for removed in ((f"endpoint {resource_name(bundle)}",) if bundle is bundles[2] else ())
            + resource_names(bundle)
        ),
    )
    assert aws.state() == before
    assert target.delete() == ()


# A wrong model


def test_a_wrong_model_gets_no_traffic(aws, target, bundles):
    deploy(target, bundles[0])
    aws.config_overrides[resource_name(bundles[1]), resource_name(bundles[1])] = resource_name(bundles[0])
    with pytest.raises(CanaryMismatch, match=f"slot {bundles[1].slot}"):
        deploy(target, bundles[1])
    assert "UpdateEndpoint" not in aws.changes
    assert_only_deployed(aws, bundles[0])
    assert is_serving(target, bundles[0])


def test_a_wrong_model_behind_the_endpoint_is_rolled_back(aws, make_endpoint, bundles):
    target = make_endpoint(rollback_alarms=("errors",))
    deploy(target, bundles[0])
    aws.config_overrides["bridge-fall", resource_name(bundles[1])] = resource_name(bundles[0])
    with pytest.raises(CanaryMismatch) as mismatch:
        deploy(target, bundles[1])
    assert not getattr(mismatch.value, "__notes__", None)
    assert_only_deployed(aws, bundles[0])
    assert is_serving(target, bundles[0])


def test_a_first_version_with_wrong_predictions_leaves_no_endpoint(aws, make_endpoint, bundles):
    other = make_endpoint(name="another")
    deploy(other, bundles[1])
    before = aws.state()
    aws.config_overrides["bridge-fall", resource_name(bundles[0])] = f"another-{bundles[1].slot}"
    with pytest.raises(CanaryMismatch):
        deploy(make_endpoint(), bundles[0])
    assert aws.state() == before


def test_an_archive_that_was_changed_in_the_bucket_is_never_served(aws, target, bundles):
    deploy(target, bundles[0])
    target.provision(bundles[1])
    changed = aws.state()
    aws.overwrite_object(f"{FOLDER}/{bundles[1].slot}.tar.gz", bundles[2].archive)
    assert target.retire(bundles[2].slot) == []  # it has no resources
    assert changed["endpoints"] == aws.state()["endpoints"]
    aws.restart_endpoint(resource_name(bundles[1]))
    with pytest.raises(
        DeploymentError, match=r"is Failed\. The primary container .* did not pass the ping.*not the expected bundle"
    ):
        target._endpoints.wait_in_service(resource_name(bundles[1]), resource_name(bundles[1]))
    deploy(target, bundles[1])  # repairs it
    assert_only_deployed(aws, bundles[0], bundles[1])


def test_a_corrupted_artifact_is_refused_before_any_request(aws, target, model_versions):
    model_versions[0].file("model.onnx").write_bytes(b"this is no graph")
    with pytest.raises(DeploymentError, match="cannot be deployed"):
        deploy(target, bundle_of(model_versions[0]))
    judged = read_content(model_versions[1]).files
    exchange(model_versions[1], model_versions[2])
    with pytest.raises(DeploymentError, match="the gate decided about"):
        deploy(target, bundle_of(model_versions[1], judged))
    assert not aws.changes


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {},
            "Not set: BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__REGION, BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__ROLE_ARN, "
            "BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__IMAGE, BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__BUCKET. What to do: "
            f"set these variables, or their keys in the file, and run `{install_command('aws')}`.",
        ),
        ({**SETTINGS, "bucket": "/tmp"}, "SAGEMAKER__BUCKET is '/tmp'. What to do: set it to s3://bucket/folder."),
        (
            {**SETTINGS, "mode": "serverless", "capture_percent": 5},
            "a serverless endpoint does not support capture_percent",
        ),
        ({**SETTINGS, "mode": "serverless", "rollback_alarms": ("a",)}, "does not support rollback_alarms"),
    ],
)
def test_missing_settings_are_listed_in_one_line(aws, tmp_path, settings, message):
    environment = EnvironmentSettings(sagemaker=SageMakerSettings(**settings))
    with pytest.raises(NotConfiguredError) as refused:
        SageMakerEndpoint.from_settings(environment, tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not aws.operations


def test_without_boto3_the_error_names_the_extra(make_endpoint, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(NotConfiguredError, match=r"Not installed: boto3.*pip install .*\[aws\]"):
        make_endpoint()


def test_the_public_function_takes_a_version_a_name_and_an_instance_type(
    aws, shared_versions, bundles, monkeypatch, tmp_path
):
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    for key, value in {**SETTINGS, "region": ""}.items():
        monkeypatch.setenv(f"BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__{key.upper()}", value)
    monkeypatch.setenv("AWS_REGION", REGION)
    with pytest.raises(ValueError, match="String should match pattern"):
        deploy_model_sagemaker(shared_versions[0], "No Name", "ml.m5.xlarge")
    aws.polls_until_done = 0
    for model in (shared_versions[0], str(shared_versions[0].folder), bundles[0]):
        assert deploy_model_sagemaker(model, "bridges", "ml.m5.xlarge").version == shared_versions[0].version
    [(config, [[variant], *_])] = aws.state()["configs"].items()
    assert config.startswith(f"bridges-m{shared_versions[0].version}-")
    assert variant["InstanceType"] == "ml.m5.xlarge"
    aws.polls_until_done = 0
    deploy_model_sagemaker(shared_versions[0], "bridges", "ml.m5.4xlarge")  # the same version on another machine
    kinds = {variants[0]["InstanceType"] for variants, *_ in aws.state()["configs"].values()}
    assert kinds == {"ml.m5.4xlarge"}


def test_console_url_and_cost(target):
    assert target.console_url == (
        "https://eu-central-1.console.aws.amazon.com/sagemaker/home?region=eu-central-1#/endpoints/bridge-fall"
    )
    assert target.cost == ("2 x ml.m5.large, billed per second while deployed; twice that during a deployment")


def test_a_request_that_the_container_refuses_is_reported(target, bundles):
    deploy(target, bundles[0])
    with pytest.raises(DeploymentError, match=r"ModelError: .*colour"):
        target.invoke([{"colour": 1.0}])
    assert target.invoke([{"age": None, "span": 1.0}]).shape == (1,)
