"""The endpoint on SageMaker: boto3 itself against `providers.sagemaker_server`, behind which the real app answers."""

from __future__ import annotations

import pytest
from providers.sagemaker_server import BUCKET, REGION
from support.sagemaker_endpoint import FOLDER, SETTINGS, answers_as, assert_only, everything_of, name

from bridge_assets.deployment.core.bundle import bundle_of
from bridge_assets.deployment.core.tags import OWNER
from bridge_assets.deployment.core.target import Standing, deploy, rollback
from bridge_assets.deployment.sagemaker.target import SageMakerEndpoint, deploy_model_sagemaker
from bridge_assets.errors import CanaryMismatch, DeploymentError, NotConfigured
from bridge_assets.settings.environment import EnvironmentSettings, SageMakerSettings

# Deploying


def test_a_version_is_placed_asked_and_given_the_traffic(aws, target, bundles):
    assert target.standing() == Standing()
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
    assert_only(aws, bundles[0])
    assert answers_as(target, bundles[0])
    state = aws.state()
    assert all(
        made[-1][OWNER] == "bridge-assets"
        for kind in ("endpoints", "configs", "models")
        for made in state[kind].values()
    )
    assert state["models"][name(bundles[0])][0] == {
        "Image": SETTINGS["image"],
        "ModelDataUrl": f"s3://{BUCKET}/{FOLDER}/{bundles[0].slot}.tar.gz",
        "Environment": {"BRIDGE_ASSETS_SLOT": bundles[0].slot},
    }
    assert state["objects"][f"{FOLDER}/{bundles[0].slot}.tar.gz"][0] == bundles[0].digest
    variant = {"InitialInstanceCount": 2, "InstanceType": "ml.m5.large", "ModelName": name(bundles[0])}
    assert state["configs"][name(bundles[0])][0] == [{"VariantName": "AllTraffic", **variant}]


def test_the_next_version_takes_over_blue_green_and_the_one_before_stays_for_a_rollback(aws, target, bundles):
    deploy(target, bundles[0])
    aws.changes.clear()
    second = deploy(target, bundles[1])
    assert aws.changes[3:] == ["CreateEndpoint", "DeleteEndpoint", "UpdateEndpoint", "AddTags"]
    assert (second.previous, second.removed) == (bundles[0].version, ())
    assert_only(aws, bundles[0], bundles[1])
    assert answers_as(target, bundles[1])
    assert aws.lives["bridge-fall"].update["DeploymentConfig"] == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": 1800,
        }
    }


def test_deploying_what_answers_sends_the_canary_and_changes_nothing(aws, target, bundles):
    first = deploy(target, bundles[0])
    aws.changes.clear()
    aws.asked.clear()
    assert deploy(target, bundles[0]) == first
    assert not aws.changes
    assert aws.asked.count("InvokeEndpoint") == 1


def test_a_rollback_places_the_version_before_and_what_came_after_is_removed(aws, make, bundles):
    target = make(rollback_alarms=("errors",))
    for bundle in bundles[:3]:
        deploy(target, bundle)
    back = rollback(target, {bundle.version: bundle for bundle in bundles}.__getitem__)
    assert (back.version, back.previous) == (bundles[1].version, bundles[0].version)
    assert back.removed == everything_of(bundles[2])
    assert_only(aws, bundles[0], bundles[1])
    assert answers_as(target, bundles[1])
    # The alarms that a bad version has set off must not bring it back.
    assert "AutoRollbackConfiguration" not in aws.lives["bridge-fall"].update["DeploymentConfig"]


def test_a_place_made_with_other_settings_is_made_anew(aws, make, bundles):
    make().place(bundles[0])
    aws.changes.clear()
    target = make(instances=3)
    target.place(bundles[0])
    assert aws.changes == [
        "DeleteEndpoint",
        *("DeleteModel", "CreateModel"),
        *("DeleteEndpointConfig", "CreateEndpointConfig"),
        "CreateEndpoint",
    ]
    assert aws.state()["configs"][name(bundles[0])][0][0]["InitialInstanceCount"] == 3
    aws.changes.clear()
    target.place(bundles[0])
    assert not aws.changes


def test_a_serverless_endpoint(aws, make, bundles):
    target = make(mode="serverless")
    bundles = [bundle.under(target.terms) for bundle in bundles]
    deploy(target, bundles[0])
    aws.fault("InvokeEndpoint", "told to come at once")  # it is still starting
    deploy(target, bundles[1])
    assert_only(aws, bundles[0], bundles[1])
    [variant] = aws.state()["configs"][name(bundles[1])][0]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "DeploymentConfig" not in aws.lives["bridge-fall"].update
    assert target.cost == "2048 MB serverless, billed by the millisecond of answering, not while nobody asks"


def test_an_asynchronous_endpoint_answers_through_the_bucket_and_leaves_nothing_there(aws, make, bundles):
    target = make(mode="async")
    bundles = [bundle.under(target.terms) for bundle in bundles]
    assert deploy(target, bundles[0]).address.endswith("/endpoints/bridge-fall/async-invocations")
    assert answers_as(target, bundles[0])
    with pytest.raises(DeploymentError, match=r"did not answer.*colour"):
        target.invoke([{"colour": 1.0}])
    assert_only(aws, bundles[0])
    aws.answers_to_come = Lost()
    with pytest.raises(DeploymentError, match=r"did not answer\. After 0.006 s nothing is at s3://"):
        make(mode="async", wait_minutes=0.0001).invoke([{"age": 1.0}])
    assert_only(aws, bundles[0])
    question = f"s3://{BUCKET}/{FOLDER}/asked/of-a-killed-one.json"
    target._endpoints.objects.put(question, b"{}")
    assert target.delete()[-1] == question
    assert_only(aws)


class Lost(dict):
    """Answers that never come."""

    def __setitem__(self, key, value):
        pass


def test_requests_are_captured_where_that_is_asked_for(aws, make, bundles):
    target = make(capture_percent=20)
    deploy(target, bundles[0])
    assert aws.state()["configs"][name(bundles[0].under(target.terms))][1] == {
        "EnableCapture": True,
        "InitialSamplingPercentage": 20,
        "DestinationS3Uri": f"s3://{BUCKET}/{FOLDER}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }


def test_alarms_take_an_update_back_and_the_old_version_goes_on_answering(aws, make, bundles):
    target = make(rollback_alarms=("errors", "latency"))
    deploy(target, bundles[0])
    aws.alarmed = True
    with pytest.raises(
        DeploymentError, match=r"took the update of .* back\. It answers with .* again: One or more alarms"
    ):
        deploy(target, bundles[1])
    assert_only(aws, bundles[0])
    assert answers_as(target, bundles[0])
    aws.alarmed = False
    deploy(target, bundles[1])
    how = aws.lives["bridge-fall"].update["DeploymentConfig"]
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


def test_everything_of_ours_is_deleted_and_named(aws, target, make, bundles):
    other = make(name="bridge-fall-2")
    deploy(other, bundles[0])
    before = aws.state()
    for bundle in bundles[:2]:
        deploy(target, bundle)
    target.place(bundles[2])
    slots = sorted(bundles[:3], key=lambda bundle: bundle.slot)
    assert target.delete() == (
        "endpoint bridge-fall",
        *(
            removed
            for bundle in slots
            for removed in ((f"endpoint {name(bundle)}",) if bundle is bundles[2] else ()) + everything_of(bundle)
        ),
    )
    assert aws.state() == before
    assert target.delete() == ()


# A wrong model


def test_a_wrong_model_gets_no_traffic(aws, target, bundles):
    deploy(target, bundles[0])
    aws.instead[name(bundles[1]), name(bundles[1])] = name(bundles[0])
    with pytest.raises(CanaryMismatch, match=f"slot {bundles[1].slot}"):
        deploy(target, bundles[1])
    assert "UpdateEndpoint" not in aws.changes
    assert_only(aws, bundles[0])
    assert answers_as(target, bundles[0])


def test_a_wrong_model_behind_the_endpoint_is_taken_back(aws, make, bundles):
    target = make(rollback_alarms=("errors",))
    deploy(target, bundles[0])
    aws.instead["bridge-fall", name(bundles[1])] = name(bundles[0])
    with pytest.raises(CanaryMismatch) as mismatch:
        deploy(target, bundles[1])
    assert not getattr(mismatch.value, "__notes__", None)
    assert_only(aws, bundles[0])
    assert answers_as(target, bundles[0])


def test_a_first_version_that_answers_wrongly_leaves_no_endpoint(aws, make, bundles):
    other = make(name="another")
    deploy(other, bundles[1])
    before = aws.state()
    aws.instead["bridge-fall", name(bundles[0])] = f"another-{bundles[1].slot}"
    with pytest.raises(CanaryMismatch):
        deploy(make(), bundles[0])
    assert aws.state() == before


def test_an_archive_changed_in_the_bucket_never_answers(aws, target, bundles):
    deploy(target, bundles[0])
    target.place(bundles[1])
    changed = aws.state()
    aws.replace(f"{FOLDER}/{bundles[1].slot}.tar.gz", bundles[2].archive)
    assert target.retire(bundles[2].slot) == []  # of what is not there, nothing
    assert changed["endpoints"] == aws.state()["endpoints"]
    aws.start_anew(name(bundles[1]))
    with pytest.raises(
        DeploymentError, match=r"is Failed\. The primary container .* did not pass the ping.*another bundle"
    ):
        target._endpoints.in_service(name(bundles[1]), name(bundles[1]))
    deploy(target, bundles[1])  # mends it
    assert_only(aws, bundles[0], bundles[1])


def test_a_corrupted_artifact_is_refused_before_any_request(aws, target, candidates):
    candidates[0].file("model.onnx").write_bytes(b"this is no graph")
    with pytest.raises(DeploymentError, match="cannot be deployed"):
        deploy(target, bundle_of(candidates[0]))
    bundle = bundle_of(candidates[1])
    candidates[1].file("probe.json").write_bytes(candidates[2].file("probe.json").read_bytes())
    with pytest.raises(DeploymentError, match="changed while it was being packed"):
        deploy(target, bundle)
    assert not aws.changes


# Settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {},
            "Not set: BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__REGION, BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__ROLE_ARN, "
            "BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__IMAGE, BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__BUCKET. What to do: "
            "set these variables, or their keys in the file, and pip install 'bridge-assets[aws]'.",
        ),
        ({**SETTINGS, "bucket": "/tmp"}, "SAGEMAKER__BUCKET is '/tmp'. What to do: set it to s3://bucket/folder."),
        ({**SETTINGS, "mode": "serverless", "capture_percent": 5}, "a serverless endpoint takes no capture_percent"),
        ({**SETTINGS, "mode": "serverless", "rollback_alarms": ("a",)}, "takes no rollback_alarms"),
    ],
)
def test_what_is_not_configured_is_said_in_one_line(aws, tmp_path, settings, said):
    environment = EnvironmentSettings(sagemaker=SageMakerSettings(**settings))
    with pytest.raises(NotConfigured) as refused:
        SageMakerEndpoint.from_settings(environment, tmp_path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not aws.asked


def test_without_boto3_the_extra_is_named(make, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(NotConfigured, match=r"Not installed: boto3.*pip install 'bridge-assets\[aws\]'"):
        make()


def test_the_promised_function_takes_a_version_a_name_and_an_instance_type(aws, made, bundles, monkeypatch, tmp_path):
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path))
    for key, value in {**SETTINGS, "region": ""}.items():
        monkeypatch.setenv(f"BRIDGE_ASSETS_ENVIRONMENT__SAGEMAKER__{key.upper()}", value)
    monkeypatch.setenv("AWS_REGION", REGION)
    with pytest.raises(ValueError, match="String should match pattern"):
        deploy_model_sagemaker(made[0], "No Name", "ml.m5.xlarge")
    aws.looks = 0
    for model in (made[0], str(made[0].folder), bundles[0]):
        assert deploy_model_sagemaker(model, "bridges", "ml.m5.xlarge").version == made[0].version
    [(config, [[variant], *_])] = aws.state()["configs"].items()
    assert config.startswith(f"bridges-m{made[0].version}-")
    assert variant["InstanceType"] == "ml.m5.xlarge"
    aws.looks = 0
    deploy_model_sagemaker(made[0], "bridges", "ml.m5.4xlarge")  # the same version on another machine
    kinds = {variants[0]["InstanceType"] for variants, *_ in aws.state()["configs"].values()}
    assert kinds == {"ml.m5.4xlarge"}


def test_a_place_to_look_at_and_what_it_costs(target):
    assert target.page == (
        "https://eu-central-1.console.aws.amazon.com/sagemaker/home?region=eu-central-1#/endpoints/bridge-fall"
    )
    assert target.cost == (
        "2 x ml.m5.large, billed by the second while they stand; twice that while a new version takes over"
    )


def test_what_the_container_refuses_is_said(target, bundles):
    deploy(target, bundles[0])
    with pytest.raises(DeploymentError, match=r"ModelError: .*colour"):
        target.invoke([{"colour": 1.0}])
    assert target.invoke([{"age": None, "span": 1.0}]).shape == (1,)
