"""Faults of an endpoint on SageMaker: the current version keeps serving, and a new deployment completes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from providers.aws_faults import CREDENTIALS
from providers.sagemaker_server import REGION
from support.deployment.sagemaker_endpoint import (
    FOLDER,
    assert_only_deployed,
    environment,
    is_serving,
    resource_name,
    resource_names,
)

from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.deployment.core.target import deploy
from bridge_assets.deployment.sagemaker.client import AwsClient
from bridge_assets.deployment.sagemaker.target import SageMakerEndpoint
from bridge_assets.errors import DeploymentError, OwnershipError

SPAWN = multiprocessing.get_context("forkserver")

# Faults


REQUESTS = ("s3:PUT", "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "DeleteEndpoint")
SHIFT = ("UpdateEndpoint", "AddTags", "InvokeEndpoint", "DescribeEndpoint", "ListTags")


@pytest.mark.parametrize("kind", ["retry at once", "cut"])
def test_every_request_with_a_transient_failure_is_sent_again(aws, target, bundles, kind):
    deploy(target, bundles[0])
    for operation in (*REQUESTS, *SHIFT):
        aws.inject_fault(operation, kind)
    deploy(target, bundles[1])
    assert not aws.faults
    assert_only_deployed(aws, bundles[0], bundles[1])
    assert is_serving(target, bundles[1])


def test_every_transient_failure_is_retried(aws, target, bundles):
    aws.inject_fault("s3:PUT", "unavailable")
    aws.inject_fault("CreateModel", "throttled", "broken")
    target.provision(bundles[0])
    assert not aws.faults


def test_retry_after_is_obeyed(aws, target, bundles):
    aws.inject_fault("CreateModel", "retry after 1 s")
    target.provision(bundles[0])
    first, second = (
        time for time, operation_sent in zip(aws.times, aws.operations, strict=True) if operation_sent == "CreateModel"
    )
    assert second - first >= 1


@pytest.mark.parametrize(
    ("operation", "kind", "message"),
    [
        ("DescribeEndpoint", "expired", r"ExpiredToken.*AWS_ACCESS_KEY_ID.*AWS_SESSION_TOKEN.*AWS_PROFILE; renew"),
        (
            "s3:PUT",
            "denied",
            r"put_object was refused\. AccessDenied.*grant this permission to the identity behind AWS_ACCESS_KEY_ID",
        ),
        ("CreateModel", "denied", r"create_model was refused\. AccessDenied.*or AWS_PROFILE"),
        ("CreateEndpoint", "no quota", r"ResourceLimitExceeded.*higher quota"),
        ("InvokeEndpoint", "expired", "invoke_endpoint was refused"),
        ("UpdateEndpoint", "denied", "update_endpoint was refused"),
    ],
)
def test_a_refusal_has_a_remedy_and_the_old_version_keeps_serving(aws, target, bundles, operation, kind, message):
    deploy(target, bundles[0])
    aws.inject_fault(operation, kind)
    with pytest.raises(DeploymentError, match=message):
        deploy(target, bundles[1])
    assert_only_deployed(aws, bundles[0])
    assert is_serving(target, bundles[0])


def test_after_credentials_expire_during_a_deployment_the_next_one_completes_it(aws, target, bundles):
    deploy(target, bundles[0])
    aws.inject_fault("CreateEndpoint", "expired")
    aws.inject_fault("*", *["expired"] * 20)
    with pytest.raises(DeploymentError, match="ExpiredToken") as expired:
        deploy(target, bundles[1])
    assert "The undo failed as well" in expired.value.__notes__[0]
    assert aws.serving_config("bridge-fall") == resource_name(bundles[0])
    aws.faults.clear()
    assert deploy(target, bundles[2]).removed == resource_names(bundles[1])
    assert_only_deployed(aws, bundles[0], bundles[2])


def test_missing_credentials_are_reported_with_their_variables(aws, target, bundles, monkeypatch):
    target = replace(target, aws=AwsClient(REGION))
    for variable in CREDENTIALS:
        monkeypatch.delenv(variable)
    with pytest.raises(DeploymentError, match=r"Unable to locate credentials.*set AWS_ACCESS_KEY_ID"):
        deploy(target, bundles[0])
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(DeploymentError, match=r"nobody.*AWS_PROFILE"):
        deploy(replace(target, aws=AwsClient(REGION)), bundles[0])
    assert not aws.operations


def test_a_missing_bucket_is_reported_before_anything_is_created(aws, make_endpoint, bundles):
    with pytest.raises(DeploymentError, match=r"NoSuchBucket.*create the bucket"):
        deploy(make_endpoint(bucket="s3://no-such-bucket"), bundles[0])
    assert not aws.changes


def test_a_container_that_does_not_start_is_removed_and_the_reason_reported(aws, target, bundles):
    deploy(target, bundles[0])
    aws.failing_configs.add(resource_name(bundles[1]))
    with pytest.raises(
        DeploymentError, match=rf"{resource_name(bundles[1])} is Failed\. .*did not pass the ping.*CloudWatch"
    ):
        deploy(target, bundles[1])
    assert_only_deployed(aws, bundles[0])


# Time


def test_an_endpoint_stuck_in_creating_is_reported_and_removed_as_soon_as_possible(aws, make_endpoint, bundles):
    target, impatient = make_endpoint(), make_endpoint(wait_minutes=0.0001)
    deploy(target, bundles[0])
    aws.stuck_endpoints.add(resource_name(bundles[1]))
    with pytest.raises(
        DeploymentError, match=r"is still Creating\. 0.0001 minutes have passed.*then deploy again"
    ) as stuck:
        deploy(impatient, bundles[1])
    assert "is still Creating" in stuck.value.__notes__[0]
    assert is_serving(target, bundles[0])
    # Another version does not have to wait for it, but the leftover is reported.
    with pytest.raises(
        DeploymentError, match=rf"{bundles[2].version} is being served, but the previous slot was not removed"
    ):
        deploy(target, bundles[2])
    assert is_serving(target, bundles[2])
    aws.fail_stuck(resource_name(bundles[1]))
    assert deploy(target, bundles[2]).removed == (f"endpoint {resource_name(bundles[1])}", *resource_names(bundles[1]))
    assert_only_deployed(aws, bundles[0], bundles[2])


def test_a_version_whose_endpoint_was_stuck_is_deployed_again(aws, make_endpoint, bundles):
    aws.stuck_endpoints.add(resource_name(bundles[0]))
    with pytest.raises(DeploymentError, match="still Creating"):
        deploy(make_endpoint(wait_minutes=0.0001), bundles[0])
    aws.fail_stuck(resource_name(bundles[0]))
    deploy(make_endpoint(), bundles[0])
    assert_only_deployed(aws, bundles[0])


def test_an_update_that_does_not_end_leaves_the_old_version_serving(aws, make_endpoint, bundles):
    target = make_endpoint()
    deploy(target, bundles[0])
    aws.stuck_endpoints.add("bridge-fall")
    with pytest.raises(DeploymentError, match=r"bridge-fall is still Updating"):
        deploy(make_endpoint(wait_minutes=0.0001), bundles[1])
    assert is_serving(target, bundles[0])
    with pytest.raises(DeploymentError, match=r"bridge-fall is still Updating"):
        deploy(make_endpoint(wait_minutes=0.0001), bundles[2])
    assert resource_name(bundles[2]) not in aws.state()["models"]
    aws.finish_stuck("bridge-fall")
    assert deploy(target, bundles[1]).previous == bundles[0].version
    assert is_serving(target, bundles[1])
    deploy(target, bundles[2])
    assert_only_deployed(aws, *bundles[:3])


def test_a_first_endpoint_that_fails_is_removed(aws, make_endpoint, bundles):
    aws.stuck_endpoints.add("bridge-fall")
    with pytest.raises(DeploymentError, match="bridge-fall is still Creating"):
        deploy(make_endpoint(wait_minutes=0.0001), bundles[0])
    aws.fail_stuck("bridge-fall")
    deploy(make_endpoint(), bundles[1])
    assert_only_deployed(aws, bundles[1])


def test_a_second_deployment_from_this_machine_is_refused(target, bundles):
    with target.exclusive_lock("the first"), pytest.raises(DeploymentError, match="did not finish within 0 s"):
        deploy(replace(target, lock_timeout=0), bundles[0])


# Kills


@pytest.mark.parametrize("versions", [1, 2], ids=["the first version", "the second"])
def test_after_a_kill_at_any_request_a_new_deployment_completes(aws, target, aws_without_retries, bundles, versions):
    changes = 0
    while True:
        aws.reset()
        for bundle in bundles[: versions - 1]:
            deploy(target, bundle)
        aws.changes.clear()
        aws.drop_after = changes + 1
        new = bundles[versions - 1]
        try:
            deploy(replace(target, aws=aws_without_retries), new)
        except DeploymentError:
            assert aws.is_dropping
        else:
            break  # the deployment has no more changes
        aws.recover()
        if versions > 1:
            assert aws.serving_config("bridge-fall") in (resource_name(bundles[0]), resource_name(new))
            assert np.isfinite(target.invoke(new.probe.request_rows())).all()
        deploy(target, new)
        assert_only_deployed(aws, *bundles[:versions])
        assert is_serving(target, new)
        changes += 1
    assert changes == {1: 6, 2: 7}[versions]


def test_a_version_killed_before_it_gets_the_traffic_is_deployed_again(aws, target, bundles):
    deploy(target, bundles[0])
    aws.changes.clear()
    aws.drop_after, aws.hold_last = 4, True  # provisioned, but not tested yet
    process = SPAWN.Process(target=deploy_in_a_process, args=(dict(os.environ), target.lock_folder, bundles[1]))
    process.start()
    assert aws.last_change_received.wait(60)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    aws.recover()
    assert is_serving(target, bundles[0])
    assert target.state().resources == {bundles[1].slot}
    deploy(target, bundles[1])
    assert_only_deployed(aws, bundles[0], bundles[1])


def deploy_in_a_process(environ: dict[str, str], locks: Path, bundle: Bundle) -> None:
    os.environ.update(environ)
    deploy(replace(SageMakerEndpoint.from_settings(environment(), locks), poll_seconds=0.001), bundle)


def test_a_killed_deployment_is_removed_by_the_next_one(aws, target, aws_without_retries, bundles):
    deploy(target, bundles[0])
    aws.changes.clear()
    aws.drop_after = 4
    with pytest.raises(DeploymentError):
        deploy(replace(target, aws=aws_without_retries), bundles[1])
    aws.recover()
    assert deploy(target, bundles[2]).removed == (f"endpoint {resource_name(bundles[1])}", *resource_names(bundles[1]))
    assert_only_deployed(aws, bundles[0], bundles[2])


# Resources of somebody else


def test_a_name_that_is_taken_is_left_alone(aws, make_endpoint, bundles):
    deploy(make_endpoint(), bundles[0])
    theirs = replace(make_endpoint(), owner="somebody")
    before = aws.state()
    with pytest.raises(OwnershipError, match=r"the endpoint bridge-fall is not ours.*is bridge-assets, not somebody"):
        deploy(theirs, bundles[1])
    with pytest.raises(OwnershipError):
        theirs.delete()
    assert aws.state() == before


@pytest.mark.parametrize("kind", ["object", "model", "endpoint configuration", "endpoint"])
def test_a_resource_of_somebody_else_is_left_alone(aws, target, bundles, kind):
    deploy(target, bundles[0])
    aws.create_foreign_resource(
        kind, resource_name(bundles[1]), f"{FOLDER}/{bundles[1].slot}.tar.gz", like=resource_name(bundles[0])
    )
    before = aws.state()
    with pytest.raises(OwnershipError, match=rf"(?=.*{bundles[1].slot}).*the {kind}.* is not ours.*It has no tag"):
        deploy(target, bundles[1])
    assert aws.state() == before
    deploy(target, bundles[2])
    target.delete()
    kinds = {"object": "objects", "model": "models", "endpoint configuration": "configs", "endpoint": "endpoints"}
    left = aws.state()
    assert sum(map(len, left.values())) == 1
    assert left[kinds[kind]].items() <= before[kinds[kind]].items()


def test_an_endpoint_that_was_not_deployed_by_us_is_left_alone(aws, target, bundles):
    deploy(target, bundles[0])
    aws.endpoint_states["bridge-fall"].config = "handmade"
    before = aws.state()
    with pytest.raises(OwnershipError, match=r"was not deployed by bridge_assets.*Its configuration is handmade"):
        deploy(target, bundles[1])
    assert aws.state() == before
